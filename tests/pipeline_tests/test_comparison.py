"""Students that come later are timed beside the same references anew, and what was measured before stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from avatar_optuna.measurement import open_counter
from avatar_optuna.measurement._latency import median_interval
from avatar_optuna.renderers import front_values, student_note
from avatar_optuna.schema import COMPARISON, POWER
from avatar_optuna.storage._attributes import delete_attribute
from avatar_optuna.storage._database import engine_of
from avatar_optuna.storage._tables import STUDY_USER_ATTRIBUTES
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import StudyView, read_view
from tests.commands import run_command
from tests.finished_study import NAME, FinishedStudy


def _view(folder: Path) -> StudyView:
    study = FinishedStudy(folder=folder).open()
    return read_view(study.storage, study.name)


def _figures(view: StudyView) -> dict[int, dict[str, Any]]:
    """By student: what depends on its timing."""
    keys = ("latency_ms", "latency_low_ms", "latency_high_ms", "latency_is_provisional", "times_less_than")
    return {row["job"]: {key: row[key] for key in keys} for row in front_values(view)["students"]}


@pytest.fixture
def copied(finished_study: FinishedStudy, tmp_path: Path) -> FinishedStudy:
    """A copy of the finished study that a test may change."""
    shutil.copytree(finished_study.folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "study.toml"
    path.write_text(path.read_text().replace('data = "data"', f'data = "{finished_study.folder}/data"'))
    return FinishedStudy(folder=tmp_path)


def _without(finished: FinishedStudy, key: str) -> AvatarStudy:
    """The study, one of its attributes deleted."""
    study = finished.open()
    with engine_of(study.storage).begin() as connection:
        delete_attribute(connection, STUDY_USER_ATTRIBUTES, study.search._study_id, key)
    return finished.open()


@pytest.mark.skipif(open_counter("cpu") is not None, reason="this processor has a counter: no power is assumed")
def test_a_run_that_was_stopped_before_the_estimate_of_power_makes_it_next(copied: FinishedStudy) -> None:
    before = copied.open().read_attributes()
    study = _without(copied, POWER)
    assert POWER not in study.read_attributes()
    assert "all is done" not in copied.command("run", "study.toml", "--workers", "1")
    assert copied.open().read_attributes() == before
    assert "all is done" in copied.command("run", "study.toml", "--workers", "1")


def test_power_is_not_assumed_of_a_device_on_which_nothing_was_timed(copied: FinishedStudy) -> None:
    study = _without(copied, POWER)
    compared = study.read_attributes()[COMPARISON]
    study.set_attribute(COMPARISON, {**compared, "device": {**compared["device"], "model": "another"}})
    copied.command("run", "study.toml", "--workers", "1")
    assert POWER not in copied.open().read_attributes()


@pytest.mark.slow
@pytest.mark.skipif(open_counter("cpu") is not None, reason="this processor has a counter: no power is assumed")
def test_power_is_stored_before_the_comparison(copied: FinishedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run that stops in between, on another device than before, would keep the power of that one."""
    written: list[str] = []
    store = AvatarStudy.set_attribute
    _without(copied, COMPARISON)
    monkeypatch.setattr(
        AvatarStudy, "set_attribute", lambda self, key, value: (written.append(key), store(self, key, value))[1]
    )
    copied.command("run", "study.toml", "--workers", "1")
    assert [key for key in written if key in (POWER, COMPARISON)] == [POWER, COMPARISON]


@pytest.fixture(scope="module")
def extended(finished_study: FinishedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study, for which its file asks for one more student of each front."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(finished_study.folder, folder, dirs_exist_ok=True)
    path = folder / "study.toml"
    text = path.read_text().replace('data = "data"', f'data = "{finished_study.folder}/data"')
    path.write_text(text.replace("students = 2", "students = 3"))
    result = run_command(folder, "run", "study.toml", "--workers", "1")
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.slow
def test_extending_a_study_changes_no_earlier_figure(finished_study: FinishedStudy, extended: Path) -> None:
    before, after = _view(finished_study.folder), _view(extended)
    earlier = _figures(before)
    assert len(after.students) > len(earlier)
    assert {job: figures for job, figures in _figures(after).items() if job in earlier} == earlier
    assert after.model("teacher") == before.model("teacher")


@pytest.mark.slow
def test_a_later_student_has_the_ratio_of_its_own_comparison(extended: Path) -> None:
    view = _view(extended)
    first, later = FinishedStudy(folder=extended).open().read_attributes()[COMPARISON], view.compared
    assert later is not None
    (comparison,) = later.later
    assert set(comparison.models) >= {"teacher", "codebert"}
    assert not set(comparison.models) & set(first["models"]) - {"teacher", "codebert"}
    for name in set(comparison.models) - {"teacher", "codebert"}:
        student = next(student for student in view.students if str(student.job) == name)
        assert student.is_compared
        assert student.latency_ms == comparison.models[name].latency_ms
        assert view.model("teacher", beside=name) == comparison.models["teacher"]
        ratio = comparison.models["teacher"].latency_ms / student.latency_ms
        assert student.times_less_than["teacher"]["latency"] == ratio


@pytest.mark.slow
def test_every_place_shows_the_same_latency(extended: Path) -> None:
    """Front as a table, JSON and CSV, model card, note and report: the median and its interval."""
    view = _view(extended)
    student = view.students[0]
    low_ms, high_ms = student.latency_interval_ms or (0.0, 0.0)
    assert 0 < low_ms <= student.latency_ms <= high_ms
    values = front_values(view)["students"][0]
    assert (values["latency_ms"], values["latency_low_ms"], values["latency_high_ms"]) == (
        student.latency_ms,
        low_ms,
        high_ms,
    )
    csv = run_command(extended, "front", "--study-name", NAME, "-f", "csv").stdout.splitlines()
    row = dict(zip(csv[0].split(","), csv[1].split(","), strict=True))
    assert [float(row[key]) for key in ("latency_ms", "latency_low_ms", "latency_high_ms")] == [
        student.latency_ms,
        low_ms,
        high_ms,
    ]
    exported = run_command(extended, "export", "--study-name", NAME, "--student", str(student.job), "--out", "out")
    assert exported.exit_code == 0, exported.output
    written = run_command(extended, "report", "--study-name", NAME, "--out", "report.html")
    assert written.exit_code == 0, written.output
    card, page = (extended / "out/README.md").read_text(), (extended / "report.html").read_text()
    for text in (card, student_note(view, student)):
        assert f"{student.latency_ms:.2f} ms ({low_ms:.2f} to {high_ms:.2f})" in text
    assert f"{student.latency_ms:.3g}" in page
    table = run_command(extended, "front", "--study-name", NAME).stdout
    assert f"{student.latency_ms:.2f} ± {max(high_ms - student.latency_ms, student.latency_ms - low_ms):.2f}" in table


@pytest.mark.parametrize("n", [5, 6, 20, 50, 101])
def test_the_interval_of_a_median_covers_it(n: int) -> None:
    """Oracle: the binomial distribution of how many values lie below the median."""
    values = np.random.default_rng(n).permutation(n).astype(np.float64)
    low, high = median_interval(values)
    covered = binom.cdf(high, n, 0.5) - binom.cdf(low, n, 0.5)
    assert covered >= (0.95 if n >= 6 else 1 - 2 * 0.5**n)
    assert low + high == n - 1
