"""Studies of the policies beside the paper's, in real processes: rung by rung (`tests/test_kills.py` kills them)."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from avatar_optuna.exceptions import AvatarError
from avatar_optuna.schema import Job, JobResult, num_rounds
from avatar_optuna.storage import open_storage
from avatar_optuna.students import Configuration
from avatar_optuna.study import AvatarStudy, searched
from tests.commands import run_command
from tests.finished_study import write_study
from tests.test_run import _command, _process_output

pytestmark = pytest.mark.long

NAME = "policy"


def _written(folder: Path, policy: str) -> Path:
    folder.mkdir()
    write_study(folder, name=NAME)
    path = folder / "study.toml"
    search = f'[search]\npolicy = "{policy}"\nat_once = 2\n'
    path.write_text(path.read_text().replace("[search]\n", search).replace("rounds = 2", "rounds = 1"))
    return folder


def _study(folder: Path) -> AvatarStudy:
    return AvatarStudy(open_storage(f"sqlite:///{folder}/storage/studies.db", create=False), NAME)


def _outcome(folder: Path) -> list[tuple[str, list[float]]]:
    """Of each job in their order: its key and its curve."""
    outcome = []
    for trial in _study(folder).distilled.get_trials(deepcopy=False):
        assert trial.state is TrialState.COMPLETE
        job, result = Job.from_trial(trial), JobResult.from_trial(trial)
        curve = [entry["valid"]["loss"] for entry in result.history]
        assert len(curve) == job.epochs
        outcome.append((job.key, curve))
    return outcome


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_student_of_rounds_goes_on_from_its_first_rung(tmp_path: Path) -> None:
    whole = _written(tmp_path / "whole", "rounds")
    _process_output(whole, "run", "study.toml", "--workers", "1")
    curves = dict(_outcome(whole))
    names = {key.rpartition("/")[2] for key in curves if key.startswith("front/")}
    promoted = [name for name in names if f"rung/1/{name}" in curves]
    assert len(promoted) >= 2
    for name in promoted:  # each went on from what its first rung had left
        assert curves[f"front/0/{name}"][:1] == curves[f"rung/1/{name}"]
    front = json.loads(run_command(whole, "front", "--study-name", NAME, "-f", "json").stdout)
    assert len(front["students"]) == len(names)
    assert run_command(whole, "run", "study.toml").stdout.startswith("all is done")
    assert run_command(whole, "report", "--study-name", NAME, "--out", "report.html").exit_code == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("policy", ["random", "successive_halving"])
def test_policies_without_an_indicator_end_with_students(tmp_path: Path, policy: str) -> None:
    """18 epochs: four students to the end, or nine that are begun."""
    folder = _written(tmp_path / policy, policy)
    _process_output(folder, "run", "study.toml", "--workers", "1")
    keys = [key for key, _ in _outcome(folder)]
    begun = [key for key in keys if key.startswith("rung/1/")]
    ended = [key for key in keys if key.startswith("front/0/")]
    assert (len(begun), len(ended)) == ((0, 4) if policy == "random" else (len(begun), 3))
    assert run_command(folder, "front", "--study-name", NAME).exit_code == 0
    assert run_command(folder, "report", "--study-name", NAME, "--out", "report.html").exit_code == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("policy", ["rounds", "successive_halving"])
def test_without_a_wait_a_killed_study_goes_on_and_spends_its_epochs_once(tmp_path: Path, policy: str) -> None:
    """Killed while both workers train; what they hand back is trained by the next run, beside what it decides."""
    folder = _written(tmp_path / policy, policy)
    path = folder / "study.toml"
    path.write_text(path.read_text().replace("at_once = 2\n", "asynchronous = true\n"))
    process = _command(folder, "run", "study.toml", "--workers", "2")
    deadline = time.monotonic() + 240
    while not _has_done(folder, 3) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.kill()
    process.communicate()
    assert _has_done(folder, 3)
    _process_output(folder, "run", "study.toml", "--workers", "2")
    outcome = _outcome(folder)
    keys = [key for key, _ in outcome]
    assert len(keys) == len(set(keys))
    reached: dict[str, int] = {}
    for key, curve in outcome:
        name = key.rpartition("/")[2]
        reached[name] = max(len(curve), reached.get(name, 0))
    assert 14 <= sum(reached.values()) <= 18  # what is left does not pay for a student's way to its end
    assert sum(key.startswith("front/") for key in keys) >= 2
    assert run_command(folder, "run", "study.toml").stdout.startswith("all is done")


def _has_done(folder: Path, count: int) -> bool:
    if not (folder / "storage/studies.db").exists():
        return False
    try:
        study = _study(folder)
        trials = study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    except (KeyError, AvatarError):  # nothing is stored yet
        return False
    return len(trials) >= count


def _with_budget(folder: Path, minutes: float, policy: str = "", epochs: int = 2) -> Path:
    """Of little data, with epochs of a second or less."""
    folder.mkdir()
    write_study(folder, name=NAME)
    path = folder / "study.toml"
    search = f"[search]\nbudget_minutes = {minutes}\nrungs = [1]\n{policy}"
    text = path.read_text().replace("[search]\n", search).replace("rounds = 2", "rounds = 1")
    path.write_text(text.replace("epochs = 4\nstudents = 2\nedits = 1", f"epochs = {epochs}"))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("policy", ["", 'policy = "random"\n', 'policy = "successive_halving"\n'])
def test_a_budget_of_minutes_ends_with_compared_students_and_is_extended(tmp_path: Path, policy: str) -> None:
    """Too little for one student, which it says; with more the study goes on from what it has, until one is trained."""
    folder = _with_budget(tmp_path / "study", 0.01, policy, epochs=20)  # 0.6 s: less than 20 epochs on any machine
    failed = run_command(folder, "run", "study.toml", "--workers", "1")
    assert failed.exit_code == 1
    assert "search.budget_minutes did not suffice" in failed.stderr
    before = _outcome(folder)
    assert {len(curve) for _, curve in before} == {1}
    path, minutes = folder / "study.toml", 0.01
    for more in (0.6, 2.0, 6.0, 18.0):  # the second on a quiet machine, later ones on a busy one
        path.write_text(path.read_text().replace(f"budget_minutes = {minutes}", f"budget_minutes = {more}"))
        done, minutes = run_command(folder, "run", "study.toml", "--workers", "1"), more
        if done.exit_code == 0:
            break
    assert done.exit_code == 0, done.output
    assert "minutes used" in done.stdout
    outcome = _outcome(folder)
    assert outcome[: len(before)] == before
    ended = [key for key, curve in outcome if key.startswith("front/") and len(curve) == 20]
    assert ended
    budget = json.loads(run_command(folder, "status", "--study-name", NAME, "-f", "json").stdout)["budget"]
    assert budget["minutes"] == minutes
    assert budget["used_minutes"] > 0
    assert f"budget: {budget['used_minutes']:.1f} of {minutes:g} minutes used" in _status(folder)
    front = json.loads(run_command(folder, "front", "--study-name", NAME, "-f", "json").stdout)
    assert len(front["students"]) == len(ended)
    assert run_command(folder, "run", "study.toml").stdout.startswith("all is done")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["", "asynchronous = true\n"])
def test_time_that_one_search_leaves_is_for_the_next(tmp_path: Path, how: str) -> None:
    """A search of twelve configurations proposes few students: while time is left, another one proposes more."""
    folder = _with_budget(tmp_path / "study", 4.0, how)  # minutes; it ends when nobody promises anything more
    path = folder / "study.toml"
    path.write_text(re.sub(r"n_trials = \d+", "n_trials = 12", path.read_text()))
    done = run_command(folder, "run", "study.toml", "--workers", "2" if how else "1")
    assert done.exit_code == 0, done.output
    study = _study(folder)
    assert all(trial.state is TrialState.COMPLETE for trial in study.distilled.get_trials(deepcopy=False))
    rounds = num_rounds(study.read_attributes(), 1)
    assert rounds > 1
    assert {len(searched(study, round_=round_)) for round_ in range(rounds)} == {12}
    jobs = [Job.from_trial(trial) for trial in study.distilled.get_trials(deepcopy=False)]
    assert len({job.key for job in jobs}) == len(jobs)
    begun_in: dict[Configuration, int] = {}
    for job in jobs:
        begun_in[job.hyperparameters] = min(job.round, begun_in.get(job.hyperparameters, rounds))
    assert max(begun_in.values()) > 0  # somebody whom the first search did not propose
    shown = json.loads(run_command(folder, "front", "--study-name", NAME, "-f", "json").stdout)
    assert len(shown["students"]) == sum(job.purpose == "front" for job in jobs)
    assert run_command(folder, "report", "--study-name", NAME, "--out", "report.html").exit_code == 0
    planned = run_command(folder, "run", "study.toml", "--workers", "1", "--dry-run").stdout
    assert f"in each of {rounds} rounds or more, as long as time is left ({12 * rounds} are scored)" in planned
    assert run_command(folder, "run", "study.toml").stdout.startswith("all is done")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["random", "successive_halving", 'successive_halving"\nasynchronous = true #'])
def test_time_that_outlasts_the_candidates_is_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Three are drawn at first; what a run draws is what one that goes on would draw."""
    monkeypatch.setattr("avatar_optuna.pipeline._policy._CANDIDATES_OF_TIME", 3)
    monkeypatch.setattr("avatar_optuna.pipeline._policy._CANDIDATES_LEFT", 2)
    folder = _with_budget(tmp_path / "study", 0.3, f'policy = "{how}"\n')
    path, minutes, students = folder / "study.toml", 0.3, dict[str, Configuration]()
    for more in (0.3, 1.0, 4.0, 12.0):  # the first on a quiet machine, later ones on a busy one
        path.write_text(path.read_text().replace(f"budget_minutes = {minutes}", f"budget_minutes = {more}"))
        minutes, before = more, students
        run_command(folder, "run", "study.toml", "--workers", "1")
        jobs = [Job.from_trial(trial) for trial in _study(folder).distilled.get_trials(deepcopy=False)]
        students = {job.key.rpartition("/")[2]: job.hyperparameters for job in jobs}
        assert before.items() <= students.items()
        if len(students) > 6:
            break
    assert len(students) > 6
    assert len(set(students.values())) == len(students)


