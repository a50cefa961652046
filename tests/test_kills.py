"""Kills in all phases of a run, on both databases: it ends bit for bit as one that nothing disturbed.

Runs and their workers are sent SIGKILL, SIGTERM and SIGINT in each phase (see `tests.interrupted`), of a study of the
paper's policy and of studies that train their students rung by rung. `make fuzz` sends all of more than sixty; the
slow tests send each signal in each phase once, to one policy or another, on one database or the other.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState
from safetensors.numpy import load_file

from avatar_optuna.distillation import CHECKPOINT_FILE
from avatar_optuna.schema import COMPARISON, Job, JobResult
from avatar_optuna.storage import artifact_store, download_directory, open_storage
from avatar_optuna.study import AvatarStudy
from tests.finished_study import write_study
from tests.interrupted import PHASES
from tests.killed import HELD_S, NAME, Campaign, Step, skewed_clock, small_disk
from tests.postgres import PostgresServer

pytestmark = pytest.mark.long

SIGNALS = ("KILL", "TERM", "INT")
DATABASES = ("sqlite", "postgres")
_SMALLER = {
    "epochs = 6": "epochs = 2",
    "samples = 5\nepochs = 2": "samples = 4\nepochs = 2",
    "n_trials = 60\npopulation_size = 20": "n_trials = 20\npopulation_size = 10",
    "[distillation]\nepochs = 4\nstudents = 2": "[distillation]\nepochs = 3\nstudents = 3",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done to a study of one policy.

    Args:
        changes: Of the text of the study file.
        steps: By database.
        workers: Phases of each database in which a worker is sent each signal.
    """

    changes: Mapping[str, str]
    steps: Mapping[str, tuple[Step, ...]]
    workers: tuple[str, ...]


def _paper() -> Plan:
    """Each phase with each signal: on both databases where it writes many rows, else on one of them."""
    steps: dict[str, list[Step]] = {name: [] for name in DATABASES}
    databases = itertools.cycle(DATABASES)
    for phase in ("teacher", "measurement", "samples", "indicator", "search", "distillation"):
        for name, delay_s in _DELAYS[phase]:
            for database in DATABASES if phase in _WRITING else (next(databases),):
                steps[database].append(_disturbed(Step(phase=phase, signal=name, delay_s=delay_s)))
    # The second round.
    steps["sqlite"] += [Step(phase="indicator", signal="KILL"), Step(phase="search", signal="INT")]
    steps["postgres"] += [Step(phase="distillation", signal="TERM", delay_s=2 * HELD_S, disturbance="restart")]
    for phase in ("comparison", "report"):
        for name, delay_s in _DELAYS[phase]:
            steps[next(databases)].append(Step(phase=phase, signal=name, delay_s=delay_s))
    return Plan(changes={}, steps={name: tuple(own) for name, own in steps.items()}, workers=("distillation",))


def _disturbed(step: Step) -> Step:
    if (step.phase, step.signal) == ("distillation", "KILL"):
        return Step(phase=step.phase, signal=step.signal, delay_s=0.1, workers=SIGNALS)
    disturbance = {("samples", "INT"): "full disk", ("distillation", "INT"): "read-only store"}
    if happens := disturbance.get((step.phase, step.signal)):
        return Step(phase=step.phase, signal=step.signal, delay_s=2 * HELD_S, disturbance=happens)
    return step


_WRITING = ("samples", "indicator", "search", "distillation")
_DELAYS = {
    "teacher": (("KILL", 0.0), ("TERM", 0.2), ("INT", 0.6)),
    "measurement": (("KILL", 0.0), ("TERM", 0.02), ("INT", 0.1)),
    "samples": (("KILL", 0.0), ("TERM", 0.0), ("INT", 0.3)),
    "indicator": (("KILL", 0.0), ("TERM", 0.1), ("INT", 0.5)),
    "search": (("KILL", 0.05), ("TERM", 0.0), ("INT", 0.3)),
    "distillation": (("KILL", 0.0), ("TERM", 0.2), ("INT", 0.3)),
    "comparison": (("KILL", 0.0), ("TERM", 0.5), ("INT", 1.5)),
    "report": (("KILL", 0.0), ("TERM", 0.1), ("INT", 0.3)),
}
_RUNGS = (
    Step(phase="rungs", signal="KILL", delay_s=0.1, workers=SIGNALS),
    Step(phase="rungs", signal="TERM", delay_s=0.2),
    Step(phase="rungs", signal="INT", delay_s=0.3),
)


