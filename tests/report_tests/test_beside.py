"""Two studies side by side: the paired difference against the metrics' own, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from avatar_optuna.exceptions import InputError
from avatar_optuna.interface import open_study
from avatar_optuna.metrics import Answers, difference_of_draws, paired_difference, resampled_figures
from avatar_optuna.report import Beside, content_of, render_beside
from avatar_optuna.report._beside import _written
from avatar_optuna.report._beside_page import figure_of, limits_rows, sentence, students_rows
from avatar_optuna.schema import ResampledFigure
from avatar_optuna.storage import open_storage
from avatar_optuna.tasks import Split
from avatar_optuna.view import StudyView, read_view
from tests.commands import run_command
from tests.finished_study import NAME, FinishedStudy


def _answers(rng: np.random.Generator, split: Split, skill: float) -> Answers:
    right = np.where(rng.random(len(split.labels)) < skill, split.labels, 1 - split.labels)
    logits = rng.normal(size=(len(right), 2))
    logits[np.arange(len(right)), right] += 3.0
    return Answers(split=split, logits=logits)


def _split(rng: np.random.Generator, count: int = 120, functions: int = 60) -> Split:
    return Split(
        functions=tuple(f"int f{index}();" for index in range(functions)),
        inputs=rng.integers(0, functions, size=(count, 2)),
        labels=rng.integers(0, 2, size=count),
    )


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1", "mcc", "roc_auc"])
def test_the_difference_of_stored_draws_is_the_paired_difference(metric: str) -> None:
    rng = np.random.default_rng(0)
    split = _split(rng)
    own, other = (_answers(rng, split, skill) for skill in (0.85, 0.7))
    expected = paired_difference(own, other, metric)
    (one, *_), (two, *_) = (resampled_figures(answers, metric) for answers in (own, other))
    assert one["inputs"] == two["inputs"]
    assert one["metric"] == expected["metric"] == metric
    value, interval = difference_of_draws((one["value"], one["draws"]), (two["value"], two["draws"]))
    assert value == pytest.approx(expected["value"])
    assert interval == pytest.approx(tuple(expected["interval"]), abs=1e-5)


def test_other_inputs_have_another_name() -> None:
    rng = np.random.default_rng(1)
    split = _split(rng)
    names = set()
    labels = split.labels.copy()
    labels[0] = 1 - labels[0]
    for changed in (
        split,
        replace(split, labels=labels),
        replace(split, inputs=split.inputs[:, ::-1].copy()),
        replace(split, functions=("int g();", *split.functions[1:])),
    ):
        names |= {figure["inputs"] for figure in resampled_figures(_answers(rng, changed, 0.8), "f1")}
    assert len(names) == 4


@pytest.fixture(scope="module")
def view(finished_study: FinishedStudy) -> StudyView:
    return read_view(open_storage(finished_study.url), NAME)


def _worse(view: StudyView, by: float, **changes: object) -> StudyView:
    """The same study under another name, whose students answer worse in each draw."""
    students = tuple(
        replace(
            student,
            resampled=tuple(
                replace(
                    one, value=one.value - by, draws=tuple(None if d is None else d - by for d in one.draws), **changes
                )
                for one in student.resampled
            ),
        )
        for student in view.students
    )
    return replace(view, name="other", students=students)


def _beside(first: StudyView, second: StudyView) -> Beside:
    return Beside(content_of(first), content_of(second))


def test_a_comparison_keeps_what_a_difference_is_made_of(view: StudyView) -> None:
    for student in view.students:
        (figure,) = student.resampled
        assert isinstance(figure, ResampledFigure)
        assert figure.metric == view.metric == "balanced_accuracy"
        assert figure.value == pytest.approx(student.result.test["balanced_accuracy"])
        assert len(figure.draws) == 500
    assert len({figure.inputs for student in view.students for figure in student.resampled}) == 1


def test_what_is_better_beyond_noise_is_said(view: StudyView) -> None:
    """Each draw of the other study is 12 points lower, so the interval is that point."""
    beside = _beside(view, _worse(view, 0.12))
    assert beside.difference is not None
    assert beside.difference.value == pytest.approx(0.12)
    assert beside.difference.interval == pytest.approx((0.12, 0.12), abs=1e-5)
    job = view.students[0].job
    assert sentence(beside) == (
        f"On the same test inputs student {job} of {NAME} is better than student {job} of other in balanced accuracy "
        "(+12.0 points, 95 % interval, paired: +12.0 to +12.0)."
    )
    assert "is worse than" in sentence(_beside(_worse(view, 0.12), view))
    assert "differ within noise" in sentence(_beside(view, _worse(view, 0.0)))


def test_one_sentence_says_why_there_is_no_difference(view: StudyView) -> None:
    early = replace(view, name="early", students=tuple(replace(s, resampled=()) for s in view.students))
    open_ = replace(view, name="open", students=tuple(replace(s, is_compared=False) for s in view.students))
    for other, reason in (
        (_worse(view, 0.0, inputs="others"), "the two studies have other test inputs"),
        (_worse(view, 0.0, metric="f1"), "not kept in the same metric"),
        (early, "an earlier version compared student"),
        (open_, "has not compared student"),
        (replace(view, name="empty", students=()), "no student of empty is distilled yet"),
    ):
        beside = _beside(view, other)
        assert beside.difference is None
        assert sentence(beside).startswith("No paired difference is given: ")
        assert reason in sentence(beside)
        assert reason in render_beside(view, other).replace("&#39;", "'")


def test_the_best_under_limits_are_the_best_that_keep_them(view: StudyView) -> None:
    small_ones = tuple(replace(s, result=replace(s.result, size_bytes=9_000)) for s in view.students)
    tiny = replace(view, name="tiny", students=small_ones)
    beside = _beside(view, tiny)
    rows = {limit.size_bytes: limit.best for limit in beside.limits}
    assert min(rows) == 10_000
    for size_bytes, best in rows.items():
        for side, student in zip(beside.sides, best, strict=True):
            small = [one for one in side.students if one.size_bytes <= size_bytes]
            assert (student is None) == (not small)
            assert student is None or student.effectiveness == max(one.effectiveness for one in small)
    assert len(limits_rows(beside)) == len(rows)


def test_both_fronts_are_in_one_figure(view: StudyView) -> None:
    figure = figure_of(_beside(view, _worse(view, 0.1)))
    names = [trace["name"] for trace in figure["data"]]
    assert names == [f"{NAME}, predicted", "other, predicted", f"{NAME}, measured", "other, measured"]
    assert figure["data"][2]["text"] == [str(student.job) for student in view.students]
    assert [line["text"] for line in figure["layout"]["annotations"]] == ["both teachers"]


def test_settings_that_differ_are_listed(view: StudyView) -> None:
    settings = replace(view.settings, distillation=replace(view.settings.distillation, epochs=99))
    distributions = CategoricalDistribution([8, 64]), IntDistribution(16, 40), FloatDistribution(0.5, 0.5)
    assert [_written(distribution_to_json(one)) for one in distributions] == ["8, 64", "16 to 40", "0.5"]
    beside = _beside(view, replace(view, name="other", settings=settings))
    assert beside.changed_settings == [("distillation.epochs", "4", "99")]
    assert next(title for title, *_ in students_rows(beside)) == "student"


def test_names_are_escaped(view: StudyView) -> None:
    page = render_beside(view, replace(view, name="</script><script>alert(1)</script>"))
    assert "<script>alert" not in page


def test_the_command_writes_both(finished_study: FinishedStudy, tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    words = ("report", "--storage", finished_study.url, "--study-name", NAME, "--out", str(out))
    for name, message in ((NAME, "--beside must be another study"), ("nothing", "must be a study of the database")):
        refused = run_command(tmp_path, *words, "--beside", name)
        assert refused.exit_code == 2
        assert message in refused.output
    assert not out.exists()
    study = open_study(NAME, storage=finished_study.url)
    with pytest.raises(InputError, match="twice"):
        study.write_report(out, beside=open_study(NAME, storage=finished_study.url))
