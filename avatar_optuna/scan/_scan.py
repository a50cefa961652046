"""A scan: functions are cut out and encoded once, candidates found, the head asked, and a threshold set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avatar_optuna.exceptions import InputError
from avatar_optuna.inference import ExportedStudent, load_student
from avatar_optuna.languages import LANGUAGES, Language, known_language, language_named
from avatar_optuna.manifest import MANIFEST_FILE, read_manifest
from avatar_optuna.progress import Progress
from avatar_optuna.scan._baseline import Baseline
from avatar_optuna.scan._encoding import CutOptions, encode_files
from avatar_optuna.scan._files import FileFinder
from avatar_optuna.scan._findings import Finding, ScannedStudent, ScanReport
from avatar_optuna.scan._search import Search
from avatar_optuna.scan._threshold import Aim


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """How a folder is scanned.

    Args:
        languages: Names of the languages of the files; none takes what the student learnt from.
        threshold: A probability; None sets it by `false_per_1000`, or takes the baseline's.
        false_per_1000: False findings to expect for 1,000 functions; None takes the baseline's threshold, else 1 of
            clones and 10 of suspicious functions.
        neighbours: Candidates of each function: those with the nearest vectors.
        min_lines: Lines of code of a function at least.
        min_tokens: Tokens of it at least.
        comments: Whether the student reads comments and docstrings; `auto` drops them where it reads pairs.
        excluded: Patterns of files and folders that are left out.
        has_all_folders: Whether hidden and vendored folders are scanned too.
        max_bytes: Larger files are skipped.
        jobs: Processes.
    """

    languages: Sequence[str] = ()
    threshold: float | None = None
    false_per_1000: float | None = None
    neighbours: int = 20
    min_lines: int = 5
    min_tokens: int = 50
    comments: Literal["auto", "keep", "drop"] = "auto"
    excluded: Sequence[str] = ()
    has_all_folders: bool = False
    max_bytes: int = 1_000_000
    jobs: int = 1


def scan_folder(
    directory: Path, folder: Path, options: ScanOptions, progress: Progress, *, baseline: Baseline | None = None
) -> ScanReport:
    """Find clones among all functions of a folder, or suspicious ones, by an exported student.

    Args:
        directory: The student, of pairs or of single functions, with two labels.
        folder: Where the files lie.
        baseline: Findings that are known.

    Raises:
        InputError: The student has other labels, the languages are not known, or the folder holds no file of them.
    """
    if not folder.is_dir():
        raise InputError(f"FOLDER must be a folder, got {str(folder)!r}, which is none")
    student = load_student(directory)
    if len(student.label_names) != 2:
        raise InputError(f"scan needs a student of two labels, this one has {len(student.label_names)}")
    described = _described(directory, student)
    languages = _languages(options.languages, described)
    finder = FileFinder(languages=languages, excluded=options.excluded, has_all_folders=options.has_all_folders)
    files = finder.find(folder)
    if not files:
        listed = ", ".join(suffix for language in languages for suffix in language.suffixes)
        raise InputError(f"FOLDER must hold a file ({listed}), got {str(folder)!r}, which holds none")
    cut_options = CutOptions(
        min_lines=options.min_lines,
        min_tokens=options.min_tokens,
        keeps_comments=options.comments == "keep" or (options.comments == "auto" and student.arity == 1),
        max_bytes=options.max_bytes,
    )
    with progress.bar("reading files", len(files)) as update:
        table = encode_files(directory, files, cut_options, jobs=options.jobs, update=update)
    with progress.busy("comparing functions"):
        search = Search(
            student=student,
            table=table,
            file_names=[file.name for file in files],
            neighbours=options.neighbours,
            threads=options.jobs,
            aim=Aim(
                own=student.threshold,
                asked=options.threshold,
                false_per_1000=options.false_per_1000,
                baseline_margin=baseline.margin if baseline is not None else None,
            ),
        )
        findings = search.clones() if student.arity == 2 else search.suspicious()
    marked = baseline.marked(findings) if baseline is not None else findings
    return ScanReport(
        student=described,
        folder=str(folder),
        languages=tuple(language.title for language in languages),
        warnings=tuple(_warnings(described, languages, baseline)),
        files=len(files) - sum(table.skipped.values()) - len(table.faults),
        skipped=dict(sorted((finder.skipped + table.skipped).items())),
        faults=table.faults,
        functions=len(table),
        small=table.small,
        truncated=table.truncated,
        window=student.window,
        compared=search.compared,
        threshold=search.threshold,
        has_baseline=baseline is not None,
        findings=tuple(sorted(marked, key=_rank)),
    )


def _rank(finding: Finding) -> tuple[bool, bool, float, int, str, int]:
    """New before known, certain before less certain, long before short."""
    first = finding.places[0]
    return (
        not finding.is_new,
        finding.margin is not None,
        -(finding.margin or 0.0),
        -finding.lines,
        first.file,
        first.line,
    )


def _described(directory: Path, student: ExportedStudent) -> ScannedStudent:
    manifest = read_manifest(directory) if (directory / MANIFEST_FILE).is_file() else {}
    return ScannedStudent(
        directory=str(directory),
        digest=str(manifest.get("sha256", {}).get("model.safetensors", "")),
        language=student.language,
        task=str(manifest.get("task", "")),
        teacher=str(manifest.get("teacher", "")),
        labels=student.label_names,
        arity=student.arity,
    )


def _languages(asked: Sequence[str], student: ScannedStudent) -> list[Language]:
    """The languages to scan: those asked for, or the student's own; all where it does not say."""
    if asked:
        return [language_named(name) for name in dict.fromkeys(asked)]
    if not student.language:
        return list(LANGUAGES.values())
    own = known_language(student.language)
    if own is None:
        raise InputError(
            f"--language must be one of {', '.join(LANGUAGES)} where the student learnt from none of them, it learnt "
            f"from {student.language!r}"
        )
    return [own]


def _warnings(student: ScannedStudent, languages: Sequence[Language], baseline: Baseline | None) -> list[str]:
    warnings = []
    titles = ", ".join(language.title for language in languages)
    if not student.language:
        warnings.append(f"the student does not say from which language it learnt; scanned: {titles}")
    elif any(language != known_language(student.language) for language in languages):
        warnings.append(f"the student learnt from functions in {student.language}, scanned: {titles}")
    if baseline is not None and baseline.student_digest != student.digest:
        warnings.append("the baseline was written with another student: its threshold means something else")
    return warnings
