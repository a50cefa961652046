"""What `run --dry-run` says: counted by hand from a study file, of studies that are new, finished and half done."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from avatar_optuna.feasibility import draw, feasibility_of
from avatar_optuna.measurement import TimedTraining
from avatar_optuna.pipeline._plan import DryRun, Planner
from avatar_optuna.settings import SearchSettings, StudySettings, load_study_file
from avatar_optuna.study import TimeBudget
from avatar_optuna.tasks import load_task
from tests.commands import run_command
from tests.finished_study import NAME, FinishedStudy, write_study


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StudySettings:
    """Five samples of two epochs; two rounds of two students of four epochs."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    return load_study_file(folder / "study.toml")


def _plan(settings: StudySettings, *, workers: int = 1, budget: TimeBudget | None = None, **search: object) -> DryRun:
    """Of a new study whose students take 2 s an epoch and 3 s besides, 1,000 bytes, and 5,000 of a checkpoint."""
    values = {**settings.search.to_dict(), "policy": None, **search}
    settings = dataclasses.replace(settings, search=SearchSettings(**values))
    task = load_task(settings.task)
    feasibility = feasibility_of(settings.space, constraints=settings.constraints, task_shape=task.shape)
    students = draw(feasibility, 5, seed=0, pool=50)
    timed = [
        TimedTraining(
            student=student,
            epoch_s=2.0,
            step_s=3.0,
            student_bytes=1000,
            checkpoint_bytes=5000,
            device_memory_bytes=None,
        )
        for student in students
    ]
    return Planner(
        settings=settings,
        task=task,
        students=students,
        snapshot=None,
        budget=budget,
        times=(),
        timed=timed,
        workers=workers,
    ).plan()


def test_the_paper_s_way(settings: StudySettings) -> None:
    """10 epochs of 5 samples and 16 of 4 students: 35 and 44 seconds of one worker; nine students' files."""
    plan = _plan(settings)
    assert [phase.name for phase in plan.phases] == ["teacher", "samples", "search", "distillation", "measurement"]
    samples, front = plan.phases[1], plan.phases[3]
    assert (samples.trainings, samples.epochs, samples.seconds) == (5, 10, pytest.approx(35))
    assert (front.trainings, front.epochs, front.seconds) == (4, 16, pytest.approx(44))
    assert plan.seconds == pytest.approx(79)
    assert plan.not_estimated == ("teacher", "search", "measurement")
    assert (plan.disk_bytes, plan.stored_bytes, plan.checkpoint_bytes) == (9000, 0, 0)
    assert _plan(settings, workers=2).seconds == pytest.approx(79 / 2)


@pytest.mark.parametrize(
    ("policy", "trainings", "said"),
    [
        ("random", 4, "trains 4 drawn students for 4 epochs each"),
        ("successive_halving", 12, "9 to 1 epoch, 3 to 4 epochs"),
        ("rounds", 11, "begins 5 drawn students for 1 epoch each"),  # and 3 to the end, in two steps each at most
    ],
)
def test_policies_of_eighteen_epochs(settings: StudySettings, policy: str, trainings: int, said: str) -> None:
    plan = _plan(settings, policy=policy, rounds=1)
    trained = plan.phases[1]
    assert (trained.trainings, trained.epochs) == (trainings, 18)
    assert said in trained.what
    assert trained.seconds == pytest.approx(18 * 2 + trainings * 3)
    assert plan.disk_bytes == trainings * (1000 if policy == "random" else 6000)


def test_a_budget_of_minutes(settings: StudySettings) -> None:
    """A full training takes 4 * 2 + 3 seconds, so 44 seconds are 4 of them, or 16 epochs; of two workers, 32."""
    used = TimeBudget(minutes=2, used_s=76)
    plan = _plan(settings, budget_minutes=2, budget=used)
    trained = next(phase for phase in plan.phases if phase.name == "rungs")
    assert plan.policy == "rounds"
    assert trained.seconds == pytest.approx(44)
    assert "about 16 more epochs, where a full training has 4" in trained.what
    twice = _plan(settings, budget_minutes=2, budget=used, workers=2)
    assert "about 32 more epochs" in next(phase for phase in twice.phases if phase.name == "rungs").what
    assert plan.budget == used.to_dict()


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Of each file: its size and when it was written."""
    paths = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_a_finished_study_and_one_that_is_extended(finished_study: FinishedStudy, tmp_path: Path) -> None:
    """The students of a third round are left, and its search; jobs that are done say how long that takes."""
    # A copy: another process of the tests may read the study meanwhile, and SQLite then keeps files beside it.
    study = FinishedStudy(folder=tmp_path / "study")
    shutil.copytree(finished_study.folder, study.folder, ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    text = (study.folder / "study.toml").read_text().replace('data = "data"', f'data = "{finished_study.folder}/data"')
    (study.folder / "study.toml").write_text(text)
    before = _files(study.folder)
    plan = json.loads(study.command("run", "study.toml", "--dry-run", "-f", "json"))
    assert not plan["is_new"]
    assert all(phase["is_done"] for phase in plan["phases"])
    assert plan["seconds"] == 0
    extended = tmp_path / "extended.toml"
    extended.write_text(text.replace("rounds = 2", "rounds = 3"))
    plan = json.loads(study.command("run", str(extended), "--dry-run", "-f", "json"))
    phases = {phase["name"]: phase for phase in plan["phases"]}
    assert [name for name, phase in phases.items() if not phase["is_done"]] == ["search", "distillation", "measurement"]
    front = phases["distillation"]
    assert (front["trainings"], front["epochs"] - front["epochs_done"]) == (6, 4 * (6 - front["trainings_done"]))
    assert phases["search"]["seconds"] > 0
    assert "jobs of the study took" in plan["estimated_from"]
    assert plan["stored_bytes"] > 0
    said = study.command("run", str(extended), "--dry-run")
    assert "120 are scored" in said
    assert said.endswith("nothing was written; without --dry-run, all this is done\n")
    assert _files(study.folder) == before


def test_what_a_run_would_refuse_is_refused(finished_study: FinishedStudy, tmp_path: Path) -> None:
    shutil.copytree(finished_study.folder / "data", tmp_path / "data")
    file = tmp_path / "study.toml"
    file.write_text((finished_study.folder / "study.toml").read_text().replace("samples = 5", "samples = 6"))
    words = ("run", str(file), "--storage", finished_study.url, "--dry-run")
    refused = run_command(tmp_path, *words)
    assert refused.exit_code == 2
    assert "indicator.samples was 5 and is now 6" in refused.stderr
    refused = run_command(tmp_path, *words[:-1], "-f", "json")
    assert refused.exit_code == 2
    assert "-f json goes with --dry-run" in refused.stderr


@pytest.mark.slow
def test_a_new_study_is_timed_and_nothing_is_written(tmp_path: Path) -> None:
    write_study(tmp_path)
    before = _files(tmp_path)
    done = run_command(tmp_path, "run", "study.toml", "--dry-run", "--workers", "2")
    assert done.exit_code == 0
    assert f"{NAME} is new" in done.stdout
    assert "3 drawn students" in done.stdout
    assert "with 2 workers" in done.stdout
    assert _files(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "study.toml"]
