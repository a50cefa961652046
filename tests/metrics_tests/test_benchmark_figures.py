"""Figures and intervals of `benchmarks.sizes`, `families` and `robustness`, by the package's own and by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.decision import Aim, decide
from avatar_optuna.metrics import Answers, figure
from avatar_optuna.tasks import Split, Task
from benchmarks.drawn_figures import METRICS, drawn_figure, interval
from benchmarks.families import balanced, cells, figures_of, with_own
from benchmarks.robustness import Answers as Scores
from benchmarks.robustness import Probe, after_name, before_name, log_odds_of, syllables_probe, table, table_of_edits
from benchmarks.sizes import RANGES, draws


def _task(count: int = 120) -> Task:
    """Functions alone; the two of a fix stand beside each other."""
    split = Split(
        functions=tuple(f"f{number}" for number in range(count)),
        inputs=np.arange(count, dtype=np.int32)[:, None],
        labels=np.arange(count, dtype=np.int64) % 2,
        fixes=np.arange(count, dtype=np.int32) // 2,
    )
    shape = TaskShape(arity=1)
    return Task(kind="made", shape=shape, language="c", label_names=("a", "b"), train=split, valid=split, test=split)


def _logits(task: Task, seed: int, skill: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    odds = np.random.default_rng(seed).normal(size=len(task.test)) + skill * (2 * task.test.labels - 1)
    return np.stack([np.zeros(len(odds)), odds], axis=1)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d+", text)]


@pytest.mark.parametrize("metric", METRICS)
def test_a_figure_is_the_packages_own_and_lies_within_its_interval(metric: str) -> None:
    task = _task()
    logits = _logits(task, 0, 0.5)
    own = drawn_figure(task, logits, metric)
    assert own[0] == pytest.approx(figure(metric, Answers(split=task.test, logits=logits)))
    value, low, high = _numbers(interval([own]))
    assert low < value < high
    assert value == pytest.approx(100 * own[0], abs=0.006)


@pytest.mark.parametrize("metric", METRICS)
def test_a_difference_is_paired(metric: str) -> None:
    task = _task()
    better, worse = (drawn_figure(task, _logits(task, 0, skill), metric) for skill in (2.0, 0.0))
    assert _numbers(interval([better], [better])) == [0, 0, 0]
    value, low, high = _numbers(interval([better, better], [worse]))
    assert value == pytest.approx(100 * (better[0] - worse[0]), abs=0.006)
    assert 0 < low < value < high


def _probe(name: str, labels: list[int], variants: int) -> Probe:
    texts = [f"f{place}" for place in range(len(labels))]
    inputs = np.arange(len(labels))[:, None]
    return Probe(name=name, functions=texts, inputs=inputs, labels=np.array(labels), variants=[texts] * variants)


def test_weights_of_balanced_labels_by_hand() -> None:
    weight = balanced(np.full((1, 4), 0.25), np.array([1, 1, 1, 0]))
    assert weight[0] == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_figures_of_families_by_hand() -> None:
    labels = [1, 1, 1, 0] * 20
    probes = [_probe("validation", labels, 0), _probe("test", labels, 0), _probe("renamed", labels, 2)]
    ones, right = [1.0] * 80, [2.0 * label - 1 for label in labels]
    given = {"validation": [ones], "test": [right], "renamed": [right, right, ones]}  # every 0 flips in one of two
    seeds = [figures_of(probes, given)]
    weights = [with_own(probe) for probe in probes]
    values = [_numbers(cell)[0] for cell in cells(probes, weights, seeds, None)]
    assert values == [50.0, 100.0, 100.0, 87.5, -12.5, 25.0]
    assert all(_numbers(cell) == [0, 0, 0] for cell in cells(probes, weights, seeds, seeds))


@pytest.mark.parametrize("family", RANGES)
@pytest.mark.parametrize("arity", [1, 2])
def test_drawn_students_take_most_of_their_budget(family: str, arity: int) -> None:
    shape = TaskShape(arity=arity)
    drawn = list(draws(family, shape, 35_000, 5, 1e8))
    assert len({repr(student.to_dict()) for student in drawn}) == 5
    for student in drawn:
        assert 0.6 * 35_000 <= size_bytes(student, shape) <= 35_000
        assert flops(student, shape) <= 1e8
    assert [student.to_dict() for student in draws(family, shape, 35_000, 5, 1e8)] == [one.to_dict() for one in drawn]


def _scores(probe: Probe, wrong: int, flipped: int) -> Scores:
    """Log-odds; the first `wrong` have the wrong sign, and the last of two variants flips the first `flipped`."""
    own = 2.0 * probe.labels - 1
    own[:wrong] *= -1
    other = own.copy()
    other[:flipped] *= -1
    return {probe.name: [own.tolist(), own.tolist(), other.tolist()]}


def test_a_table_of_flips_by_hand() -> None:
    task = _task()
    probe = _probe("own edits", task.test.labels.tolist(), 2)
    after = after_name("hashed", 9)
    asked = {
        "hashed": [_scores(probe, 12, 24), _scores(probe, 24, 36)],
        after: [_scores(probe, 12, 12), _scores(probe, 12, 18)],
        "teacher": [_scores(probe, 0, 0)],
    }
    rows = table("made", task, [probe], asked, dict.fromkeys(asked, 1000)).splitlines()[4:7]
    teacher, before, edited = ([_numbers(cell)[:1] for cell in row.strip("|").split("|")[3:]] for row in rows)
    assert teacher == [[100.0], [], [100.0], [], [0.0], [], []]
    assert before == [[85.0], [], [85.0], [], [25.0], [], []]
    assert edited == [[90.0], [5.0], [90.0], [5.0], [12.5], [-12.5], [0.5]]
    assert "| hashed | 0.00 | 25.00 |" in table_of_edits(task, probe, asked)


def test_names_of_students_that_learn_from_edits() -> None:
    assert before_name(after_name("hashed-91-KB-int8", 9)) == "hashed-91-KB-int8"
    assert before_name("hashed-91-KB-int8") is None


def test_names_of_syllables_differ_between_variants() -> None:
    split = replace(_task().test, functions=tuple(f"int f{place}(int n) {{ return n; }}" for place in range(120)))
    probe = syllables_probe(replace(_task(), test=split))
    names = [re.fullmatch(r"int f0\(int ([a-z]{8})\) { return \1; }", texts[0]) for texts in probe.variants]
    assert len({name[1] for name in names if name}) == 5


def test_a_threshold_in_log_odds_gives_the_labels_of_the_decision() -> None:
    task = _task()
    logits = _logits(task, 0, 0.5) + np.array([0.0, 2.0])
    decision = decide(logits, task.test.labels, Aim.parse("balanced_accuracy"))
    bar = log_odds_of(decision)
    assert bar > 1
    assert (logits[:, 1] - logits[:, 0] > bar).tolist() == (decision.labels(logits) == 1).tolist()
