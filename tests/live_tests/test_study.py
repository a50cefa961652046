"""A study as its live page sees it, at each stage of a queue and when it is finished: against what is stored."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from optuna import load_study

from avatar_optuna.exceptions import InputError
from avatar_optuna.live import LiveStudy, live_values, read_live
from avatar_optuna.live._values import predicted_front, thinned
from avatar_optuna.pool import Pool
from avatar_optuna.pool._identity import this_process
from avatar_optuna.report import content_of
from avatar_optuna.schema import CURVE, PROGRESS, SETTINGS, distilled_name
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import JobQueue, RunRegistry, WorkerRegistry, open_storage, scored_values
from avatar_optuna.view import read_view
from tests.finished_study import NAME, FinishedStudy
from tests.pool_tests.conftest import MakeJobs
from tests.pool_tests.executors import result
from tests.study_tests.test_search import make_settings, run_search
from tests.view_tests.test_view import _statements

_MOST_STATEMENTS = 12


@pytest.fixture(scope="module")
def finished(finished_study: FinishedStudy) -> LiveStudy:
    return read_live(open_storage(finished_study.url), NAME)


def test_a_look_takes_few_statements_however_much_was_searched(sqlite_url: str, tmp_path: Path) -> None:
    counted = []
    for trials in (60, 200):
        run_search(sqlite_url, make_settings(tmp_path, ("n_trials = 60", f"n_trials = {trials}")))
        engine = open_storage(sqlite_url).engine
        with _statements() as executed:
            study = read_live(engine, "clones")
        assert study.scored == {0: trials}
        counted.append(len(executed))
    assert counted[0] == counted[1] <= _MOST_STATEMENTS


def test_what_was_scored_gives_the_front_of_the_report(finished_study: FinishedStudy, finished: LiveStudy) -> None:
    view = read_view(open_storage(finished_study.url), NAME)
    last = view.rounds[-1]
    scored = scored_values(open_storage(finished_study.url), NAME, last.number)
    assert sorted(scored.tolist()) == sorted(last.scored.values.tolist())
    expected = sorted([student.size_bytes / 1e6, 100 * student.prediction.effectiveness] for student in last.front)
    assert predicted_front(finished, scored) == expected
    shown = live_values(finished, scored)
    funnel = [(stage["title"], stage["number"]) for stage in shown["funnel"]]
    assert funnel == content_of(view).funnel


def test_a_finished_study_says_so(finished: LiveStudy, finished_study: FinishedStudy) -> None:
    assert finished.is_finished
    assert {phase.state for phase in finished.phases} == {"done"}
    values = live_values(finished, scored_values(open_storage(finished_study.url), NAME, 1))
    assert values["state"] == "finished"
    assert values["sentence"] == "This study is finished."
    assert not [tile for tile in values["tiles"] if tile["what"] == "to go"]
    assert values["jobs"] == {"waiting": 0, "running": 0, "done": finished.view.jobs["COMPLETE"], "failed": 0}
    assert [one["job"] for one in values["front"]["measured"]] == [student.job for student in finished.view.students]
    json.dumps(values, allow_nan=False)


def test_the_curve_of_a_student_is_its_history(finished: LiveStudy) -> None:
    for student in finished.view.students:
        own = next(one for one in finished.students if one.job == student.job)
        history = [(entry["epoch"], entry["valid"][finished.view.metric]) for entry in student.result.history]
        assert list(own.curve) == history
        assert own.state == "done"
        assert not own.is_brief


def test_it_follows_the_jobs(pool: Pool, jobs: MakeJobs) -> None:
    """Waiting, running with its curve, failed with its reason, and lost with its worker."""
    assert read_live(pool.storage, "s").state == "standing"
    pool.enqueue(jobs(4, epochs=3))
    queue, registry = (kind(pool.storage, distilled_name("s")) for kind in (JobQueue, WorkerRegistry))
    about = {"host": "h", "device": "cpu", "since": "2026-01-01T00:00:00+00:00", "process": this_process()}
    registry.beat("w", about)
    gone = {**about, "worker": "gone", "epoch": 0, "process": this_process() | {"started": 0}}
    failed, running, lost = (queue.claim(progress) for progress in ({}, {**about, "worker": "w", "epoch": 0}, gone))
    assert failed is not None
    assert running is not None
    assert lost is not None
    queue.fail(failed, "<b>disk</b> full", max_retries=0)
    queue.set_attributes(running, {PROGRESS: {**about, "worker": "w", "epoch": 2}, CURVE: [[1, 0.5], [2, 0.625]]})
    study = read_live(pool.storage, "s")
    assert [student.state for student in study.students] == ["failed", "running", "running", "waiting"]
    assert study.students[1].curve == ((1, 0.5), (2, 0.625))
    values = live_values(study, scored_values(pool.storage, "s", 0))
    assert values["state"] == "running"
    assert [(job["job"], job["epoch"], job["epochs"], job["lost"]) for job in values["running"]] == [
        *((1, 2, 3, False), (2, 0, 3, True)),
    ]
    assert values["failed"] == [{"job": 0, "reason": "<b>disk</b> full", "attempts": 1}]
    assert [job["job"] for job in values["waiting"]] == [3]
    assert values["curves"]["shown"] == [
        {"job": 1, "state": "running", "brief": False, "points": [[1, 50.0], [2, 62.5]]}
    ]
    assert values["tiles"][0]["value"] == "not known"
    registry.leave("w")
    queue.hand_back(running)
    without_workers = read_live(pool.storage, "s")
    assert without_workers.state == "quiet"  # the lost job alone is no sign of work
    assert "Neither a worker nor `run`" in live_values(without_workers, scored_values(pool.storage, "s", 0))["sentence"]


def test_it_says_what_the_run_does(pool: Pool) -> None:
    """A run that is alive, one that is known to be gone, and one elsewhere that is not heard."""
    registry, process = RunRegistry(pool.storage, distilled_name("s")), this_process()
    since = (datetime.now(UTC) - timedelta(minutes=12)).isoformat(timespec="seconds")
    about = {"what": "teacher: epochs", "done": 1, "total": 3, "since": since}

    def seen(process: dict[str, object]) -> tuple[str, str]:
        registry.say({**about, "process": process})
        study = read_live(pool.storage, "s")
        return study.state, live_values(study, scored_values(pool.storage, "s", 0))["sentence"]

    state, sentence = seen(process)
    assert state == "running"
    assert sentence == f"This study runs. Now: teacher: epochs, 1 of 3 (begun 12 min ago on {process['host']})."
    state, sentence = seen({**process, "started": 0})
    assert state == "standing"
    assert f"“teacher: epochs, 1 of 3” (begun {since[:10]} {since[11:16]} UTC on" in sentence
    assert "when it was stopped; it was last heard 0." in sentence
    seen({**process, "place": "elsewhere"})
    _hear_ago(pool, 120.0)
    study = read_live(pool.storage, "s")
    sentence = live_values(study, scored_values(pool.storage, "s", 0))["sentence"]
    assert study.state == "quiet"
    assert sentence.endswith("was last heard 2 min ago: it is in a long step, or was stopped.")
    _hear_ago(pool, 1200.0)
    assert read_live(pool.storage, "s").state == "standing"
    registry.leave({**process, "place": "elsewhere"})
    assert read_live(pool.storage, "s").pool.run is None


def _hear_ago(pool: Pool, seconds: float) -> None:
    """Let the last sign of the run be older by so much."""
    study_id = pool.storage.get_study_id_from_name(distilled_name("s"))
    record = pool.storage.get_study_system_attrs(study_id)["avatar:run"]
    pool.storage.set_study_system_attr(study_id, "avatar:run", {**record, "heard": record["heard"] - seconds})


def test_what_a_student_still_takes_follows_from_what_others_took(pool: Pool, jobs: MakeJobs) -> None:
    """One of three students is done at 2 s an epoch and 5 s besides; all samples are still to come."""
    pool.enqueue(jobs(1, epochs=10))
    queue = JobQueue(pool.storage, distilled_name("s"))
    claim = queue.claim({})
    assert claim is not None
    history = [{"epoch": n + 1, "seconds": 2.0, "valid": {"balanced_accuracy": 0.5 + n / 100}} for n in range(10)]
    done = result(history, seconds=25.0)  # type: ignore[arg-type]
    queue.finish(claim, done.values(), user_attributes=done.attributes(), system_attributes={})
    study = read_live(pool.storage, "s")
    settings = study.view.settings
    epochs = settings.indicator.samples * settings.indicator.epochs + 2 * 10
    trainings = settings.indicator.samples + 2
    assert settings.distillation.students == 3
    assert study.to_go.seconds == pytest.approx(2.0 * epochs + 5.0 * trainings)
    assert study.to_go.left_out == ("the search", "the teacher", "the comparison", "the audit")


def test_the_rungs_of_a_policy_and_what_is_left_of_its_minutes(pool: Pool, jobs: MakeJobs) -> None:
    """Of three begun students one was left at the first rung, one runs to the next, one waits for its full training."""
    search = load_study(study_name="s", storage=pool.storage)
    settings = StudySettings.from_dict(search.user_attrs[SETTINGS])
    asked = replace(settings.search, policy="rounds", budget_minutes=5.0, rungs=(1, 2))
    search.set_user_attr(SETTINGS, replace(settings, search=asked).to_dict())
    (job,), full = jobs(1), settings.distillation.epochs
    begun = [replace(job, key=f"rung/1/sample-{n}", purpose="indicator", epochs=1) for n in range(3)]
    pool.enqueue(begun)
    queue = JobQueue(pool.storage, distilled_name("s"))
    done = result([{"epoch": 1, "seconds": 2.0, "valid": {"balanced_accuracy": 0.75}}], seconds=2.0)  # type: ignore[dict-item,list-item]
    for _ in begun:
        claim = queue.claim({})
        assert claim is not None
        queue.finish(claim, done.values(), user_attributes=done.attributes(), system_attributes={})
    pool.enqueue(
        [replace(begun[0], key="rung/2/sample-0", epochs=2), replace(job, key="front/0/sample-1", epochs=full)]
    )
    queue.claim({"worker": "w", "epoch": 0})
    study = read_live(pool.storage, "s")
    assert [(one.name, one.state, one.epochs, one.curve) for one in study.students] == [
        ("sample-0", "running", 2, ((1, 0.75),)),
        ("sample-1", "waiting", full, ((1, 0.75),)),
        ("sample-2", "done", 1, ((1, 0.75),)),
    ]
    values = live_values(study, scored_values(pool.storage, "s", 0))
    assert values["rungs"] == [
        {"epochs": 1, "reached": 3, "running": 0, "waiting": 0},
        {"epochs": 2, "reached": 0, "running": 1, "waiting": 0},
        {"epochs": full, "reached": 0, "running": 0, "waiting": 1},
    ]
    assert study.budget is not None
    assert study.to_go.seconds == study.budget.left_s
    assert [tile["what"] for tile in values["tiles"]][:2] == ["to go", "of the budget left"]
    assert "of 5 minutes used" in values["tiles"][1]["note"]


def test_what_is_no_study_is_refused(pool: Pool) -> None:
    for name in ("nothing", distilled_name("s")):
        with pytest.raises(InputError, match="must be a study"):
            read_live(pool.storage, name)


def test_points_are_thinned_evenly_and_keep_their_ends() -> None:
    points = [[float(x), 0.123456789] for x in range(1001)]
    shown = thinned(points, 11)
    assert [x for x, _ in shown] == [float(x) for x in range(0, 1001, 100)]
    assert shown[0][1] == 0.12346
    assert thinned(points[:3], 11) == [[x, 0.12346] for x in (0.0, 1.0, 2.0)]
