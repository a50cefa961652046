"""Students, their teacher and the CodeBERT architecture, timed by turns in one process: what ratios are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement._energy import measure_energy, open_counter
from avatar_optuna.measurement._latency import (
    Run,
    computing_threads,
    describe_device,
    interleaved_latencies,
    synchronize,
)
from avatar_optuna.measurement._models import CodebertArchitecture, classifier_runs
from avatar_optuna.tasks import Split

TEACHER = "teacher"
CODEBERT_NAME = "codebert"


def compare(
    students: Mapping[str, Classifier],
    teacher: Classifier | None,
    split: Split,
    *,
    batch_sizes: Sequence[int],
    repeats: int,
    device: str,
    threads: int | None = None,
) -> dict[str, Any]:
    """Latency (and energy, where a counter is readable) of all of them, on the same inputs, on a quiet machine.

    Args:
        students: By name.
        teacher: None where only its soft labels are known.
        split: Whose inputs are timed, at their real lengths; CodeBERT reads as many tokens as the teacher (or, without
            one, the first student) does.
        batch_sizes: Batch 1 is always among them.
        repeats: Timed passes of each model and batch size.
        device: Where all of them are.
        threads: On a CPU; None takes one.

    Returns:
        `device`, and by model name `latency` (a list of objects), `parameters`, `size_bytes`, `flops` and `energy`.
    """
    with computing_threads(device, threads):
        models = {**students, **({TEACHER: teacher} if teacher is not None else {})}
        makers = {name: classifier_runs(classifier, split) for name, classifier in models.items()}
        reference = CodebertArchitecture(device)
        makers[CODEBERT_NAME] = reference.runs(teacher or next(iter(students.values())), split)
        sizes = sorted({1, *batch_sizes})
        latencies = interleaved_latencies(makers, batch_sizes=sizes, repeats=repeats, device=device)
        found: dict[str, Any] = {}
        for name, make in makers.items():
            classifier = models.get(name)
            parameters = classifier.num_parameters if classifier is not None else reference.num_parameters
            found[name] = {
                "parameters": parameters,
                "size_bytes": 4 * parameters,
                "flops": forward_flops(classifier) if classifier is not None else None,
                "latency": [latency.to_dict() for latency in latencies[name]],
                "energy": _energy(make, device),
            }
        return {"device": describe_device(device), "repeats": repeats, "models": found}


def forward_flops(classifier: Classifier) -> int:
    """FLOPs of the matrix products of one input at full length, counted by torch as they happen.

    Attention is computed from its single products meanwhile: torch counts nothing of its fused kernel for CPUs.
    """
    ids = torch.full((classifier.task_shape.arity, classifier.max_sequence_length), 5, device=classifier.device)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        classifier.forward(ids)
    return int(counter.get_total_flops())


def _energy(make: Callable[[int], Run], device: str) -> dict[str, Any] | None:
    counter = open_counter(device)
    if counter is None:
        return None
    energy = measure_energy(make(1), counter, settle=lambda: synchronize(device))
    return energy.to_dict() if energy is not None else None
