"""Sixty kills over all phases of a run, on both databases: it ends bit for bit as one that nothing disturbed.

Runs and their workers are sent SIGKILL, SIGTERM and SIGINT in each phase (see `tests.interrupted`). Meanwhile the disk
is full, the artifact store read-only, the server crashes, and each process is begun with another wrong clock.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.schema import COMPARISON, Job, JobResult, distilled_name
from avatar_optuna.storage import JobQueue, artifact_store, download_directory, open_storage
from avatar_optuna.study import AvatarStudy
from tests.finished_study import write_study
from tests.interrupted import PHASES, Interrupt
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[1]
NAME = "killed"
SIGNALS = ("KILL", "TERM", "INT")
_CHANGES = (
    ("epochs = 6", "epochs = 2"),
    ("samples = 5\nepochs = 2", "samples = 4\nepochs = 2"),
    ("n_trials = 60\npopulation_size = 20", "n_trials = 20\npopulation_size = 10"),
    ("[distillation]\nepochs = 4\nstudents = 2", "[distillation]\nepochs = 3\nstudents = 3"),
)
_CLOCK_OFFSETS_S = (0, -7 * 3600, 40 * 86_400)
_HELD_S = 4.0
_LONGEST_S = 60.0
_DISK_BYTES = 24 << 20


@dataclass(frozen=True, kw_only=True)
class Step:
    """One process, and how it ends.

    Args:
        phase: In which it is sent a signal.
        signal: Which.
        delay_s: How long after the phase began.
        workers: What its workers are sent before.
        disturbance: What happens meanwhile, once a job is being done: "full disk", "read-only store", "restart".
    """

    phase: str
    signal: str
    delay_s: float = 0.0
    workers: Sequence[str] = ()
    disturbance: str = ""


def _steps() -> list[Step]:
    """Each phase with each signal: as it begins, and later. The second round has one signal each."""
    first = ("teacher", "measurement", "samples", "indicator", "search", "distillation")
    steps = [Step(phase=phase, signal=name, delay_s=at) for phase in first for name, at in _DELAYS[phase]]
    steps += [Step(phase="indicator", signal="KILL"), Step(phase="search", signal="INT")]
    steps += [Step(phase="distillation", signal="TERM", delay_s=2 * _HELD_S, disturbance="restart")]
    steps += [Step(phase=phase, signal=name, delay_s=at) for phase in ("comparison",) for name, at in _DELAYS[phase]]
    places = {(step.phase, step.signal): index for index, step in reversed(list(enumerate(steps)))}
    for phase in ("samples", "distillation"):
        index = places[phase, "KILL"]
        steps[index] = Step(phase=phase, signal="KILL", delay_s=0.1, workers=SIGNALS)
    for phase, disturbance in (("samples", "full disk"), ("distillation", "read-only store")):
        index = places[phase, "INT"]
        steps[index] = Step(phase=phase, signal="INT", delay_s=2 * _HELD_S, disturbance=disturbance)
    return steps


_DELAYS = {
    "teacher": (("KILL", 0.0), ("TERM", 0.2), ("INT", 0.6)),
    "measurement": (("KILL", 0.0), ("TERM", 0.02), ("INT", 0.1)),
    "samples": (("KILL", 0.0), ("TERM", 0.0), ("INT", 0.3)),
    "indicator": (("KILL", 0.0), ("TERM", 0.1), ("INT", 0.5)),
    "search": (("KILL", 0.05), ("TERM", 0.0), ("INT", 0.3)),
    "distillation": (("KILL", 0.0), ("TERM", 0.2), ("INT", 0.3)),
    "comparison": (("KILL", 0.0), ("TERM", 0.5), ("INT", 1.5)),
}


@dataclass(kw_only=True)
class Campaign:
    """A study that is killed over and over.

    Args:
        folder: Its study file, data and artifacts.
        url: Its database.
        server: The server of the database, if it has one.
        skewed_clock: What makes the clocks of processes wrong, or None without a C compiler.
        kills: (phase, signal, "process" or "worker") -> how many were sent.
        disturbances: Which took place.
    """

    folder: Path
    url: str
    server: PostgresServer | None
    skewed_clock: Path | None
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    disturbances: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._clocks = itertools.cycle(_CLOCK_OFFSETS_S)
        self._log, self._output = self.folder / "kills.txt", self.folder / "output.txt"
        preloaded = {"LD_PRELOAD": str(self.skewed_clock)} if self.skewed_clock is not None else {}
        self._processes = subprocess.Popen(
            [sys.executable, "-m", "tests.interrupted"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **preloaded},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process that begins the others."""
        self._processes.communicate(timeout=_LONGEST_S)

    def run(self) -> None:
        """All steps, then to the end; then the report, killed while it is written."""
        command = ("run", "study.toml", "--workers", "1", "--storage", self.url)
        for step in _steps():
            self._step(step, *command)
        self.succeed(*command)
        assert "all is done" in self.succeed(*command)
        report = ("report", "--study-name", NAME, "--out", "report.html", "--storage", self.url)
        for name, delay_s in (("KILL", 0.0), ("TERM", 0.1), ("INT", 0.3)):
            self._step(Step(phase="report", signal=name, delay_s=delay_s), *report)
            assert not (self.folder / "report.html").exists() or _is_whole(self.folder / "report.html")
        self.succeed(*report)
        assert _is_whole(self.folder / "report.html")

    def _step(self, step: Step, *words: str) -> None:
        interrupt = Interrupt(
            phase=step.phase,
            signal=step.signal,
            delay_s=step.delay_s,
            workers=step.workers,
            log=str(self._log),
        )
        before = len(self._noted())
        for _ in range(3):  # a command that a disk or a server fails ends with one line: it is then given again
            self._begin(words, interrupt)
            if step.disturbance:
                self._disturb(step.disturbance)
            code, output = self._end()
            if len(self._noted()) > before:
                break
            assert code == 1, f"{step} was not reached: {code}: {output}"
            assert "cannot be used" in output.strip().splitlines()[-1], output
            assert "Traceback" not in output, output
        noted = [tuple(line.split()) for line in self._noted()[before:]]
        assert noted[-1:] == [(step.phase, step.signal, "process")], f"{step}: {noted}: {output}"
        ends = {"KILL": -signal.SIGKILL, "TERM": -signal.SIGTERM, "INT": 130}
        assert code == ends[step.signal], f"{step}: {code}: {output}"
        self.kills.update((phase, name, who) for phase, name, who in noted)

    def _noted(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    def succeed(self, *words: str) -> str:
        """What a command prints that nothing disturbs."""
        self._begin(words, None)
        code, output = self._end()
        assert code == 0, output
        return output

    def _begin(self, words: Sequence[str], interrupt: Interrupt | None) -> None:
        command = {
            "words": words,
            "interrupt": asdict(interrupt) if interrupt is not None else None,
            "environment": {"AVATAR_TEST_CLOCK_OFFSET_S": str(next(self._clocks))},
            "output": str(self._output),
        }
        assert self._processes.stdin is not None
        self._processes.stdin.write(json.dumps(command) + "\n")
        self._processes.stdin.flush()

    def _end(self) -> tuple[int, str]:
        """Exit code, or the signal's number, negative; and what was printed."""
        assert self._processes.stdout is not None
        code = int(self._processes.stdout.readline())
        return code, self._output.read_text()

    def _disturb(self, disturbance: str) -> None:
        """Wait for a job that is being done, and let it happen."""
        storage = self.folder / "storage"
        if disturbance == "restart" and self.server is None:
            return
        if disturbance == "full disk" and not storage.is_mount():
            return
        queue = JobQueue(open_storage(self.url), distilled_name(NAME))
        while not queue.running():
            time.sleep(0.02)
        with {"full disk": _full_disk, "read-only store": _read_only}.get(disturbance, self._restart)(storage):
            time.sleep(_HELD_S)
        self.disturbances.add(disturbance)

    @contextlib.contextmanager
    def _restart(self, storage: Path) -> Iterator[None]:
        assert self.server is not None
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()


@contextlib.contextmanager
def _full_disk(storage: Path) -> Iterator[None]:
    """Fill the small file systems of the database and of the artifacts to the last byte."""
    fillers = [storage / "filler", storage / "artifacts/filler"]
    for filler in fillers:
        with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"\0" * 4096)
    try:
        yield
    finally:
        for filler in fillers:
            filler.unlink()


