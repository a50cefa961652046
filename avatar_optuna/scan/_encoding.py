"""All functions of a folder as vectors: files are read, cut and encoded in several processes."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.exceptions import AvatarError
from avatar_optuna.inference import ExportedStudent, load_student
from avatar_optuna.progress import Update
from avatar_optuna.scan._files import SourceFile
from avatar_optuna.scan._functions import DIGEST_BYTES, SourceFunction, cut

Vectors = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
FILES_AT_ONCE = 16
_FUNCTIONS_AT_ONCE = 256
_PROBE_BYTES = 8192
_SIGNS = re.compile(rb"(?<!\W)\W{20000}")
"""Trees of files that hold this are searched in quadratic time."""
_SERIAL_FILES = 4 * FILES_AT_ONCE
"""Of so few files, starting processes takes longer than reading them."""


@dataclass(frozen=True, kw_only=True)
class CutOptions:
    """What counts as a function.

    Args:
        min_lines: Lines of code that it has at least.
        min_tokens: Tokens that it has at least.
        keeps_comments: Whether the student reads its comments.
        max_bytes: Larger files are skipped.
    """

    min_lines: int = 5
    min_tokens: int = 50
    keeps_comments: bool = False
    max_bytes: int = 1_000_000


@dataclass(frozen=True, kw_only=True)
class FunctionTable:
    """Functions, without their texts: rows belong together.

    Args:
        names: Qualified names.
        files: Places of their files, shape (n,).
        spans: First line, last line, first byte, byte behind the last, and lines of code; shape (n, 5).
        digests: Equal for equal tokens; shape (n, `DIGEST_BYTES`).
        vectors: What the student makes of them, shape (n, k).
        small: Functions that were smaller than asked for.
        truncated: Functions longer than the student's window.
        skipped: Files that were left out, by reason.
        faults: Files that could not be read, a sentence each.
    """

    names: tuple[str, ...]
    files: Places
    spans: Places
    digests: npt.NDArray[np.uint8]
    vectors: Vectors
    small: int
    truncated: int
    skipped: Counter[str]
    faults: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def joined(cls, parts: Iterable[FunctionTable]) -> FunctionTable:
        """One table after the other."""
        tables = list(parts)
        return cls(
            names=tuple(name for table in tables for name in table.names),
            files=np.concatenate([table.files for table in tables]),
            spans=np.concatenate([table.spans for table in tables]),
            digests=np.concatenate([table.digests for table in tables]),
            vectors=np.concatenate([table.vectors for table in tables]),
            small=sum(table.small for table in tables),
            truncated=sum(table.truncated for table in tables),
            skipped=sum((table.skipped for table in tables), Counter()),
            faults=tuple(fault for table in tables for fault in table.faults),
        )


class Encoder:
    """Reads, cuts and encodes files in one process.

    Args:
        student: What encodes.
        options: What counts as a function.
    """

    def __init__(self, student: ExportedStudent, options: CutOptions) -> None:
        self.student, self.options = student, options
        self.size = student.encode(["int main() { return 0; }"]).shape[1]

    def table(self, files: Sequence[SourceFile], first: int) -> FunctionTable:
        """The functions of files, of which the first has the place `first`."""
        functions: list[SourceFunction] = []
        places: list[int] = []
        small, skipped, faults = 0, Counter[str](), []
        for place, file in enumerate(files, start=first):
            try:
                source = self._read(file, skipped)
            except OSError as error:
                faults.append(f"{file.name}: cannot be read: {error.strerror}")
                continue
            cut_out, smaller = cut(
                source,
                file.language,
                min_lines=self.options.min_lines,
                min_tokens=self.options.min_tokens,
                keeps_comments=self.options.keeps_comments,
            )
            functions += cut_out
            places += [place] * len(cut_out)
            small += smaller
        texts = [function.text for function in functions]
        return FunctionTable(
            names=tuple(function.name for function in functions),
            files=np.asarray(places, dtype=np.int64),
            spans=np.asarray(
                [(f.line, f.end_line, f.start, f.end, f.lines) for f in functions], dtype=np.int64
            ).reshape(-1, 5),
            digests=np.frombuffer(b"".join(f.digest for f in functions), np.uint8).reshape(-1, DIGEST_BYTES),
            vectors=self._vectors(texts),
            small=small,
            truncated=sum(self.student.is_truncated(texts)) if texts else 0,
            skipped=skipped,
            faults=tuple(faults),
        )

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        starts = range(0, len(texts), _FUNCTIONS_AT_ONCE)
        parts = [self.student.encode(texts[start : start + _FUNCTIONS_AT_ONCE]) for start in starts]
        return np.concatenate([np.zeros((0, self.size), dtype=np.float32), *parts])

    def _read(self, file: SourceFile, skipped: Counter[str]) -> bytes:
        """The bytes of a file, none if it is skipped."""
        if file.path.stat().st_size > self.options.max_bytes:
            skipped["larger than the limit"] += 1
            return b""
        source = file.path.read_bytes()
        if b"\0" in source[:_PROBE_BYTES]:
            skipped["binary"] += 1
            return b""
        if _SIGNS.search(source):
            skipped["no code: signs without a word"] += 1
            return b""
        return source.removeprefix(b"\xef\xbb\xbf")


def encode_files(
    directory: Path, files: Sequence[SourceFile], options: CutOptions, *, jobs: int, update: Update
) -> FunctionTable:
    """The functions of files, each encoded once by the student of a directory.

    Args:
        jobs: Processes, each with one thread.
        update: Told how many files are done.
    """
    parts = [files[start : start + FILES_AT_ONCE] for start in range(0, len(files), FILES_AT_ONCE)]
    starts = list(accumulate(map(len, parts), initial=0))[:-1]
    tables: list[FunctionTable] = []
    with _mapped(directory, options, jobs if len(files) > _SERIAL_FILES else 1, parts, starts) as results:
        for table in results:
            tables.append(table)
            update(min(len(tables) * FILES_AT_ONCE, len(files)))
    return FunctionTable.joined(tables)


@contextmanager
def _mapped(
    directory: Path, options: CutOptions, jobs: int, parts: Sequence[Sequence[SourceFile]], starts: Sequence[int]
) -> Iterator[Iterator[FunctionTable]]:
    if jobs == 1:
        encoder = Encoder(load_student(directory), options)
        yield map(encoder.table, parts, starts)
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (directory, options))
    try:
        yield pool.map(_work, parts, starts)
    except BrokenProcessPool as error:
        raise AvatarError(
            "a process that reads files has died, perhaps for want of memory: try fewer --jobs"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_WORKER: dict[str, Any] = {}


def _start_worker(directory: Path, options: CutOptions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt ends the scan, which ends its processes
    _WORKER["encoder"] = Encoder(load_student(directory, threads=1), options)


def _work(files: Sequence[SourceFile], first: int) -> FunctionTable:
    encoder: Encoder = _WORKER["encoder"]
    return encoder.table(files, first)