def _status(folder: Path) -> str:
    return run_command(folder, "status", "--study-name", NAME).stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_study_with_a_budget_goes_on_with_what_is_left_of_it(tmp_path: Path) -> None:
    """What was trained before stays as it was; the minutes that were used are not given anew."""
    folder = _with_budget(tmp_path / "study", 1.5)
    process = _command(folder, "run", "study.toml", "--workers", "1")
    deadline = time.monotonic() + 600
    while not _has_done(folder, 3) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert _has_done(folder, 3)
    before = _finished(folder)
    used = _used_minutes(folder)
    assert used > 0
    time.sleep(12)  # longer than what counts as deciding: a study that stands uses nothing
    assert _used_minutes(folder) == pytest.approx(used, abs=0.3)
    done = run_command(folder, "run", "study.toml", "--workers", "1")
    assert done.exit_code == 0, done.output
    after = _finished(folder)
    assert [one for one in after if one[0] in dict(before)] == before
    assert used < _used_minutes(folder) < 1.5 + 0.5  # late by what one training took longer than expected, at most
    assert run_command(folder, "run", "study.toml").stdout.startswith("all is done")


def _finished(folder: Path) -> list[tuple[str, list[float]]]:
    """Of each job that is done, in their order: its key and its curve."""
    trials = _study(folder).distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [
        (Job.from_trial(trial).key, [entry["valid"]["loss"] for entry in JobResult.from_trial(trial).history])
        for trial in trials
    ]


def _used_minutes(folder: Path) -> float:
    status = json.loads(run_command(folder, "status", "--study-name", NAME, "-f", "json").stdout)
    return float(status["budget"]["used_minutes"])
