"""A teacher that is worse than chance or than the baseline is named as such: its students will be no better."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from avatar_optuna.pipeline import begin
from avatar_optuna.pipeline._teacher_phase import TeacherPhase
from avatar_optuna.progress import Progress
from avatar_optuna.settings import StudySettings, TaskSettings, TeacherSettings
from avatar_optuna.tasks import load_task
from tests.finished_study import write_study


@pytest.mark.parametrize(
    ("share_right", "warning"),
    [
        (1.0, None),
        (0.8, "warning    the teacher is worse than the baseline (100.0 %)"),
        (0.5, "warning    the teacher is not better than chance (50.0 %): try another one"),
    ],
)
def test_a_weak_teacher_is_named(tmp_path: Path, share_right: float, warning: str | None) -> None:
    """Soft labels are right on a share of the inputs of each label; the baseline reads the keyword and errs never."""
    write_study(tmp_path)
    task_settings = TaskSettings(kind="vulnerability-prediction", data=str(tmp_path / "data"))
    task = load_task(task_settings)
    for name in ("train", "valid"):
        labels = task.splits[name].labels
        answers = labels.copy()
        for label in (0, 1):
            rows = np.flatnonzero(labels == label)
            answers[rows[round(share_right * len(rows)) :]] = 1 - label
        np.save(tmp_path / f"soft_labels_{name}.npy", np.eye(2, dtype=np.float32)[answers])
    settings = StudySettings(name="weak", task=task_settings, teacher=TeacherSettings(soft_labels=str(tmp_path)))
    said = io.StringIO()
    run = begin(
        settings,
        storage_url=f"sqlite:///{tmp_path}/studies.db",
        artifacts=str(tmp_path / "artifacts"),
        cache_dir=tmp_path / "cache",
        slots=(),
        progress=Progress(Console(file=said, width=200)),
    )
    TeacherPhase(workforce=run).run()
    assert [line for line in said.getvalue().splitlines() if "warning" in line] == ([warning] if warning else [])
