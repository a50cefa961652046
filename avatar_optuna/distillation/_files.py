"""Files that several processes share: whole or absent, never half written."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside a file, creating its folder; the second process waits for the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        yield


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file to write, which takes the place of `path` when all is written, and vanishes on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield written
        with written.open("rb+") as stream:
            os.fsync(stream.fileno())
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as written:
        written.write_text(text, encoding="utf-8")


def write_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Write a `.npy` file atomically; object arrays, which need pickle, are refused by NumPy."""
    with replacing(path) as written, written.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
