"""Rows of a long computation, kept in a file as they come: an interrupted one goes on, and memory stays flat."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from io import BufferedRandom, BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avatar_optuna.files import file_lock

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.float32]
_DIGEST_BYTES = 32


def cached_rows(path: Path, count: int, step: int, parts: Callable[[int], Iterator[Rows]]) -> Rows:
    """Rows that a file of a cache holds, computed where it is missing, or is not what was written.

    One process at a time computes; what was written before an interruption is not computed again, its last part
    aside. What cannot be written, as on a full disk, is computed in memory.

    Args:
        path: The file: a digest (SHA-256), then the rows as NumPy writes an array.
        count: Rows in all, at least one.
        step: Rows that are computed at a time, the last ones aside.
        parts: Computes rows (n, k) from a given one on, which is a multiple of `step`, part by part.

    Returns:
        The rows (count, k), read from the file where they are used.

    Raises:
        OSError: The folder cannot be made or locked.
    """
    with file_lock(path.with_name(f"{path.name}.lock")):
        if not _is_whole(path):
            try:
                _write(path, count, step, parts)
            except OSError as error:
                logger.warning("%s is not kept in the cache: %s", path.name, error.strerror)
                return np.concatenate(list(parts(0)))
        return _mapped(path)


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(_DIGEST_BYTES) == _digest(stream)


def _digest(stream: BufferedReader | BufferedRandom) -> bytes:
    """Of all that follows the place of the digest."""
    stream.seek(_DIGEST_BYTES)
    return hashlib.file_digest(stream, "sha256").digest()


def _mapped(path: Path) -> Rows:
    with path.open("rb") as stream:
        shape = _shape(stream)
        return np.asarray(np.memmap(path, np.float32, "c", stream.tell(), shape))


def _shape(stream: BufferedReader | BufferedRandom) -> tuple[int, ...]:
    """Of the array; the stream then stands at its first row. A `ValueError` where there is none."""
    stream.seek(_DIGEST_BYTES)
    np.lib.format.read_magic(stream)
    return np.lib.format.read_array_header_1_0(stream)[0]


def _write(path: Path, count: int, step: int, parts: Callable[[int], Iterator[Rows]]) -> None:
    """Write a draft, which takes the place of `path` once it is whole, and stays where it is not."""
    draft = path.with_name(f".{path.name}.part")
    draft.touch()
    with draft.open("r+b") as stream:
        done = _rows_done(stream, count, step)
        for part in parts(done) if done < count else ():
            if not done:
                _begin(stream, (count, part.shape[1]))
            stream.write(np.ascontiguousarray(part, np.float32).data)
            _sync(stream)
            done += len(part)
        digest = _digest(stream)
        stream.seek(0)
        stream.write(digest)
        _sync(stream)
    draft.replace(path)


def _sync(stream: BufferedRandom) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _begin(stream: BufferedRandom, shape: tuple[int, int]) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(b"\0" * _DIGEST_BYTES)
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})


def _rows_done(stream: BufferedRandom, count: int, step: int) -> int:
    """Rows of a draft that are certainly on the disk; the stream then stands behind them.

    Those before the part that was written last: after a power cut a file may have the length of what it does not hold.
    """
    try:
        shape = _shape(stream)
    except ValueError:
        return 0
    if len(shape) != 2 or shape[0] != count:
        return 0
    first = stream.tell()
    written = min((stream.seek(0, os.SEEK_END) - first) // (4 * shape[1]), count)
    done = max(0, written - 1) // step * step
    stream.seek(first + 4 * shape[1] * done)
    stream.truncate()
    return done
