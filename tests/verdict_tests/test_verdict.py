"""The verdict on a real finished study, and on the same study with other figures or without parts of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from avatar_optuna.schema import Difference
from avatar_optuna.storage import open_storage
from avatar_optuna.verdict import verdict_of
from avatar_optuna.view import DistilledStudent, StudyView, read_view
from tests.finished_study import NAME, FinishedStudy


@pytest.fixture(scope="module")
def view(finished_study: FinishedStudy) -> StudyView:
    """As it is; of its students the intervals alone are above chance, so that the baseline decides."""
    found = read_view(open_storage(finished_study.url), NAME)
    return replace(found, students=tuple(_above_chance(student) for student in found.students))


def _above_chance(student: DistilledStudent) -> DistilledStudent:
    valid = {**student.result.valid, "balanced_accuracy": 0.8, "balanced_accuracy_interval": [0.6, 0.9]}
    return replace(student, result=replace(student.result, valid=valid))


def _beside_baseline(view: StudyView, *, valid: float, test: float) -> StudyView:
    """With these differences, each give or take 0.05."""

    def found(value: float, other: Difference | None) -> dict[str, Difference]:
        own = Difference(metric="accuracy", value=value, interval=(value - 0.05, value + 0.05))
        return {"baseline": own, **({"teacher": other} if other is not None else {})}

    students = tuple(
        replace(
            student,
            differences={
                "valid": found(valid, student.difference("valid", "teacher")),
                "test": found(test, student.difference("test", "teacher")),
            },
        )
        for student in view.students
    )
    return replace(view, students=students)


def test_the_comparison_finds_how_students_lie_beside_teacher_and_baseline(finished_study: FinishedStudy) -> None:
    """Oracle: the figures that jobs, teacher and baseline were measured by, each for itself."""
    view = read_view(open_storage(finished_study.url), NAME)
    assert view.baseline is not None
    assert view.teacher is not None
    for student in view.students:
        for split in ("valid", "test"):
            own = student.result.figures(split)["balanced_accuracy"]
            teacher = view.teacher.figures(split)
            assert teacher is not None
            for other, figures in (("teacher", teacher), ("baseline", view.baseline[split])):
                difference = student.difference(split, other)
                assert difference is not None
                assert difference.metric == "balanced_accuracy"
                assert difference.value == pytest.approx(own - figures["balanced_accuracy"])
                assert difference.interval[0] <= difference.value <= difference.interval[1]
        differing = round((1 - student.fidelity.agreement) * 30) if student.fidelity is not None else None
        assert len(student.disagreements) == min(differing or 0, 6)


def test_a_good_study_says_by_how_much_and_at_what_price(view: StudyView) -> None:
    verdict = verdict_of(_beside_baseline(view, valid=0.1, test=0.08))
    assert (verdict.answer, verdict.next_steps, verdict.is_final) == ("yes", (), True)
    assert verdict.recommendation is not None
    job = verdict.recommendation.student.job
    assert verdict.sentence.startswith(
        f"Yes: student {job} beats TF-IDF with logistic regression by 8.0 points of accuracy (95 % interval, paired: "
        "+3.0 to +13.0) on test; beside its teacher it is "
    )
    assert "× smaller" in verdict.sentence
    assert "× faster" in verdict.sentence


def test_what_test_does_not_confirm_is_not_sure(view: StudyView) -> None:
    verdict = verdict_of(_beside_baseline(view, valid=0.1, test=0.01))
    assert verdict.answer == "unsure"
    assert verdict.recommendation is not None
    assert "but not beyond noise on test (+1.0 points (95 % interval -4.0 to +6.0))" in verdict.sentence
    assert any("30 and 30 inputs" in step for step in verdict.next_steps)


def test_what_noise_may_explain_is_not_sure_either(view: StudyView) -> None:
    verdict = verdict_of(_beside_baseline(view, valid=0.03, test=0.08))
    assert (verdict.answer, verdict.recommendation) == ("unsure", None)
    assert verdict.sentence.startswith(f"Not sure: none of {len(view.students)} students beats TF-IDF")


def test_a_bad_study_says_what_to_try_and_names_a_worthless_teacher(view: StudyView) -> None:
    bad = _beside_baseline(view, valid=-0.1, test=-0.2)
    verdict = verdict_of(bad)
    assert (verdict.answer, verdict.recommendation) == ("no", None)
    assert "-10.0 points (95 % interval -15.0 to -5.0) on validation" in verdict.sentence
    assert "-20.0 points (95 % interval -25.0 to -15.0) on test" in verdict.sentence
    assert verdict.next_steps[0].startswith("Distil longer (distillation.epochs is 4)")
    assert bad.teacher is not None
    chance = {**bad.teacher.valid, "balanced_accuracy": 0.5, "balanced_accuracy_interval": [0.4, 0.6]}
    first = verdict_of(replace(bad, teacher=replace(bad.teacher, valid=chance))).next_steps[0]
    assert first == "A better teacher first: the teacher is not better than chance (50.0 %): try another one."
    assert bad.baseline is not None
    of_macro_f1 = {"balanced_accuracy": 0.7, "macro_f1": 0.25}
    settings = replace(bad.settings, measurement=replace(bad.settings.measurement, effectiveness="macro_f1"))
    rare = replace(bad, settings=settings, baseline={**bad.baseline, "valid": of_macro_f1})
    assert verdict_of(rare).next_steps[-1].endswith("is the simpler choice: 25.0 % macro F1 on validation.")


def test_a_study_that_is_half_done_says_so(view: StudyView) -> None:
    going_on = "`avatar-optuna run STUDY.toml` goes on where the study stopped."
    half = replace(_beside_baseline(view, valid=0.1, test=0.08), jobs={**view.jobs, "WAITING": 1})
    verdict = verdict_of(half)
    assert verdict.sentence.startswith("So far yes: student ")
    assert verdict.next_steps == (going_on,)
    none = verdict_of(replace(half, students=()))
    assert (none.answer, none.recommendation, none.is_final) == ("unknown", None, False)
    assert none.sentence == "Not known yet: no student of the front is distilled."
    assert none.next_steps[0] == going_on


def test_a_study_of_an_earlier_version_has_no_paired_interval(view: StudyView) -> None:
    earlier = replace(view, students=tuple(replace(student, differences={}) for student in view.students))
    assert earlier.baseline is not None
    for baseline, answer in ((0.55, "yes"), (0.7, "unsure"), (0.85, "no")):
        figures = {split: {**own, "balanced_accuracy": baseline} for split, own in earlier.baseline.items()}
        verdict = verdict_of(replace(earlier, baseline=figures))
        assert verdict.answer == answer
        assert "80.0 % (60.0 to 90.0)" in verdict.sentence
