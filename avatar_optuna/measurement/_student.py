"""Everything that is measured of one classifier once it stands: figures of two splits, latency, energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement._effectiveness import effectiveness
from avatar_optuna.measurement._energy import measure_energy, open_counter
from avatar_optuna.measurement._latency import interleaved_latencies, synchronize
from avatar_optuna.measurement._models import classifier_runs
from avatar_optuna.tasks import Split, Task

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Figures of one classifier.

    Args:
        valid: Of the validation split (see `effectiveness`).
        test: Of the test split: for reporting only.
        latency: One object for each batch size.
        energy: Measured energy of one pass at batch 1, or None where the device has no counter or others use it.
    """

    valid: Mapping[str, Any]
    test: Mapping[str, Any]
    latency: tuple[Mapping[str, Any], ...]
    energy: Mapping[str, Any] | None


def measure(
    classifier: Classifier,
    task: Task,
    *,
    batch_sizes: Sequence[int],
    repeats: int,
    device: str,
    has_device_alone: bool = True,
) -> Measurement:
    """Measure one classifier on its device.

    Args:
        classifier: The classifier, loaded from its files.
        task: Its task.
        batch_sizes: For the latency; batch 1 is always among them.
        repeats: Timed passes for each batch size.
        device: Where the classifier is.
        has_device_alone: Whether nothing else computes there: a counter cannot tell whose joules it counts.
    """
    sizes = sorted({1, *batch_sizes})
    runs = classifier_runs(classifier, task.test)
    latencies = interleaved_latencies({"model": runs}, batch_sizes=sizes, repeats=repeats, device=device)["model"]
    counter = open_counter(device) if has_device_alone else None
    energy = None
    if counter is not None:
        energy = measure_energy(runs(1), counter, settle=lambda: synchronize(device))
    return Measurement(
        valid=figures_of(classifier, task.valid),
        test=figures_of(classifier, task.test),
        latency=tuple(latency.to_dict() for latency in latencies),
        energy=energy.to_dict() if energy is not None else None,
    )


def figures_of(classifier: Classifier, split: Split) -> dict[str, Any]:
    """How effective a classifier is on a split (see `effectiveness`)."""
    logits = classifier.predict_logits(split.functions, split.inputs, batch_size=_BATCH)
    return effectiveness(split.labels, logits.argmax(axis=1), num_labels=logits.shape[1])
