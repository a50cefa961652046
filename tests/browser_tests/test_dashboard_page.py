"""optuna-dashboard on a real finished study, behind its guard, in a real browser."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.browser_tests.conftest import Watched
from tests.browser_tests.servers import served
from tests.finished_study import NAME, FinishedStudy


@pytest.fixture(scope="module")
def address(finished_study: FinishedStudy) -> Iterator[str]:
    with served(finished_study.url, "--artifacts", finished_study.artifacts) as address:
        yield address


def _study_id(address: str, name: str) -> int:
    with urllib.request.urlopen(f"{address}/api/studies") as answer:
        studies = json.load(answer)["study_summaries"]
    return int(next(study["study_id"] for study in studies if study["study_name"] == name))


def test_a_distilled_student_shows_its_note_and_its_files(
    watched: Watched, address: str, finished_study: FinishedStudy
) -> None:
    trials = finished_study.open().distilled.get_trials()
    job = next(trial.number for trial in trials if trial.user_attrs["purpose"] == "front")
    page = watched.page
    page.goto(f"{address}/dashboard/studies/{_study_id(address, f'{NAME}/distilled')}/trials?numbers={job}")
    page.get_by_text(f"Student {job}").first.wait_for()
    shown = page.inner_text("body")
    assert "measured; it selects" in shown
    assert f"avatar-optuna export --study-name {NAME} --student {job}" in shown
    page.get_by_text("model.safetensors").last.wait_for()
    assert watched.outside == []


def test_the_search_shows_its_front_and_its_saved_figures(watched: Watched, address: str) -> None:
    page = watched.page
    study = _study_id(address, NAME)
    page.goto(f"{address}/dashboard/studies/{study}")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.get_by_text("predicted_effectiveness").first.wait_for()
    for title in ("Hypervolume over configurations scored", "Front: blue predicted", "Predicted against measured"):
        page.locator(".js-plotly-plot .gtitle", has_text=title).wait_for()
    assert watched.outside == []


def test_a_browser_cannot_delete_a_study(watched: Watched, address: str) -> None:
    study = _study_id(address, NAME)
    watched.page.goto(f"{address}/dashboard")
    status = watched.page.evaluate(
        "id => fetch(`/api/studies/${id}`, {method: 'DELETE'}).then(answer => answer.status)", study
    )
    assert status == 403
    assert _study_id(address, NAME) == study
