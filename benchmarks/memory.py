"""The GPU memory that training a student takes: its peak, by family, kind of positions and length.

    python -m benchmarks.memory --data DIR --device cuda

Each student is trained for some steps on a part of BigCloneBench with random answers in the place of a teacher's, and
its validation inputs are asked, as `run --dry-run` does it. Prints Markdown: the peak that torch has allotted, in MiB,
and how many students of it fit beside each other, by memory alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from avatar_optuna.distillation import limit_device_memory
from avatar_optuna.measurement import time_training
from avatar_optuna.settings import DistillationSettings, StudySettings, TaskSettings, load_study_file
from avatar_optuna.students import FAMILIES, Configuration
from avatar_optuna.tasks import load_task
from benchmarks.headline import device_name

STUDY = Path(__file__).parent / "data" / "landscape_recommended.toml"
_TRANSFORMER = {
    "tokenizer": "BPE",
    "vocab_size": 8000,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "learning_rate": 1e-3,
    "pair_head": "symmetric",
}
_HASHED = {
    "grams": "token-bigrams",
    "buckets": 8192,
    "width": 64,
    "pooling": "mean+max",
    "num_hidden_layers": 1,
    "intermediate_size": 128,
    "hidden_dropout_prob": 0.0,
    "learning_rate": 1e-2,
}
_SHAPES = {"3 x 96, 4 heads": (3, 96, 384, 4), "6 x 192, 8 heads": (6, 192, 768, 8)}


def main() -> None:
    """Print a row a student."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch-size", type=int, default=64, help="functions a step")
    parser.add_argument("--longest", type=int, nargs="*", default=[256, 512], help="tokens of a function at most")
    parser.add_argument("--share", type=float, default=1.0, help="of the device's memory, that may be taken")
    options = parser.parse_args()
    settings = study_settings(options.data)
    task = load_task(settings.task)
    limit_device_memory(options.device, options.share)
    total = torch.cuda.get_device_properties(options.device).total_memory * options.share
    print(f"{device_name(options.device)}, torch {torch.__version__}, {options.batch_size} functions a step\n")
    print("| student | positions | tokens at most | MiB | fit beside each other |\n| --- | --- | ---: | ---: | ---: |")
    for name, student in students(options.longest, options.batch_size):
        torch.cuda.empty_cache()
        peak = time_training(student, task, settings, device=options.device).device_memory_bytes
        assert peak is not None
        positions = student.values.get("position_embedding_type", "")
        length = student.max_sequence_length
        print(f"| {name} | {positions} | {length:,} | {peak / 2**20:,.0f} | {total // peak:,.0f} |", flush=True)


def study_settings(data: str) -> StudySettings:
    """Of the recommended recipe, on this data."""
    settings = load_study_file(STUDY)
    task = TaskSettings(kind="clone-detection", data=data)
    return replace(settings, task=task, distillation=DistillationSettings(epochs=20, hard_label_weight=0.3))


def students(longest: list[int], batch_size: int) -> Iterator[tuple[str, Configuration]]:
    """Each shape with each kind of positions and each length, and a hashed student."""
    for length in longest:
        common = {"max_sequence_length": length, "batch_size": batch_size}
        yield "hashed, 8,192 x 64", FAMILIES.get("hashed").configure(**_HASHED, **common)
        for name, (layers, width, inner, heads) in _SHAPES.items():
            for positions in ("absolute", "relative_key", "relative_key_query"):
                yield (
                    name,
                    FAMILIES.get("transformer").configure(
                        **_TRANSFORMER,
                        **common,
                        num_hidden_layers=layers,
                        hidden_size=width,
                        intermediate_size=inner,
                        num_attention_heads=heads,
                        position_embedding_type=positions,
                    ),
                )


if __name__ == "__main__":
    main()