def _rounds() -> Plan:
    """The first rung of the samples, students to the end, the fit of the curves, the search, and what it promotes."""
    to_the_end = [Step(phase="distillation", signal=name, delay_s=at) for name, at in _DELAYS["distillation"]]
    of_one = {
        "sqlite": (("indicator", "TERM", 0.1), ("search", "KILL", 0.05), ("decision", "INT", 0.0)),
        "postgres": (("indicator", "INT", 0.0), ("search", "TERM", 0.3), ("decision", "KILL", 0.1)),
    }
    steps = {
        database: (
            *_RUNGS,
            *to_the_end,
            *(Step(phase=phase, signal=name, delay_s=delay_s) for phase, name, delay_s in own),
        )
        for database, own in of_one.items()
    }
    return Plan(changes=_policy("rounds"), steps=steps, workers=("rungs",))


def _successive_halving() -> Plan:
    """A rung after the other: while its students are trained, and as those are chosen that go on."""
    of_one = {"sqlite": ("KILL", "TERM"), "postgres": ("TERM", "INT")}
    steps = {
        database: (
            Step(phase="decision", signal=first),
            *(Step(phase=step.phase, signal=step.signal, delay_s=step.delay_s) for step in _RUNGS),
            Step(phase="decision", signal=second, delay_s=0.1),
            Step(phase="distillation", signal=first, delay_s=0.2),
        )
        for database, (first, second) in of_one.items()
    }
    return Plan(changes=_policy("successive_halving"), steps=steps, workers=())


def _policy(name: str) -> dict[str, str]:
    """Ten student-epochs: halving begins seven students; rounds begin four, and then what promises most."""
    search = f'[search]\npolicy = "{name}"\nat_once = 2\nrungs = [1]\n'
    shorter = {
        "samples = 4\nepochs = 2": "samples = 4\nepochs = 1",
        "epochs = 3\nstudents = 3": "epochs = 2\nstudents = 3",
    }
    return {"[search]\n": search, "rounds = 2": "rounds = 1", **shorter}


def _once(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """Each signal in each phase once, by turns of policies and databases; and every disturbance and kill of a worker.

    Steps stay in their order: a phase that has ended does not come again.
    """
    by_kill: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    for policy, plan in plans.items():
        for database, steps in plan.steps.items():
            for place, step in enumerate(steps):
                by_kill.setdefault((step.phase, step.signal), []).append((policy, database, place))
    chosen: set[tuple[str, str, int]] = set()
    for turn, places in enumerate(by_kill.values()):
        special = [at for at in places if _is_special(plans[at[0]].steps[at[1]][at[2]])]
        chosen.update(special or [places[turn % len(places)]])
    kept: dict[str, Plan] = {}
    for policy, plan in plans.items():
        steps_by_database = {
            database: tuple(step for place, step in enumerate(steps) if (policy, database, place) in chosen)
            for database, steps in plan.steps.items()
        }
        kept[policy] = replace(plan, steps=steps_by_database)
    return kept


def _is_special(step: Step) -> bool:
    return bool(step.disturbance or step.workers)


PLANS = {"paper": _paper(), "rounds": _rounds(), "successive_halving": _successive_halving()}
SHORT_PLANS = _once(PLANS)


def _write(folder: Path, plan: Plan) -> None:
    folder.mkdir(exist_ok=True)
    write_study(folder, name=NAME)
    path = folder / "study.toml"
    text = path.read_text()
    for before, after in (*_SMALLER.items(), *plan.changes.items()):
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text)


def _open(url: str) -> AvatarStudy:
    return AvatarStudy(open_storage(url, create=False), NAME)


def _searched(study: AvatarStudy) -> list[Any]:
    """Trials of the search: number, state, parameters, values, and what else is stored of them."""
    trials = study.search.get_trials(deepcopy=False)
    return [(t.number, t.state, t.params, t.values, t.user_attrs, t.distributions) for t in trials]


def _distilled(study: AvatarStudy) -> dict[str, Any]:
    """Jobs by key: everything but times, and the digests of the students' files."""
    trials = study.distilled.get_trials(deepcopy=False)
    assert len({trial.user_attrs["key"] for trial in trials}) == len(trials), "a job is there twice"
    return {trial.user_attrs["key"]: _job(trial) for trial in trials}


def _job(trial: FrozenTrial) -> Any:
    """A checkpoint holds times: `_checkpoints` compares what else it holds."""
    assert trial.state is TrialState.COMPLETE, f"job {trial.number} is {trial.state.name}"
    job, result = Job.from_trial(trial), JobResult.from_trial(trial)
    history = [{key: value for key, value in entry.items() if key != "seconds"} for entry in result.history]
    digests = {name: record["sha256"] for name, record in result.files.items() if name != CHECKPOINT_FILE}
    of_test = (result.valid, result.test, result.effectiveness, result.size_bytes, result.best_epoch)
    asked = {name: value for name, value in job.to_dict().items() if name != "continues"}
    return trial.number, asked, sorted(job.continues), of_test, history, digests


