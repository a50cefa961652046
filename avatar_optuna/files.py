"""Files: read or refused in one sentence; shared ones locked by one process at a time, and whole or absent."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from avatar_optuna.exceptions import DataError

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 32


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock between the processes of one machine; the kernel releases it when its holder dies.

    The lock file is removed before the lock is released; a process that waited for it then locks a new file. It must
    not be a SQLite database itself: closing any descriptor of one drops SQLite's own locks.

    Args:
        path: The lock file, made (and its folder) where it is missing.
        wait: Whether to wait for the holder.

    Yields:
        Whether the lock was taken; always true with `wait`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if wait else 0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file to write, which takes the place of `path` once all is written, and is removed on an error.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield draft
        with draft.open("rb+") as stream:
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file: whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def cached(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a file of a cache holds, made where it is missing, or is not what was written, by one process at a time.

    What cannot be written, as on a full disk, is made anew the next time.

    Args:
        path: The file: a digest, then what was made.
        make: Makes it.

    Raises:
        OSError: The folder cannot be made or locked.
    """
    with file_lock(path.with_name(f"{path.name}.lock")):
        stored = path.read_bytes() if path.is_file() else b""
        digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if digest == hashlib.sha256(content).digest():
            return content
        content = make()
        try:
            with replacing(path) as draft:
                draft.write_bytes(hashlib.sha256(content).digest() + content)
        except OSError as error:
            logger.warning("%s is not kept in the cache: %s", path.name, error.strerror)
        return content


def read_text(path: Path) -> str:
    """A user's text file: UTF-8, with or without a byte order mark.

    Raises:
        DataError: It cannot be read, or is no such text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(path, None, "must be UTF-8 text") from error
    except (OSError, ValueError) as error:  # a path may hold a character that no file's name can
        raise DataError(path, None, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def source_fault(text: str) -> str | None:
    """The rule that the text of a function breaks, and the text, as the end of a sentence; None if it is sound."""
    if not text.strip("\ufeff \t\r\n\f\v"):
        rule = "must be source text"
    elif not _is_encodable(text):
        rule = "must be text that UTF-8 can hold"
    else:
        return None
    return f"{rule}, got {text if len(text) <= 80 else f'{text[:80]}...'!r}"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_json(text: str) -> Any:
    """JSON from outside.

    Raises:
        ValueError: It is none; or it is nested too deeply, or holds an integer of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: Path) -> Any:
    """A JSON file from outside.

    Raises:
        DataError: It cannot be read, or is no JSON.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise DataError(path, None, f"must be JSON: {error}") from error


def read_array(path: Path) -> npt.NDArray[Any]:
    """A NumPy array from outside; nothing is unpickled, and no memory is taken for more than the file holds.

    Raises:
        DataError: It cannot be read, or is no array.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the reader of headers raises whatever Python's parser, zipfile and the system raise
        raise DataError(path, None, "it must be a NumPy array, it is absent or none") from error
    if not isinstance(array, np.ndarray):
        raise DataError(path, None, "it must be a NumPy array, it is an archive of several")
    if array.dtype.itemsize == 0:  # no file is too short for any number of these
        raise DataError(path, None, f"it must be a NumPy array, the elements of it have no bytes ({array.dtype})")
    return np.array(array)


@contextmanager
def appearing(directory: Path) -> Iterator[Path]:
    """A new directory to fill, which is moved to `directory` (absent, or empty) once all is written.

    Raises:
        OSError: The directory cannot be written, or is not empty.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield draft
        draft.chmod(0o755)
        draft.rename(directory)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
