"""A metric has one name wherever people read it."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from avatar_optuna.renderers import front_table, model_card, student_note
from avatar_optuna.report import content_of, render
from avatar_optuna.schema import Difference
from avatar_optuna.settings import EFFECTIVENESS_METRICS
from avatar_optuna.storage import open_storage
from avatar_optuna.verdict import verdict_of
from avatar_optuna.view import METRIC_TITLES, DistilledStudent, StudyView, metric_title, read_view
from tests.finished_study import NAME, FinishedStudy


def test_every_metric_that_a_study_can_select_by_has_a_name() -> None:
    assert set(EFFECTIVENESS_METRICS) <= set(METRIC_TITLES)
    assert metric_title("precision >= 0.9") == "precision >= 0.9"


@pytest.fixture(scope="module", params=["roc_auc", "pr_auc", "mcc", "f1", "macro_f1"])
def view(request: pytest.FixtureRequest, finished_study: FinishedStudy) -> StudyView:
    """The finished study as if it selected by a metric and chose thresholds by F1, its students beside the baseline."""
    view, metric = read_view(open_storage(finished_study.url), NAME), request.param
    difference = Difference(metric=metric, value=-0.1, interval=(-0.15, -0.05))

    def changed(student: DistilledStudent) -> DistilledStudent:
        return replace(student, differences={split: {"baseline": difference} for split in ("valid", "test")})

    settings = replace(
        view.settings,
        measurement=replace(view.settings.measurement, effectiveness=metric),
        distillation=replace(view.settings.distillation, threshold="f1"),
    )
    return replace(view, settings=settings, students=tuple(map(changed, view.students)))


def test_verdict_table_report_note_and_model_card_call_it_by_its_name(view: StudyView) -> None:
    title, stream, student = METRIC_TITLES[view.metric], io.StringIO(), view.students[0]
    front_table(view, Console(file=stream, width=300))
    page, note, card = render(content_of(view)), student_note(view, student), model_card(view, student)
    assert f", in {title}, paired" in verdict_of(view).sentence
    assert f"({title} in %;" in stream.getvalue()
    assert "chosen on validation for F1" in stream.getvalue()
    assert f"{title} on the validation split" in page
    assert f"{title} on validation, %" in page
    assert f"| {title}, validation |" in note
    spoilt = view.metric.replace("_", " ")
    for text in (verdict_of(view).sentence, stream.getvalue(), page, note, card):
        assert not re.search(rf"(?<!\w){spoilt}(?!\w)", text)
        assert "for f1" not in text