def _checkpoints(study: AvatarStudy, folder: Path) -> dict[str, dict[str, bytes]]:
    """By job that may be continued: its tensors. All files of all students are there, each as it was written."""
    checkpoints = {}
    for trial in study.distilled.get_trials(deepcopy=False):
        files, directory = JobResult.from_trial(trial).files, folder / str(trial.number)
        download_directory(artifact_store(study.artifacts), files, directory)
        if CHECKPOINT_FILE in files:
            tensors = load_file(directory / CHECKPOINT_FILE)
            checkpoints[trial.user_attrs["key"]] = {name: tensor.tobytes() for name, tensor in tensors.items()}
    return checkpoints


def _steps(plans: Mapping[str, Plan]) -> list[tuple[str, Step]]:
    return [(database, step) for plan in plans.values() for database, own in plan.steps.items() for step in own]


def test_the_plans_have_kills_in_all_phases_by_all_signals() -> None:
    steps = _steps(PLANS)
    assert sum(1 + len(step.workers) for _, step in steps) >= 60
    for plans in (PLANS, SHORT_PLANS):
        assert {(step.phase, step.signal) for _, step in _steps(plans)} == set(itertools.product(PHASES, SIGNALS))
    for database, phase in itertools.product(DATABASES, (*_WRITING, "rungs")):
        assert {step.signal for at, step in steps if (at, step.phase) == (database, phase)} == set(SIGNALS)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer(durable=True)
    yield server
    server.delete()


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a busy machine is no failure
@pytest.mark.parametrize("plan", SHORT_PLANS.values(), ids=SHORT_PLANS)
def test_kills_change_nothing(tmp_path: Path, server: PostgresServer, plan: Plan) -> None:
    _assert_unchanged(tmp_path, server, plan)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)  # ten minutes for all on two quiet cores
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_more_kills_change_nothing(tmp_path: Path, server: PostgresServer, plan: Plan) -> None:
    _assert_unchanged(tmp_path, server, plan)


def _assert_unchanged(tmp_path: Path, server: PostgresServer, plan: Plan) -> None:
    clock = skewed_clock(tmp_path)
    expected = _undisturbed(tmp_path / "undisturbed", plan)
    with contextlib.ExitStack() as after:
        campaigns = []
        for name in DATABASES:
            folder = tmp_path / name
            _write(folder, plan)
            after.enter_context(small_disk(folder / "storage"))
            after.enter_context(small_disk(folder / "storage/artifacts"))
            url = f"sqlite:///{folder}/storage/studies.db" if name == "sqlite" else server.new_database()
            own_server = server if name == "postgres" else None
            campaigns.append(Campaign(folder=folder, url=url, server=own_server, skewed_clock=clock))
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(Campaign.run, campaigns, plan.steps.values()))
        for campaign, (name, steps) in zip(campaigns, plan.steps.items(), strict=True):
            campaign.close()
            study = _open(campaign.url)
            assert _searched(study) == _searched(expected), name
            assert _distilled(study) == _distilled(expected), name
            compared = study.read_attributes()[COMPARISON]["models"]
            assert set(compared) == set(expected.read_attributes()[COMPARISON]["models"])
            kept = _checkpoints(expected, tmp_path / "undisturbed/checked")
            assert _checkpoints(study, campaign.folder / "checked") == kept
            _assert_kills(campaign, steps, plan.workers)


def _undisturbed(folder: Path, plan: Plan) -> AvatarStudy:
    url = f"sqlite:///{folder}/storage/studies.db"
    _write(folder, plan)
    campaign = Campaign(folder=folder, url=url, server=None, skewed_clock=None)
    campaign.succeed("run", "study.toml", "--workers", "1")
    campaign.close()
    return _open(url)


def _assert_kills(campaign: Campaign, steps: tuple[Step, ...], workers: tuple[str, ...]) -> None:
    wanted = Counter((step.phase, step.signal, "process") for step in steps)
    wanted.update((phase, name, "worker") for phase, name in itertools.product(workers, SIGNALS))
    assert campaign.kills == wanted
    happened = {step.disturbance for step in steps if step.disturbance}
    assert campaign.disturbances == (happened if (campaign.folder / "storage").is_mount() else happened - {"full disk"})
