"""The command line: what each command takes."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from avatar_optuna import __version__
from avatar_optuna.places import DEFAULT_STORAGE

Argument = tuple[str, Mapping[str, Any]]
"""The name of an argument, and what `add_argument` takes besides."""


def natural(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def expectation(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def probability(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!r}")
    return value


def path(text: str) -> Path:
    """A path that a file can have, for argparse."""
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a path, got {text!r}")
    return Path(text)


def _argument(name: str, help_: str, **options: Any) -> Argument:
    return name, {"help": help_, **options}


class _StudentNumber(argparse.Action):
    """Stores the number; `--trial`, its name before, says so."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        if option == "--trial":
            sys.stderr.write(f"{parser.prog}: --trial is named --student now; the old name will go\n")
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    """Its errors are one line, whatever the words hold that they quote."""

    def error(self, message: str) -> NoReturn:
        super().error(message.replace("\n", "\\n"))


def _flag(name: str, help_: str) -> Argument:
    return _argument(name, help_, action="store_true")


def _format(*formats: str) -> Argument:
    return _argument("-f/--format", "how to print it (default: table)", choices=formats, default="table")


_STUDY_FILE = _argument("study_file", "the study file", type=path, metavar="STUDY.toml")
_STUDY_NAME = _argument("--study-name", "name of the study in the database", required=True, metavar="NAME")
_STORAGE = _argument("--storage", f"database (default: $OPTUNA_STORAGE, else {DEFAULT_STORAGE})", metavar="URL")
_ARTIFACTS = _argument(
    "--artifacts", "where students are stored (default: $AVATAR_ARTIFACTS, else storage/artifacts)", metavar="DIR|URL"
)
_CACHE = _argument(
    "--cache",
    "teacher logits, tokenizers and the like, safe to delete (default: $AVATAR_CACHE, else storage/cache)",
    type=path,
    metavar="DIR",
)
_DEVICES = _argument(
    "--devices",
    "auto, cpu, or cuda:0,cuda:1; cuda:0*4 is four slots of one device (default: auto)",
    default="auto",
    metavar="LIST",
)
_WORKERS = _argument(
    "--workers",
    "worker processes; 0 leaves the jobs to `worker` (default: one a slot)",
    type=natural,
    metavar="N",
)
_ALLOWED_HOSTS = _argument(
    "--allowed-hosts",
    "more host names by which browsers may call it (loopback names and --host always may)",
    type=lambda text: [name.strip() for name in text.split(",") if name.strip()],
    default=[],
    metavar="NAME,NAME",
)
_STORED_STUDY = (_STUDY_NAME, _STORAGE)