@contextlib.contextmanager
def _read_only(storage: Path) -> Iterator[None]:
    """A file system of its own is mounted read-only; else the folder's rights forbid to write."""
    store = storage / "artifacts"
    if not store.is_mount():
        store.chmod(0o555)
        yield
        store.chmod(0o755)
        return
    while subprocess.run(("mount", "-o", "remount,ro", str(store)), capture_output=True, check=False).returncode:
        time.sleep(0.01)  # a file of it is being written
    try:
        yield
    finally:
        subprocess.run(("mount", "-o", "remount,rw", str(store)), check=True)


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A small file system of its own on a folder, where this user may mount one."""
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder))
    is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield
    finally:
        if is_mounted:
            subprocess.run(("umount", "--lazy", str(folder)), check=True)


def _skewed_clock(folder: Path) -> Path | None:
    """Compile what shifts the clock of a process, where there is a C compiler."""
    library, source = folder / "skewed_clock.so", Path(__file__).with_name("skewed_clock.c")
    with contextlib.suppress(OSError):
        subprocess.run(("cc", "-shared", "-fPIC", "-o", str(library), str(source)), check=True)
        return library
    return None


def _is_whole(page: Path) -> bool:
    return page.read_text().rstrip().endswith("</html>")


def _write(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    write_study(folder, name=NAME)
    path = folder / "study.toml"
    text = path.read_text()
    for before, after in _CHANGES:
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
    assert trial.state is TrialState.COMPLETE, f"job {trial.number} is {trial.state.name}"
    result = JobResult.from_trial(trial)
    history = [{key: value for key, value in entry.items() if key != "seconds"} for entry in result.history]
    digests = {name: record["sha256"] for name, record in result.files.items()}
    of_test = (result.valid, result.test, result.effectiveness, result.size_bytes, result.best_epoch)
    return trial.number, Job.from_trial(trial).to_dict(), of_test, history, digests


def _assert_files_are_there(study: AvatarStudy, folder: Path) -> None:
    for trial in study.distilled.get_trials(deepcopy=False):
        files = JobResult.from_trial(trial).files
        download_directory(artifact_store(study.artifacts), files, folder / str(trial.number))


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a busy machine is no failure; ten minutes on two quiet cores
def test_sixty_kills_change_nothing(tmp_path: Path) -> None:
    folder, clock = tmp_path / "undisturbed", _skewed_clock(tmp_path)
    url = f"sqlite:///{folder}/storage/studies.db"
    _write(folder)
    undisturbed = Campaign(folder=folder, url=url, server=None, skewed_clock=None)
    undisturbed.succeed("run", "study.toml", "--workers", "1")
    undisturbed.close()
    expected = _open(url)

    server = PostgresServer(durable=True)
    with contextlib.ExitStack() as after:
        after.callback(server.delete)
        campaigns = []
        for name in ("sqlite", "postgres"):
            folder = tmp_path / name
            _write(folder)
            after.enter_context(_small_disk(folder / "storage"))
            after.enter_context(_small_disk(folder / "storage/artifacts"))
            url = f"sqlite:///{folder}/storage/studies.db" if name == "sqlite" else server.new_database()
            own_server = server if name == "postgres" else None
            campaigns.append(Campaign(folder=folder, url=url, server=own_server, skewed_clock=clock))
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(Campaign.run, campaigns))
        for campaign in campaigns:
            campaign.close()
        for campaign in campaigns:
            study = _open(campaign.url)
            assert _searched(study) == _searched(expected)
            assert _distilled(study) == _distilled(expected)
            compared = study.read_attributes()[COMPARISON]["models"]
            assert set(compared) == set(expected.read_attributes()[COMPARISON]["models"])
            _assert_files_are_there(study, campaign.folder / "checked")
            _assert_kills(campaign)
        total = sum(sum(campaign.kills.values()) for campaign in campaigns)
        assert total >= 60, [campaign.kills for campaign in campaigns]


def _assert_kills(campaign: Campaign) -> None:
    for phase, name in itertools.product(PHASES, SIGNALS):
        assert campaign.kills[phase, name, "process"] >= 1, (phase, name)
    for phase, name in itertools.product(("samples", "distillation"), SIGNALS):
        assert campaign.kills[phase, name, "worker"] >= 1, (phase, name)
    wanted = {"read-only store"}
    wanted |= {"restart"} if campaign.server is not None else set()
    wanted |= {"full disk"} if (campaign.folder / "storage").is_mount() else set()
    assert campaign.disturbances == wanted
