"""Distillation speed: our engine against the published loop, same student, same data, same process.

    python -m benchmarks.distillation [--device cuda]

The published loop (Compressor, Avatar) takes listed pairs one batch after another, pads every sequence to the maximum,
encodes both functions of every pair, and works in fp32 with torch's plain AdamW. Ours encodes each function of a step
once, in chunks of like length, and learns from all pairs among them (bf16 on a GPU). Both read cached teacher answers
and cached token ids, so that what is compared is the training itself. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import RobertaConfig, RobertaModel

from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.distillation import Teacher, build_student, own_stream, train_tokenizer
from avatar_optuna.distillation._networks import PairClassifier, PairHead
from avatar_optuna.distillation._recipe import Examples, Recipe
from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.distillation._training import Trainer
from avatar_optuna.settings import TaskSettings, TeacherSettings
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.tasks import Task, load_task
from avatar_optuna.teachers import load_teacher
from benchmarks.headline import SHARED, device_name

# Dense peak of one GPU in FLOP/s, bf16 without sparsity (NVIDIA's data sheets).
PEAK_BF16 = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
STUDENT = TRANSFORMER.configure(
    tokenizer="BPE",
    vocab_size=4000,
    num_hidden_layers=3,
    hidden_size=96,
    hidden_act="gelu",
    hidden_dropout_prob=0.2,
    intermediate_size=192,
    num_attention_heads=4,
    attention_probs_dropout_prob=0.2,
    max_sequence_length=400,
    position_embedding_type="absolute",
    learning_rate=1e-3,
    batch_size=64,
)


def published_loop(task: Task, teacher: Teacher, tokens: Tokens, device: str) -> Callable[[], tuple[int, int]]:
    """A step of the published loop: `batch_size` pairs; gives functions encoded and pairs learnt from."""
    student = _stock_student().to(device).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=STUDENT.learning_rate, fused=False, foreach=False)
    logits = torch.from_numpy(teacher.logits("train")).to(device)
    length = STUDENT.max_sequence_length
    padded = torch.full((len(tokens), length), tokens.pad_token_id, device=device)
    for place in range(len(tokens)):
        ids, _ = tokens.batch(np.array([place]))
        padded[place, : ids.shape[1]] = ids[0]
    order = itertools.cycle(np.random.default_rng(0).permutation(len(task.train)).tolist())
    temperature = 10.0

    def step() -> tuple[int, int]:
        rows = np.array([next(order) for _ in range(STUDENT.batch_size)])
        functions = torch.from_numpy(task.train.inputs[rows].astype(np.int64)).to(device)  # (m, 2)
        ids = padded[functions.flatten()]  # (2m, length)
        vectors = student.encode(ids, ids != tokens.pad_token_id)  # (2m, w)
        given = student.classify(vectors.reshape(len(rows), -1))  # (m, 2)
        expected = logits[torch.from_numpy(rows).to(device)]
        log_given = functional.log_softmax(given / temperature, dim=1)
        loss = functional.kl_div(log_given, functional.softmax(expected / temperature, dim=1), reduction="batchmean")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return len(ids), len(rows)

    return step


def _stock_student() -> PairClassifier:
    """The same student of transformers' own parts, as the published code builds it."""
    config = RobertaConfig(
        vocab_size=STUDENT.vocab_size,
        hidden_size=STUDENT.hidden_size,
        num_hidden_layers=STUDENT.num_hidden_layers,
        num_attention_heads=STUDENT.num_attention_heads,
        intermediate_size=STUDENT.intermediate_size,
        hidden_dropout_prob=STUDENT.hidden_dropout_prob,
        attention_probs_dropout_prob=STUDENT.attention_probs_dropout_prob,
        max_position_embeddings=STUDENT.max_sequence_length + 2,
        type_vocab_size=1,
    )
    head = PairHead(STUDENT.hidden_size, TaskShape(arity=2).num_labels, STUDENT.hidden_dropout_prob)
    return PairClassifier(RobertaModel(config, add_pooling_layer=False), head)


