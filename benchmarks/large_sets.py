"""Memory and rate of a teacher's answers over a large set of functions: part by part from disk, and all at once.

    python -m benchmarks.large_sets --functions 20000 80000 --device cpu --work WORK

A classifier of `--sizes` with random weights answers made-up C functions of 30 to 200 tokens. "Part by part" is what a
study does (`Teacher.logits`, an empty cache), "all at once" is one call of the classifier. Each row is a process of its
own; its memory is the most that it held besides files (Linux's RssAnon), above what it held with the functions in it,
read every 20 ms. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from transformers import RobertaConfig, RobertaForSequenceClassification

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import EVALUATION_BATCH, train_tokenizer
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Split, Task
from avatar_optuna.teachers import load_teacher
from benchmarks.headline import device_name

WAYS = ("part by part", "all at once")
_VOCABULARY = 2_000
_SIZES = {"num_hidden_layers": 1, "hidden_size": 768, "intermediate_size": 768, "num_attention_heads": 12}


def main() -> None:
    """Print a row a number of functions and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, nargs="+", default=[20_000, 80_000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--sizes", type=json.loads, default=_SIZES, metavar="JSON", help="of the classifier")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    write_checkpoint(options.work / "checkpoint", options.sizes)
    print(f"{device_name(options.device)}, {json.dumps(options.sizes)}\n")
    print("| functions | how | functions a second | MB above the functions | MB on disk |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for count in options.functions:
        for way in options.ways:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, memory_mb, disk_mb = pool.apply(answered, (count, way, options.device, options.work))
            print(f"| {count:,} | {way} | {count / seconds:,.0f} | {memory_mb:,.0f} | {disk_mb:,.0f} |", flush=True)


def write_checkpoint(directory: Path, sizes: dict[str, int]) -> None:
    """A classifier of two labels with random weights, as transformers keeps one."""
    config = RobertaConfig(vocab_size=_VOCABULARY, max_position_embeddings=258, type_vocab_size=1, **sizes)
    RobertaForSequenceClassification(config).save_pretrained(directory)
    tokenizer = train_tokenizer("BPE", _VOCABULARY, [made_up(number) for number in range(2_000)])
    tokenizer.save_pretrained(directory)


def answered(count: int, way: str, device: str, work: Path) -> tuple[float, float, float]:
    """Seconds, MB of memory above the functions, and MB on disk."""
    shutil.rmtree(work / "cache", ignore_errors=True)
    task = Task(
        kind="code-classification",
        shape=TaskShape(arity=1),
        language="c",
        label_names=("0", "1"),
        **{name: split(size, start) for name, size, start in (("train", count, 0), ("valid", 2, -2), ("test", 2, -4))},
    )
    settings = TeacherSettings(checkpoint=str(work / "checkpoint"), max_sequence_length=256)
    teacher = load_teacher(settings, task, cache_dir=work / "cache", device=device)
    assert teacher.classifier is not None
    teacher.classifier.predict_logits(task.valid.functions, task.valid.inputs)  # so that libraries are loaded
    with Peak() as peak:
        began = time.monotonic()
        if way == "part by part":
            logits = teacher.logits("train")
        else:
            batch_size = EVALUATION_BATCH[teacher.classifier.device.type]
            logits = teacher.classifier.predict_logits(task.train.functions, task.train.inputs, batch_size=batch_size)
        seconds = time.monotonic() - began
    assert logits.shape == (count, 2)
    on_disk = sum(path.stat().st_size for path in (work / "cache").rglob("*.npy"))
    return seconds, peak.above / 1e6, on_disk / 1e6


def split(count: int, start: int) -> Split:
    """Made-up functions, one an input."""
    functions = tuple(made_up(number) for number in range(start, start + count))
    places = np.arange(count)
    return Split(functions=functions, inputs=places[:, None].astype(np.int32), labels=places % 2)


def made_up(number: int) -> str:
    """A C function of its own: some statements over names that are drawn anew."""
    rng = random.Random(number)
    first, second = (f"{rng.choice(('count', 'size', 'left', 'key'))}_{rng.randrange(50)}" for _ in range(2))
    lines = [
        f"    {first} = {first} {rng.choice('+-*/')} {second} + {rng.randrange(1000)};"
        for _ in range(rng.randint(1, 12))
    ]
    return "\n".join([f"int f{number}(int {first}, int {second}) {{", *lines, f"    return {first};", "}"])


class Peak:
    """The most memory besides files that this process holds, above what it held at first; in bytes."""

    def __init__(self) -> None:
        self.above = 0
        self._before = _anonymous_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.above = max(self.above, _anonymous_bytes() - self._before)


def _anonymous_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
