"""The page of a real finished study, and of the same study with parts of it taken away."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar_optuna.decision import Decision
from avatar_optuna.exceptions import InputError
from avatar_optuna.report import Content, content_of, render, write_report
from avatar_optuna.report._students import confusion, confusions
from avatar_optuna.schema import Difference, Disagreement, Energy
from avatar_optuna.storage import open_storage
from avatar_optuna.verdict import Verdict
from avatar_optuna.view import DistilledStudent, StudyView, read_view
from tests.finished_study import NAME, FinishedStudy

SECTIONS = [
    "recommended",
    "front",
    "students",
    "trust",
    "search",
    "stand-ins",
    "cost",
    "data-audit",
    "asked",
    "provenance",
]


def _better(view: StudyView, by: float) -> StudyView:
    """Its students beside the baseline: the words of this small study are all that its labels need."""
    found = Difference(metric="accuracy", value=by, interval=(by - 0.05, by + 0.05))

    def changed(student: DistilledStudent) -> DistilledStudent:
        valid = {**student.result.valid, "balanced_accuracy_interval": [0.6, 1.0]}
        differences = {split: {**others, "baseline": found} for split, others in student.differences.items()}
        return replace(student, result=replace(student.result, valid=valid), differences=differences)

    return replace(view, students=tuple(map(changed, view.students)))


@pytest.fixture(scope="module")
def content(finished_study: FinishedStudy) -> Content:
    return content_of(_better(read_view(open_storage(finished_study.url), NAME), 0.1))


@pytest.fixture(scope="module")
def empty(content: Content) -> Content:
    """A study that was created and nothing more."""
    return replace(
        content,
        teacher=None,
        baseline=None,
        data=None,
        data_audit=None,
        feasible=None,
        rounds=(),
        students=(),
        indicator_samples=(),
        jobs=dict.fromkeys(content.jobs, 0),
        compared=None,
        volumes={},
        verdict=Verdict(answer="unknown", sentence="-", next_steps=(), recommendation=None, is_final=False),
        cost=None,
        estimated_power=None,
        provenance={},
    )


def _sections(page: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', page)


def test_a_finished_study_lacks_nothing(content: Content) -> None:
    page = render(content)
    assert _sections(page) == [*SECTIONS[:3], "metrics", *SECTIONS[3:5], "learning", *SECTIONS[5:]]
    assert all(title in page for title in ("MCC", "PR-AUC", "Recall by label, on test"))
    assert content.recommendation is not None
    assert content.recommendation.reason in page
    assert "What is missing" not in page
    assert re.search(
        r"[\d,]+ inferences save the time of the whole study \(95 % interval by .*: [\d,]+ to ([\d,]+|never)\)", page
    )


def test_a_student_that_is_not_better_than_the_baseline_is_not_recommended(finished_study: FinishedStudy) -> None:
    found = content_of(_better(read_view(open_storage(finished_study.url), NAME), -0.1))
    assert found.students
    assert found.recommendation is None
    page = render(found)
    assert '<p id="verdict" class="no">No: none of ' in page
    assert "-10.0 points (95 % interval -15.0 to -5.0) on validation" in page
    assert "What to try next" in page
    assert "Export it" not in page


def test_an_empty_study_says_what_is_missing(empty: Content) -> None:
    page = render(empty)
    assert _sections(page) == ["missing", *(section for section in SECTIONS if section != "data-audit")]
    assert "The teacher has not been measured." in page
    assert "The search of round 1 has not begun." in page
    assert 'class="plot"' not in page


def test_energy_is_shown_where_it_was_measured(content: Content) -> None:
    energy = Energy(joules=0.0123, idle_watts=1.0, gross_joules=0.02, passes=9, window_s=3.0, source="rapl")
    students = tuple(
        replace(student, energy=energy, figures={**student.figures, "energy_j": energy.joules})
        for student in content.students
    )
    page = render(replace(content, students=students))
    assert '<th scope="col">J</th>' in page
    assert "<td>0.0123</td>" in page
    assert '<th scope="col">J</th>' not in render(content)


def test_text_of_a_study_is_escaped(content: Content) -> None:
    page = render(replace(content, name="<i>name</i>", failures=((3, "a <b> & more"),)))
    assert "<h1>&lt;i&gt;name&lt;/i&gt;</h1>" in page
    assert "Job 3 failed: a &lt;b&gt; &amp; more" in page
    assert "<i>name" not in page


def test_a_report_is_written_to_regular_files_and_through_links(tmp_path: Path, finished_study: FinishedStudy) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.html").symlink_to(tmp_path / "target.html")
    view = read_view(finished_study.open().storage, NAME)
    for out in (tmp_path / "pipe", Path("/dev/null"), tmp_path, tmp_path / "absent" / "r.html"):
        with pytest.raises(InputError, match="--out must be"):
            write_report(view, out)
    write_report(view, tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "target.html").stat().st_size > 10_000
    assert Path("/dev/null").is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.html", "pipe", "target.html"]


def test_thresholds_and_what_is_as_the_teacher_are_shown(content: Content) -> None:
    page = render(content)
    assert "as teacher, %" in page
    assert "ECE uncalibrated ↓" in page
    assert '<th scope="col">threshold</th>' not in page
    assert content.recommendation is not None
    first, *others = content.students
    missed = "precision &gt;= 0.9 cannot be reached on validation: the highest precision is 0.831, at a recall of 0.120"
    decision = Decision(temperature=1.5, threshold=0.123456, missed=missed.replace("&gt;", ">"))
    changed = replace(first, result=replace(first.result, decision=decision))
    distillation = replace(content.settings.distillation, threshold="precision >= 0.9")
    page = render(
        replace(
            content,
            students=(changed, *others),
            settings=replace(content.settings, distillation=distillation),
            verdict=replace(content.verdict, recommendation=replace(content.recommendation, student=changed)),
        )
    )
    assert '<th scope="col">threshold</th>' in page
    assert "0.123<small>misses its aim</small>" in page
    assert f"Student {first.job}: {missed}." in page
    assert "from a probability of 0.123 on, chosen on validation for precision &gt;= 0.9; but precision" in page
    assert "chosen on validation for precision &gt;= 0.9, of each student, the teacher and the baseline" in page


def test_a_study_of_an_earlier_version_has_none_of_these(content: Content) -> None:
    new = ("ece", "ece_uncalibrated", "ece_interval", "ece_uncalibrated_interval")

    def without(figures: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in figures.items() if name not in new}

    students = tuple(
        replace(
            student,
            fidelity=None,
            result=replace(
                student.result,
                valid=without(student.result.valid),
                test=without(student.result.test),
                decision=None,
            ),
        )
        for student in content.students
    )
    assert content.teacher is not None
    assert content.teacher.test is not None
    assert content.baseline is not None
    teacher = replace(
        content.teacher,
        valid=without(content.teacher.valid),
        test=without(content.teacher.test),
        decision=None,
    )
    baseline = {split: without(figures) for split, figures in content.baseline.items()}
    page = render(replace(content, students=students, teacher=teacher, baseline=baseline))
    page = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not [word for word in ("as teacher", "ECE", "Label as teacher", "↓") if word in page]


def test_the_funnel_counts_how_far_configurations_came(content: Content, empty: Content) -> None:
    """Oracle: the study file, which asks for 5 samples, two rounds of 60 trials and two students of each."""
    stages = dict(content.funnel)
    assert stages["feasible configurations scored by the indicator"] == 120
    assert stages["briefly trained"] == 5
    assert stages["distilled to the end and measured"] == len(content.students) <= 4
    assert stages["better than chance and baseline beyond noise, on validation"] == len(content.students)
    assert "of these promoted to a longer training" not in stages
    assert empty.funnel == [("briefly trained", 0)]
    first = content.indicator_samples[0]
    longer = replace(first, job=99, epochs=first.epochs + 2)
    search = replace(content.settings.search, policy="rounds")
    halved = replace(
        content,
        indicator_samples=(*content.indicator_samples, longer),
        settings=replace(content.settings, search=search),
    )
    stages = dict(halved.funnel)
    assert (stages["briefly trained"], stages["of these promoted to a longer training"]) == (5, 1)


def test_a_confusion_matrix_is_the_same_from_the_recall_of_two_labels(content: Content) -> None:
    for figures in content.figures("test").values():
        stored = confusion(figures)
        assert stored is not None
        assert sum(map(sum, stored)) == figures["inputs"]
        assert confusion({name: value for name, value in figures.items() if name != "confusion"}) == stored
    assert len(confusions(content)) == len(content.students) + 2


def test_of_many_labels_the_commonest_confusions_are_shown(content: Content) -> None:
    names = {f"label {index}": {"recall": 1.0, "inputs": 9} for index in range(12)}
    counts = np.diag([9] * 12)
    counts[3, 7], counts[1, 2] = 5, 2
    view = replace(content, students=(), teacher=None, baseline={"valid": {}, "test": {"by_class": names}})
    assert confusions(view) == []
    view = replace(view, baseline={"valid": {}, "test": {"by_class": names, "confusion": counts.tolist()}})
    assert confusions(view) == [
        ("TF-IDF", ["label", "answered as", "inputs"], [["label 3", "label 7", "5"], ["label 1", "label 2", "2"]])
    ]


def test_functions_that_teacher_and_student_judge_differently_are_shown_as_text(content: Content) -> None:
    example = Disagreement(
        row=7,
        texts=("if (a < b) { x(); }",),
        label="clean",
        teacher_label="clean",
        student_label="vulnerable",
        teacher_probability=0.9,
        student_probability=0.8,
    )
    students = tuple(replace(student, disagreements=(example,)) for student in content.students)
    assert content.recommendation is not None
    chosen = next(student for student in students if student.job == content.recommendation.student.job)
    verdict = replace(content.verdict, recommendation=replace(content.recommendation, student=chosen))
    page = render(replace(content, students=students, verdict=verdict))
    assert "<pre>if (a &lt; b) { x(); }</pre>" in page
    assert "Input 7: it is <strong>clean</strong>; the teacher says clean (0.90), the student vulnerable (0.80)" in page
    assert "The teacher is right." in page
