"""The model card of an exported student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatar_optuna.objectives import written
from avatar_optuna.view import DistilledStudent, StudyView


def model_card(view: StudyView, student: DistilledStudent) -> str:
    """What the student is, what it reaches, what it costs, and how each figure was obtained, in Markdown."""
    result, energy = student.result, student.energy
    rows = [
        f"| {split} | {_figure(figures, 'accuracy')} | {_figure(figures, 'balanced_accuracy')} | {figures['inputs']} |"
        for split, figures in (("validation", result.valid), ("test", result.test))
    ]
    joules = (
        f"{energy.joules:.4g} J an input ({energy.source}, idle subtracted)" if energy else "not measured: no counter"
    )
    device = result.device.get("model", result.device)
    timed = "side by side with its teacher" if student.is_compared else "by its own worker, provisional"
    hyperparameters = "\n".join(f"| {name} | {value} |" for name, value in student.hyperparameters.to_dict().items())
    kind = view.settings.task.kind
    return f"""---
library_name: transformers
tags: [code, {kind}]
---
# Student {student.job} of {view.name}

Distilled by avatar-optuna for {kind}, {result.best_epoch} of {student.epochs} epochs kept.

| split | accuracy (95 % interval) | balanced accuracy (95 % interval) | inputs |
| --- | --- | --- | --- |
{chr(10).join(rows)}

The validation split chose the epoch and the student; the test split is only reported.

- weights: {result.size_bytes:,} bytes on disk, {result.parameters:,} parameters
- {written("flops", student.flops)} MFLOPs an input at full length (matrix products, by formula)
- latency: {written("latency_ms", student.latency_ms)} ms, median of one input on {device}, tokenization apart, timed \
{timed}
- energy: {joules}

| hyperparameter | value |
| --- | --- |
{hyperparameters}

Use it with `avatar-optuna predict DIR FILE{" FILE" if view.task_shape.arity == 2 else ""}`.
"""


def _figure(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_interval"]
    return f"{100 * figures[name]:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