def our_loop(
    task: Task,
    teacher: Teacher,
    tokens: Tokens,
    device: str,
    *,
    is_captured: bool = True,
    is_narrow: bool | None = None,
) -> Callable[[], tuple[int, int]]:
    """A step of the engine, `batch_size` functions and all pairs among them; on a GPU all steps of an epoch."""
    examples = Examples(tokens=tokens, inputs=task.train.inputs, labels=task.train.labels)
    trainer = Trainer(
        build_student(STUDENT, task.shape).to(device).train(),
        recipe=Recipe(epochs=1000, batch_size=STUDENT.batch_size, learning_rate=STUDENT.learning_rate),
        train=examples,
        valid=examples,
        soft_labels=teacher.soft_labels(device),
        directory=Path(tempfile.mkdtemp()),
        fingerprint="benchmark",
        num_labels=task.shape.num_labels,
        is_captured=is_captured,
        is_narrow=is_narrow,
    )
    epochs = itertools.count()

    def dealt_steps() -> Iterator[tuple[Tensor, tuple[Tensor, Tensor] | None]]:
        for epoch in itertools.count():
            for window in trainer.lesson.in_windows(trainer._plan(epoch), trainer.recipe):
                yield from ((dealt, window.of_step(step)) for step, dealt in enumerate(window.dealt))

    steps = enumerate(dealt_steps())

    def step() -> tuple[int, int]:
        number, (dealt, of_step) = next(steps)
        with trainer.encoder.computing():
            trainer._step(dealt, of_step, number)
        return len(dealt), len(dealt) * (len(dealt) - 1) // 2

    def epoch() -> tuple[int, int]:
        with own_stream(device):
            trainer.train_epoch(next(epochs))
        sizes = [len(dealt) for dealt in trainer._plan(0)]
        return sum(sizes), sum(size * (size - 1) // 2 for size in sizes)

    return epoch if device.startswith("cuda") else step


def speed(step: Callable[[], tuple[int, int]], device: str, seconds: float) -> tuple[float, float]:
    """Functions and pairs a second, after two steps of warm-up (five on a GPU)."""
    for _ in range(5 if device.startswith("cuda") else 2):
        step()
    _wait(device)
    started, functions, pairs, steps = time.perf_counter(), 0, 0, 0
    while time.perf_counter() - started < seconds:
        done = step()
        functions, pairs, steps = functions + done[0], pairs + done[1], steps + 1
        if steps % 10 == 0:
            _wait(device)
    _wait(device)
    elapsed = time.perf_counter() - started
    return functions / elapsed, pairs / elapsed


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def training_flops_per_function(tokens: Tokens) -> float:
    """Mean useful FLOPs of a training step for one function at its own length: three forward passes' worth."""
    lengths = np.unique(tokens.host_lengths, return_counts=True)
    total = 0.0
    for length, count in zip(*lengths, strict=True):
        values: dict[str, Any] = {**STUDENT.to_dict(), "max_sequence_length": int(length)}
        total += count * flops(TRANSFORMER.configure(**values), TaskShape(arity=1))
    return 3 * total / len(tokens)


def main() -> None:
    """Read the command line, measure both loops by turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(SHARED / "data" / "bigclonebench"))
    parser.add_argument("--teacher", default=str(SHARED / "teachers" / "compressor-codebert-clone-3mb"))
    parser.add_argument("--max-train", type=int, default=4000, help="listed training pairs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "avatar_benchmark_cache")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = load_task(TaskSettings(kind="clone-detection", data=options.data, max_train=options.max_train))
    settings = TeacherSettings(checkpoint=options.teacher)
    teacher = load_teacher(settings, task, cache_dir=options.cache, device=options.device)
    tokenizer = train_tokenizer(STUDENT.tokenizer, STUDENT.vocab_size, task.train.functions, options.cache)
    tokens = Tokens.tokenize(
        tokenizer, task.train.functions, max_sequence_length=STUDENT.max_sequence_length, device=options.device
    )
    loops = {
        "published loop": published_loop(task, teacher, tokens, options.device),
        "ours": our_loop(task, teacher, tokens, options.device),
    }
    if options.device.startswith("cuda"):
        loops["ours, not captured"] = our_loop(task, teacher, tokens, options.device, is_captured=False)
        loops["ours, under autocast"] = our_loop(task, teacher, tokens, options.device, is_narrow=False)
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
    for _ in range(options.turns):
        for name, step in loops.items():
            measured[name].append(speed(step, options.device, options.seconds))
    report(measured, tokens, options)


def report(measured: dict[str, list[tuple[float, float]]], tokens: Tokens, options: argparse.Namespace) -> None:
    """Print medians, ratios and, on a GPU that is known, the share of its peak."""
    lengths = tokens.host_lengths
    print(f"{device_name(options.device)}, {options.threads} threads; {len(tokens)} functions")
    print(
        f"of {lengths.mean():.0f} tokens in the mean; 3 layers of 96, at most 400 tokens; medians of {options.turns}\n"
    )
    print("| loop | functions a second | ratio | pairs a second | ratio | useful GFLOP/s | share of bf16 peak |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    base = np.median(measured["published loop"], axis=0)
    each = training_flops_per_function(tokens)
    peak = next((value for name, value in PEAK_BF16.items() if name in device_name(options.device)), None)
    for name, values in measured.items():
        functions, pairs = np.median(values, axis=0)
        share = f"{functions * each / peak:.2%}" if peak else ""
        ratios = functions / base[0], pairs / base[1]
        figures = f"{functions:.0f} | {ratios[0]:.1f} | {pairs:.0f} | {ratios[1]:.0f} | {functions * each / 1e9:.1f}"
        print(f"| {name} | {figures} | {share} |")


if __name__ == "__main__":
    main()
