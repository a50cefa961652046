"""What a run proposes where FLOPs do not order students as the device does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from avatar_optuna.schema import Audit
from avatar_optuna.settings import SearchSettings, StudySettings, TaskSettings, TeacherSettings
from avatar_optuna.verdict import proposal


def _audit(misordered: int, *, trusted: bool = False) -> Audit:
    return Audit(
        students=(),
        correlations=(),
        pairs=100,
        misordered=misordered,
        misordered_interval=(0.0, 1.0),
        worst=(),
        trusted=trusted,
        verdict="",
        device={},
        batch_size=1,
        repeats=21,
        waited_share=None,
        seconds=1.0,
        measured_utc="2026-11-29T00:00:00+00:00",
    )


@pytest.fixture
def settings() -> StudySettings:
    return StudySettings(
        name="study",
        task=TaskSettings(kind="clone-detection", data="data"),
        teacher=TeacherSettings(soft_labels="answers"),
    )


def test_more_than_a_tenth_of_the_pairs_is_too_much(settings: StudySettings) -> None:
    assert proposal(settings, _audit(10)) is None
    assert proposal(settings, _audit(50, trusted=True)) is None
    said = proposal(settings, _audit(11))
    assert said is not None
    assert said.endswith('[search] objectives = ["effectiveness", "size_bytes", "latency_ms"]')


def test_a_constraint_of_flops_is_named_too(settings: StudySettings) -> None:
    limited = replace(settings, constraints=("flops <= 2e9", "size_mb <= 3"))
    said = proposal(limited, _audit(40))
    assert said is not None
    assert said.endswith('; [constraints] latency_ms = "<= MS" in place of flops <= 2e9')


def test_a_study_that_does_not_use_flops_is_told_nothing(settings: StudySettings) -> None:
    by_latency = replace(settings, search=SearchSettings(objectives=("effectiveness", "size_bytes", "latency_ms")))
    assert proposal(by_latency, _audit(40)) is None


def test_what_is_proposed_is_a_study_that_can_be_made(settings: StudySettings) -> None:
    said = proposal(settings, _audit(40))
    assert said is not None
    names = said.partition("objectives = [")[2].rstrip("]").replace('"', "").split(", ")
    assert "latency_ms" in replace(settings, search=SearchSettings(objectives=tuple(names))).predicted_names
