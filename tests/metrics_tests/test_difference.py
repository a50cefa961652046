"""Paired differences, held to the normal interval of paired answers and to what is known without counting."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_optuna.decision import Decision
from avatar_optuna.measurement import disagreements
from avatar_optuna.metrics import Answers, figure, paired_difference
from avatar_optuna.tasks import Split

N = 400


def _answers(share_right: float, seed: int, *, like: Answers | None = None) -> Answers:
    """Right on a share of the inputs; where another is given, on nine of ten inputs as that one."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 2
    is_right = rng.random(N) < share_right
    if like is not None:
        is_right = np.where(rng.random(N) < 0.9, like.predictions == labels, is_right)
    split = Split(functions=tuple(map(str, range(N))), inputs=np.arange(N, dtype=np.int32)[:, None], labels=labels)
    given = np.where(is_right, labels, 1 - labels)
    return Answers(split=split, logits=np.eye(2)[given] * 2)


def test_its_interval_is_that_of_paired_answers() -> None:
    first = _answers(0.7, 0)
    second = _answers(0.8, 1, like=first)
    found = paired_difference(second, first, "accuracy")
    gains = (second.predictions == second.labels).astype(float) - (first.predictions == first.labels)
    assert found["metric"] == "accuracy"
    assert found["value"] == pytest.approx(gains.mean())
    low, high = found["interval"]
    assert high - low == pytest.approx(2 * 1.96 * gains.std() / np.sqrt(N), rel=0.15)
    assert low < gains.mean() < high


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1", "mcc", "roc_auc"])
def test_equal_answers_do_not_differ(metric: str) -> None:
    answers = _answers(0.7, 0)
    assert paired_difference(answers, answers, metric) == {"metric": metric, "value": 0.0, "interval": [0.0, 0.0]}


def test_the_balanced_accuracy_stands_in_for_what_is_no_figure_of_single_answers() -> None:
    first, second = _answers(0.6, 0), _answers(0.8, 1)
    found = paired_difference(second, first, "map_at_r")
    assert found["metric"] == "balanced_accuracy"
    assert found["value"] == figure("balanced_accuracy", second) - figure("balanced_accuracy", first)


def test_disagreements_are_the_surest_first() -> None:
    labels = np.asarray([0, 1, 0, 1])
    split = Split(functions=("a" * 900, "b", "c", "d"), inputs=np.arange(4, dtype=np.int32)[:, None], labels=labels)
    teacher = Answers(split=split, logits=np.asarray([[3.0, 0], [0, 3], [0, 1], [0, 9]]))
    student = Answers(
        split=split, logits=np.asarray([[0, 2.0], [0, 1], [8, 0], [5, 0]]), decision=Decision(threshold=0.5)
    )
    found = disagreements(student, teacher, ("clean", "buggy"))
    assert [entry.row for entry in found] == [3, 0, 2]
    assert (found[0].label, found[0].teacher_label, found[0].student_label) == ("buggy", "buggy", "clean")
    assert found[0].student_probability == pytest.approx(1 / (1 + np.exp(-5.0)))
    assert len(found[1].texts[0]) < 900
    assert len(disagreements(student, teacher, ("clean", "buggy"), most=1)) == 1
