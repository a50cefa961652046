"""The command line: what each command takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from avatar_optuna import __version__
from avatar_optuna.places import DEFAULT_STORAGE


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def natural(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """The parser of `avatar-optuna`."""
    parser = argparse.ArgumentParser(
        prog="avatar-optuna",
        description="Shrink a language model of code: a multi-objective study of distilled students.",
        epilog="Every command can be stopped and run again: all state is in the database and the artifact store.",
    )
    parser.add_argument("--version", action="version", version=f"avatar-optuna {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _study_file_commands(commands)
    _study_commands(commands)
    _looking_commands(commands)
    _taking_commands(commands)
    return parser


_Commands = argparse._SubParsersAction


def _study_file_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    space = commands.add_parser("space", help="what is feasible, and what binds")
    _study_file(space)
    _format(space, ("table", "json"))

    teacher = commands.add_parser("teacher", help="fine-tune or load the teacher, and say how good it is")
    _study_file(teacher)
    _cache(teacher)

    create = commands.add_parser(
        "create", help="make the study and its tables, and no more: before many machines begin"
    )
    _study_file(create)
    _storage(create)
    _artifacts(create)

    search = commands.add_parser("search", help="only the search: needs the indicator's samples")
    _study_file(search)
    _storage(search)
    _artifacts(search)
    _cache(search)

    run = commands.add_parser("run", help="everything: teacher, samples, search, distillation; resumable")
    _study_file(run)
    _storage(run)
    _artifacts(run)
    _cache(run)
    run.add_argument(
        "--workers",
        type=natural,
        metavar="N",
        help="worker processes; 0 leaves the jobs to `worker` (default: one a slot)",
    )
    _devices(run)


def _study_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    worker = commands.add_parser("worker", help="distil what is queued, on the devices given")
    _study_name(worker)
    _storage(worker)
    _cache(worker)
    _devices(worker)
    worker.add_argument("--once", action="store_true", help="end when the queue is empty instead of waiting for more")

    status = commands.add_parser("status", help="what is done, running, queued, failed and why")
    _study_name(status)
    _storage(status)
    _format(status, ("table", "json"))
    status.add_argument("--watch", action="store_true", help="refresh every two seconds until nothing is left to do")

    audit = commands.add_parser("audit", help="time random students on this device: are FLOPs a proxy for latency?")
    _study_name(audit)
    _storage(audit)
    _format(audit, ("table", "json"))

    copy = commands.add_parser("copy", help="move a study to another database, so that it resumes there")
    _study_name(copy)
    copy.add_argument("--from", dest="source", required=True, metavar="URL", help="database that holds the study")
    copy.add_argument("--to", dest="target", required=True, metavar="URL", help="database to copy it to")

    list_ = commands.add_parser("list", help="the studies of the database: state, trials, students, size")
    _storage(list_)
    _format(list_, ("table", "json"))

    delete = commands.add_parser("delete", help="remove a study, its students and its checkpoints")
    _study_name(delete)
    _storage(delete)
    delete.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    delete.add_argument(
        "--keep-files", action="store_true", help="leave the files in the artifact store, for a copy of the study"
    )


def _looking_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    front = commands.add_parser("front", help="the Pareto front, predicted and measured")
    _study_name(front)
    _storage(front)
    _format(front, ("table", "json", "csv"))

    report = commands.add_parser("report", help="one HTML file that shows a study, finished or not")
    _study_name(report)
    _storage(report)
    report.add_argument("--out", type=Path, metavar="FILE", help="the file (default: NAME-report.html)")


def _taking_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    dashboard = commands.add_parser("dashboard", help="optuna-dashboard, read-only unless told otherwise")
    _storage(dashboard)
    _artifacts(dashboard)
    dashboard.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    dashboard.add_argument("--port", type=natural, default=8080, help="port to listen on, 0 for any (default: 8080)")
    dashboard.add_argument(
        "--allowed-hosts",
        type=lambda text: [name.strip() for name in text.split(",") if name.strip()],
        default=[],
        metavar="NAME,NAME",
        help="more host names by which browsers may call it (loopback names and --host always may)",
    )
    dashboard.add_argument(
        "--allow-edits", action="store_true", help="let whoever has the printed token change studies"
    )

    export = commands.add_parser("export", help="write a student as files, such as a Hugging Face directory")
    _study_name(export)
    _storage(export)
    export.add_argument("--trial", type=natural, required=True, metavar="N", help="number of the student's job")
    export.add_argument(
        "--format", default="hf", metavar="NAME", help="hf, or a format of another installed package (default: hf)"
    )
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="new directory for the student")

    predict = commands.add_parser("predict", help="run an exported student on source files")
    predict.add_argument("directory", type=Path, metavar="DIR", help="an exported student")
    predict.add_argument("files", type=Path, nargs="+", metavar="FILE", help="source files; two for a pair")
    _format(predict, ("table", "json"))


def _study_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study_file", type=Path, metavar="STUDY.toml", help="the study file")


def _study_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study-name", required=True, metavar="NAME", help="name of the study in the database")


def _storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--storage", metavar="URL", help=f"database (default: $OPTUNA_STORAGE, else {DEFAULT_STORAGE})")


def _artifacts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--artifacts",
        metavar="DIR|URL",
        help="where students are stored (default: $AVATAR_ARTIFACTS, else storage/artifacts)",
    )


def _cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="teacher logits, tokenizers and the like, safe to delete (default: $AVATAR_CACHE, else storage/cache)",
    )


def _devices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--devices",
        default="auto",
        metavar="LIST",
        help="auto, cpu, or cuda:0,cuda:1; cuda:0*4 is four slots of one device (default: auto)",
    )


def _format(parser: argparse.ArgumentParser, formats: tuple[str, ...]) -> None:
    parser.add_argument("-f", "--format", choices=formats, default="table", help="how to print it (default: table)")
