"""Teachers of CodeBERT's size, trained here from nothing, and what is kept of them: figures, vectors, logits, head.

    python -m benchmarks.paper_teachers --kind clone-detection --data DIR --device cuda --seeds 0 1 --out OUT

Of each seed, `OUT/seedN/` holds `teacher.json` (figures of each split, seconds, tokens and share of the device's peak,
by epoch), `answers.npz` (float16 vectors of the functions and logits of the inputs of each split) and the head,
`head.safetensors`; the 400 MB of weights stay in `--work`. `benchmarks.paper_table` distils from this folder.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from avatar_optuna.distillation import EpochRecord, Teacher
from avatar_optuna.settings import TaskSettings, TeacherSettings
from avatar_optuna.tasks import Task, load_task
from avatar_optuna.teachers import load_teacher
from benchmarks.trials import metrics

CODEBERT = {
    "vocab_size": 50_265,
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "intermediate_size": 3_072,
    "num_attention_heads": 12,
}
BF16_PEAK_FLOPS = {"H100": 989e12, "H200": 989e12}  # a second, dense, by the data sheets


def main() -> None:
    """Train the seeds one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="clone-detection")
    parser.add_argument("--data", required=True)
    parser.add_argument("--max-train", type=int, help="inputs to train on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--max-sequence-length", type=int, default=400)
    parser.add_argument("--sizes", type=json.loads, default={}, help="in place of CodeBERT's, such as a smaller width")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    task = load_task(TaskSettings(kind=options.kind, data=options.data, max_train=options.max_train))
    for seed in options.seeds:
        train(task, options, seed)


def train(task: Task, options: argparse.Namespace, seed: int) -> None:
    """Train a teacher and keep what students need of it."""
    settings = TeacherSettings(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        max_sequence_length=options.max_sequence_length,
        seed=seed,
        architecture={**CODEBERT, **options.sizes},
    )
    began = time.monotonic()
    history: list[dict[str, Any]] = []

    def on_epoch(record: EpochRecord) -> None:
        history.append(record.to_dict())
        figures = f"valid {record.valid['accuracy']:.4f} balanced {record.valid['balanced_accuracy']:.4f}"
        print(f"seed {seed} epoch {record.epoch} loss {record.loss:.4f} {figures} {record.seconds:.1f} s", flush=True)

    teacher = load_teacher(settings, task, cache_dir=options.work, device=options.device, on_epoch=on_epoch)
    classifier = teacher.classifier
    assert classifier is not None
    parameters = sum(p.numel() for p in classifier.network.parameters())
    flops = training_flops(task, teacher)
    document = {
        "seed": seed,
        "settings": settings.to_dict(),
        "task": {"kind": options.kind, "max_train": options.max_train, "fingerprint": task.fingerprint},
        "device": torch.cuda.get_device_name(0) if options.device.startswith("cuda") else options.device,
        "parameters": parameters,
        "size_bytes": 4 * parameters,
        "seconds": time.monotonic() - began,
        "history": history,
        "training_flops_per_epoch": flops,
        "share_of_peak": share_of_peak(flops, history),
        "splits": {name: metrics(split.labels, teacher.logits(name)) for name, split in task.splits.items()},
    }
    folder = options.out / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"logits_{name}": teacher.logits(name) for name in task.splits}
    if task.shape.is_pair:
        arrays |= {f"vectors_{name}": teacher.vectors(name) for name in task.splits}
    np.savez_compressed(folder / "answers.npz", **{name: np.asarray(a, np.float16) for name, a in arrays.items()})
    head = {
        name: value.detach().cpu().contiguous() for name, value in classifier.network.classifier.state_dict().items()
    }
    save_file(head, folder / "head.safetensors")
    (folder / "teacher.json").write_text(json.dumps(document, indent=1))
    print({**{k: document[k] for k in ("seed", "parameters", "seconds", "share_of_peak")}})
    print({name: round(figures["accuracy"], 4) for name, figures in document["splits"].items()}, flush=True)


def training_flops(task: Task, teacher: Teacher) -> float:
    """Of an epoch: 6 a weight of the layers and token, and 12 a layer, width and pair of tokens for attention."""
    classifier = teacher.classifier
    assert classifier is not None
    config = classifier.network.config
    layers = sum(p.numel() for name, p in classifier.network.named_parameters() if ".layer." in name and p.ndim > 1)
    lengths = classifier.tokens(task.train.functions).host_lengths[task.train.inputs.reshape(-1)].astype(np.float64)
    attention = 12 * config.num_hidden_layers * config.hidden_size * float((lengths**2).sum())
    return 6 * layers * float(lengths.sum()) + attention


def share_of_peak(flops_per_epoch: float, history: list[dict[str, Any]]) -> float | None:
    """Of bf16, over the epochs but the first; None on a device whose peak is not listed here."""
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    peak = next((value for key, value in BF16_PEAK_FLOPS.items() if key in name), None)
    seconds = [record["seconds"] for record in history[1:] or history]
    return flops_per_epoch / float(np.mean(seconds)) / peak if peak and seconds else None


if __name__ == "__main__":
    main()
