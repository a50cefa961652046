"""What each command does: it reads its options, calls the package that does the work, and prints."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from avatar_optuna.cli import _render
from avatar_optuna.cli._teacher import teacher
from avatar_optuna.exceptions import InputError, StudyError
from avatar_optuna.places import artifacts_location, cache_folder, own_artifacts, storage_url
from avatar_optuna.progress import Progress, say
from avatar_optuna.schema import AUDIT, Audit
from avatar_optuna.settings import load_study_file
from avatar_optuna.storage import open_for_reading, open_storage, study_summaries
from avatar_optuna.view import StudyView, read_view

if TYPE_CHECKING:
    from avatar_optuna.pipeline import Run
    from avatar_optuna.pool import Slot
    from avatar_optuna.study import AvatarStudy

_WATCH_S = 2.0


def _data(options: Namespace, console: Console) -> None:
    from avatar_optuna.data_audit import audit_data
    from avatar_optuna.tasks import load_task
    from avatar_optuna.teachers import token_counter

    settings = load_study_file(options.study_file)
    progress = Progress(_beside(options, console))
    with progress.busy(f"reading the data of {settings.task.kind}"):
        task = load_task(settings.task, cache_dir=cache_folder(options.cache))
    with progress.busy("auditing the data, and fitting plain models to it"):
        try:
            counter = token_counter(settings.teacher)
        except InputError as error:  # data may be looked at before there is a teacher
            counter = None
            progress.say(f"tokens are not counted, and what the teacher cuts: {error}")
        audit = audit_data(task, count_tokens=counter, longest=settings.teacher.max_sequence_length)
    if not _has_printed_json(options, console, audit.to_dict()):
        _render.data(audit, console)


def _space(options: Namespace, console: Console) -> None:
    from avatar_optuna.feasibility import feasibility_of, tighten
    from avatar_optuna.pipeline import calibrated
    from avatar_optuna.tasks import task_shape_of

    settings = load_study_file(options.study_file)
    task_shape, progress = task_shape_of(settings.task), Progress(_beside(options, console))
    predicted = calibrated(settings, task_shape, progress)
    with progress.busy("tightening the space"):
        tightened = tighten(
            feasibility_of(settings.space, constraints=settings.constraints, task_shape=task_shape, predicted=predicted)
        )
    if not _has_printed_json(options, console, tightened.to_dict()):
        _render.space(tightened, settings.space, console)


def _run(options: Namespace, console: Console) -> None:
    from avatar_optuna.pool import parse_devices
    from avatar_optuna.renderers import front_table

    slots = parse_devices(options.devices, workers=options.workers) if options.workers != 0 else ()
    if options.dry_run:
        _dry_run(options, console, slots)
        return
    if options.format != "table":
        raise InputError("-f json goes with --dry-run: a run prints sentences, and `front -f json` what it found")
    run = _begin(options, console, slots)
    if not run.everything():
        say(console, f"all is done: the study {run.study.name} has nothing left to do")
    front_table(read_view(run.study.storage, run.study.name), console)
    if failed := run.failed_jobs:
        numbers = ", ".join(map(str, failed))
        raise StudyError(
            f"jobs failed for good: {numbers}; `avatar-optuna status --study-name {run.study.name}` says why"
        )


def _dry_run(options: Namespace, console: Console, slots: Sequence[Slot]) -> None:
    from avatar_optuna.pipeline import dry_run

    planned = dry_run(
        load_study_file(options.study_file),
        storage_url=storage_url(options.storage),
        cache_dir=cache_folder(options.cache),
        slots=slots,
        progress=Progress(_beside(options, console)),
    )
    if not _has_printed_json(options, console, planned.to_dict()):
        _render.dry_run(planned, console)


def _create(options: Namespace, console: Console) -> None:
    from avatar_optuna.pipeline import require_space
    from avatar_optuna.study import create_study

    settings, url = load_study_file(options.study_file), storage_url(options.storage)
    require_space(settings, url)
    study = create_study(settings, open_storage(url), artifacts=options.artifacts)
    say(console, f"the study {study.name} is there: search and workers may begin")


def _search(options: Namespace, console: Console) -> None:
    from avatar_optuna.renderers import front_table

    run = _begin(options, console, ())
    run.search_alone()
    front_table(read_view(run.study.storage, run.study.name), console)


def _begin(options: Namespace, console: Console, slots: Sequence[Slot]) -> Run:
    from avatar_optuna.pipeline import begin

    return begin(
        load_study_file(options.study_file),
        storage_url=storage_url(options.storage),
        artifacts=options.artifacts,
        cache_dir=cache_folder(options.cache),
        slots=slots,
        progress=Progress(console),
    )


def _audit(options: Namespace, console: Console) -> None:
    from avatar_optuna.pipeline import Run
    from avatar_optuna.tasks import task_shape_of

    url = storage_url(options.storage)
    study = _open(options, url)
    progress = Progress(_beside(options, console))
    run = Run(study=study, storage_url=url, slots=(), cache_dir=cache_folder(None), progress=progress)
    run.audit(task_shape_of(study.settings.task), is_asked=True)
    stored = study.read_attributes()[AUDIT]
    if not _has_printed_json(options, console, stored):
        _render.audit(Audit.from_dict(stored), console)


def _beside(options: Namespace, console: Console) -> Console:
    """Where progress goes: beside what a program reads."""
    return Console(stderr=True) if options.format == "json" else console


def _worker(options: Namespace, console: Console) -> None:
    from avatar_optuna.pool import WorkerProcesses, parse_devices, run_workers

    url = storage_url(options.storage)
    study = _open(options, url)
    slots = parse_devices(options.devices)
    say(console, f"worker: {len(slots)} slot(s) of {study.name}: {', '.join(slot.name for slot in slots)}")
    processes = WorkerProcesses(
        url,
        study.name,
        slots=slots,
        cache_dir=cache_folder(options.cache),
        until_empty=options.once,
        artifacts=own_artifacts(options.artifacts),
    )
    run_workers(processes)


def _status(options: Namespace, console: Console) -> None:
    from avatar_optuna.pool import pool_status
    from avatar_optuna.study import TimeBudget

    study = _open(options)
    while True:
        status = pool_status(study.storage, study.name)
        budget = TimeBudget.of(study.storage, study.settings)
        if options.watch and options.format == "table":
            console.clear()
        used = {"budget": budget.to_dict()} if budget is not None else {}
        if not _has_printed_json(options, console, {"study": study.name, **status.to_dict(), **used}):
            _render.status(study.name, status, budget, console)
        is_running = status.run is not None and status.run.state == "alive"
        if not options.watch or (status.is_finished and not is_running):
            return
        time.sleep(_WATCH_S)


def _copy(options: Namespace, console: Console) -> None:
    from avatar_optuna.storage import copy_study

    source, target = open_storage(options.source, create=False), open_storage(options.target)
    with Progress(console).busy(f"copying {options.study_name}"):
        copy_study(source=source, target=target, study_name=options.study_name)
    say(console, f"copied {options.study_name}: the same commands go on there")


def _list(options: Namespace, console: Console) -> None:
    summaries = study_summaries(open_for_reading(storage_url(options.storage)))
    rows = [{**asdict(summary), "state": summary.state} for summary in summaries]
    for row in rows:
        if row["last_activity"] is not None:
            row["last_activity"] = row["last_activity"].isoformat(timespec="seconds")
    if not _has_printed_json(options, console, {"studies": rows}):
        _render.studies(summaries, console)


def _delete(options: Namespace, console: Console) -> None:
    from avatar_optuna.pipeline import delete

    study = _open(options)
    cache_dir = cache_folder(options.cache)
    planned = delete(study, cache_dir=cache_dir, is_dry_run=True, keeps_files=options.keep_files)
    kept = "; its files stay" if options.keep_files else f" and {planned.files} files in {planned.artifacts}"
    amount = f"{planned.trials:,} trials, {planned.jobs:,} jobs{kept} ({planned.size_bytes / 1e6:.1f} MB)"
    if planned.cached:
        amount += f", and the {len(planned.cached)} files of the cache {cache_dir}, as no other study is left"
    if options.dry_run:
        say(console, f"would delete {study.name}: {amount}")
        return
    if not options.yes:
        _confirm(f"delete {study.name}: {amount}; copies of the study lose these files too")
    delete(study, cache_dir=cache_dir, is_dry_run=False, keeps_files=options.keep_files)
    say(console, f"deleted {study.name}: {amount}")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise InputError("--yes must be given where nobody can be asked; --dry-run says what would be deleted")
    if input(f"{question}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError("nothing was deleted: the answer was not yes")


def _front(options: Namespace, console: Console) -> None:
    from avatar_optuna.renderers import front_csv, front_table, front_values, metrics_table

    view = _view(options)
    if options.format == "table":
        front_table(view, console)
        if options.metrics:
            metrics_table(view, console)
    elif not _has_printed_json(options, console, front_values(view)):
        front_csv(view, console.file)


def _report(options: Namespace, console: Console) -> None:
    from avatar_optuna.report import write_beside, write_report

    if options.beside == options.study_name:
        raise InputError(f"--beside must be another study than --study-name, got {options.beside!r} twice")
    engine = open_for_reading(storage_url(options.storage))
    with Progress(console).busy("reading the study and drawing its report"):
        view = read_view(engine, options.study_name)
        if options.beside is None:
            what, path = view.name, write_report(view, options.out or Path(f"{view.name}-report.html"))
        else:
            other = read_view(engine, options.beside)
            what = f"{view.name} beside {other.name}"
            path = write_beside(view, other, options.out or Path(f"{view.name}-beside-{other.name}.html"))
    megabytes = path.stat().st_size / 1e6
    say(console, f"report of {what} written to {path} ({megabytes:.1f} MB): open it in any browser")


def _dashboard(options: Namespace, console: Console) -> None:
    from avatar_optuna.dashboard import serve

    serve(
        storage_url(options.storage),
        host=options.host,
        port=options.port,
        allow_edits=options.allow_edits,
        artifacts=artifacts_location(options.artifacts),
        allowed_hosts=options.allowed_hosts,
        say=Progress(console).say,
    )


def _export(options: Namespace, console: Console) -> None:
    from avatar_optuna.exports import export_student

    study = _open(options)
    export_student(study, options.student, options.out, format_name=options.format, threshold=options.threshold)
    say(console, f"student {options.student} of {study.name} written to {options.out}")


def _distil(options: Namespace, console: Console) -> None:
    from avatar_optuna.pipeline import Workforce, distil_prediction
    from avatar_optuna.pool import parse_devices

    url = storage_url(options.storage)
    study = _open(options, url)
    workforce = Workforce(
        study=study,
        storage_url=url,
        slots=parse_devices(options.devices, workers=options.workers) if options.workers != 0 else (),
        cache_dir=cache_folder(options.cache),
        progress=Progress(console),
    )
    student = distil_prediction(workforce, options.trial)
    state = "" if student.state.is_finished() else ", still to be distilled by `avatar-optuna worker`"
    say(
        console,
        f"prediction {options.trial} of {study.name} is student {student.number}{state}; "
        f"to take it away: avatar-optuna export --study-name {study.name} --student {student.number}",
    )


def _open(options: Namespace, url: str | None = None) -> AvatarStudy:
    from avatar_optuna.study import AvatarStudy

    return AvatarStudy(open_storage(url or storage_url(options.storage), create=False), options.study_name)


def _view(options: Namespace) -> StudyView:
    return read_view(open_for_reading(storage_url(options.storage)), options.study_name)


def _has_printed_json(options: Namespace, console: Console, values: object) -> bool:
    """Print values where JSON is asked for; says whether it was."""
    is_asked = options.format == "json"
    if is_asked:
        console.file.write(json.dumps(values, indent=2) + "\n")
    return bool(is_asked)


COMMANDS: Mapping[str, Callable[[Namespace, Console], None]] = {
    "data": _data,
    "space": _space,
    "teacher": teacher,
    "run": _run,
    "create": _create,
    "search": _search,
    "worker": _worker,
    "status": _status,
    "audit": _audit,
    "copy": _copy,
    "list": _list,
    "delete": _delete,
    "front": _front,
    "report": _report,
    "dashboard": _dashboard,
    "export": _export,
    "distil": _distil,
}