_COMMANDS: Mapping[str, tuple[str, Sequence[Argument]]] = {
    "data": (
        "audit the data: copies, leaks between splits, contradictions, what plain models reach",
        (_STUDY_FILE, _CACHE, _format("table", "json")),
    ),
    "space": ("what is feasible, and what binds", (_STUDY_FILE, _format("table", "json"))),
    "teacher": (
        "fine-tune or load the teacher, and say how good it is",
        (
            *(_STUDY_FILE, _CACHE),
            _argument("--device", "auto (a GPU if there is one), cpu or cuda:0", default="auto", metavar="DEVICE"),
            _argument("--save", "new directory for the teacher in Hugging Face's form", type=path, metavar="DIR"),
            _argument(
                "--inputs",
                "only write the inputs that another model is to label, as JSON Lines, and no more",
                type=path,
                metavar="FILE",
            ),
        ),
    ),
    "create": (
        "make the study and its tables, and no more: before many machines begin",
        (_STUDY_FILE, _STORAGE, _ARTIFACTS),
    ),
    "search": (
        "only the search: needs the indicator's samples",
        (_STUDY_FILE, _STORAGE, _ARTIFACTS, _CACHE),
    ),
    "run": (
        "everything: teacher, samples, search, distillation; resumable",
        (
            *(_STUDY_FILE, _STORAGE, _ARTIFACTS, _CACHE, _WORKERS, _DEVICES),
            _flag("--dry-run", "only say what would be done, what it would take, and what is done already"),
            _argument(
                "-f/--format",
                "how to print what --dry-run says (default: table)",
                choices=("table", "json"),
                default="table",
            ),
        ),
    ),
    "distil": (
        "make a student of one prediction of the search",
        (
            *(*_STORED_STUDY, _CACHE, _WORKERS, _DEVICES),
            _argument(
                "--trial",
                "number of the prediction in NAME, first in the predicted front of `front`",
                type=natural,
                required=True,
                metavar="N",
            ),
        ),
    ),
    "worker": (
        "distil what is queued, on the devices given",
        (
            *(*_STORED_STUDY, _CACHE, _DEVICES),
            _argument(
                "--artifacts",
                "the only store that it may use (default: $AVATAR_ARTIFACTS, else the study's, as the database says)",
                metavar="DIR|URL",
            ),
            _flag("--once", "end when the queue is empty instead of waiting for more"),
        ),
    ),
    "status": (
        "what is done, running, queued, failed and why",
        (
            *(*_STORED_STUDY, _format("table", "json")),
            _flag("--watch", "refresh every two seconds until nothing is left to do"),
        ),
    ),
    "audit": (
        "time random students on this device: are FLOPs a proxy for latency?",
        (*_STORED_STUDY, _format("table", "json")),
    ),
    "copy": (
        "move a study to another database, so that it resumes there",
        (
            _STUDY_NAME,
            _argument("--from", "database that holds the study", dest="source", required=True, metavar="URL"),
            _argument("--to", "database to copy it to", dest="target", required=True, metavar="URL"),
        ),
    ),
    "list": ("the studies of the database: state, trials, students, size", (_STORAGE, _format("table", "json"))),
    "delete": (
        "remove a study, its students and its checkpoints, and with the last study of the database the cache",
        (
            *_STORED_STUDY,
            _CACHE,
            _flag("--dry-run", "only say what would be removed"),
            _flag("--yes", "do not ask"),
            _flag("--keep-files", "leave the files in the artifact store and the cache, for a copy of the study"),
        ),
    ),
    "front": (
        "the Pareto front, predicted and measured",
        (
            *_STORED_STUDY,
            _format("table", "json", "csv"),
            _flag("--metrics", "also all metrics of validation and test (they are always in -f json)"),
        ),
    ),
    "report": (
        "one HTML file that shows a study, finished or not, or two studies side by side",
        (
            *_STORED_STUDY,
            _argument("--beside", "another study of the database: both side by side instead", metavar="NAME"),
            _argument(
                "--out", "the file (default: NAME-report.html, NAME-beside-NAME.html)", type=path, metavar="FILE"
            ),
        ),
    ),
    "dashboard": (
        "pages that follow studies, beside optuna-dashboard; read-only unless told otherwise",
        (
            *(_STORAGE, _ARTIFACTS),
            _argument("--host", "address to listen on (default: 127.0.0.1)", default="127.0.0.1"),
            _argument("--port", "port to listen on, 0 for any (default: 8080)", type=natural, default=8080),
            _ALLOWED_HOSTS,
            _flag("--allow-edits", "let whoever has the printed token change studies"),
        ),
    ),
    "export": (
        "write a student as files, such as a Hugging Face directory",
        (
            *_STORED_STUDY,
            _argument(
                "--student/--trial",
                "number of the student in NAME/distilled, first in the table of `front` (--trial: its old name)",
                type=natural,
                action=_StudentNumber,
                required=True,
                metavar="N",
            ),
            _argument(
                "--format",
                "hf, numpy, onnx, onnx-int8, c, js, or one of another package (default: hf)",
                default="hf",
                metavar="NAME",
            ),
            _argument("--out", "new directory for the student", type=path, required=True, metavar="DIR"),
            _argument(
                "--threshold",
                "stored with it: from this probability on it answers the second of two labels (default: the student's "
                "own, else 0.5)",
                type=probability,
                metavar="P",
            ),
        ),
    ),
    "predict": (
        "run an exported student on source files",
        (
            _argument("directory", "an exported student", type=path, metavar="DIR"),
            _argument(
                "files",
                "files, folders, patterns such as 'src/**/*.c', or - for standard input; two for a student of pairs",
                type=path,
                nargs="+",
                metavar="FILE",
            ),
            _flag("--jsonl", "each FILE holds JSON Lines: objects with `func`, or `func1` and `func2` for pairs"),
            _argument(
                "--threshold",
                "answer the second of two labels from this probability on (default: the student's own, else 0.5)",
                type=probability,
                metavar="P",
            ),
            _argument(
                "-f/--format",
                "how to print it (default: text)",
                type=lambda name: "text" if name == "table" else name,  # its name before
                choices=("text", "json", "jsonl"),
                default="text",
            ),
        ),
    ),
    "scan": (
        "find clones, or suspicious functions, in a folder of source code by an exported student",
        (
            _argument("directory", "an exported student of two labels", type=path, metavar="STUDENT"),
            _argument("folder", "the folder to scan; links are not followed", type=path, metavar="FOLDER"),
            _argument(
                "--language",
                "scan files of this language, may be repeated: c, cpp, java, javascript, python (default: the "
                "student's own)",
                action="append",
                default=[],
                metavar="NAME",
            ),
            _argument(
                "--false-per-1000",
                "set the threshold so that of 1,000 functions so many findings are by chance (default: 1 of clones, "
                "10 of suspicious functions)",
                type=expectation,
                metavar="X",
            ),
            _argument("--threshold", "a finding has this probability at least", type=probability, metavar="P"),
            _argument("--baseline", "JSON of an earlier scan, whose findings are known", type=path, metavar="FILE"),
            _flag("--fail-on-findings", "exit with 1 if there are findings; with --baseline, new ones"),
            _argument(
                "-f/--format",
                "how to print it (default: table)",
                choices=("table", "json", "sarif", "html"),
                default="table",
            ),
            _argument("--out", "file to write it to (default: standard output)", type=path, metavar="FILE"),
            _argument(
                "--limit", "findings that a table shows, 0 for all (default: 50)", type=natural, default=50, metavar="N"
            ),
            _argument(
                "--min-lines",
                "leave out functions of fewer lines of code (default: 5)",
                type=natural,
                default=5,
                metavar="N",
            ),
            _argument(
                "--min-tokens",
                "leave out functions of fewer words and signs (default: 50)",
                type=natural,
                default=50,
                metavar="N",
            ),
            _argument(
                "--comments",
                "whether the student reads comments and docstrings (default: auto, which drops them for pairs)",
                choices=("auto", "keep", "drop"),
                default="auto",
            ),
            _argument(
                "--exclude",
                "leave out files and folders whose path matches, may be repeated; such as 'tests/*'",
                action="append",
                default=[],
                metavar="PATTERN",
            ),
            _flag("--all-folders", "look into hidden and vendored folders (.git, node_modules, vendor, ...) too"),
            _argument("--max-kb", "skip larger files (default: 1000)", type=positive, default=1000, metavar="N"),
            _argument(
                "--neighbours",
                "functions that each is compared with by the student's head (default: 20)",
                type=positive,
                default=20,
                metavar="N",
            ),
            _argument(
                "--jobs",
                "processes (default: a core each)",
                type=positive,
                default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
                metavar="N",
            ),
        ),
    ),
}


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="avatar-optuna",
        description="Shrink a language model of code: a multi-objective study of distilled students.",
        epilog="Every command can be stopped and run again: all state is in the database and the artifact store.",
    )
    parser.add_argument("--version", action="version", version=f"avatar-optuna {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, (help_, arguments) in _COMMANDS.items():
        subparser = commands.add_parser(command, help=help_)
        for names, options in arguments:
            subparser.add_argument(*names.split("/"), **options)
    return parser
