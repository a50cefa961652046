"""Students and checkpoints in an artifact store: checked when they go in and before they are used.

Bytes are stored before anything refers to them, so what the database names is there. Only JSON, text and safetensors
are taken: nothing that would have to be unpickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mimetypes
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from safetensors import SafetensorError, safe_open

from avatar_optuna.exceptions import InputError, StorageError
from avatar_optuna.files import sha256_of

if TYPE_CHECKING:  # optuna.artifacts loads boto3, which commands that only read a database need not wait for
    from optuna.artifacts._protocol import ArtifactStore

logger = logging.getLogger(__name__)

SUFFIXES = (".json", ".md", ".safetensors", ".txt")
_CHUNK_BYTES = 1 << 20
_S3_OPTIONS = ("endpoint_url", "region_name")


def artifact_store(location: str | Path) -> ArtifactStore:
    """Open an artifact store.

    Args:
        location: A folder (made where it is missing), or `s3://BUCKET/PREFIX`, with `?endpoint_url=...` for a store
            that speaks S3 elsewhere; credentials are boto3's business, never the URL's.

    Raises:
        InputError: The location is of another kind.
        StorageError: The folder cannot be made, or boto3 is not installed.
    """
    from optuna.artifacts import FileSystemArtifactStore

    url = urlsplit(str(location))
    if url.scheme == "s3":
        return _s3_store(str(location))
    if url.scheme not in ("", "file"):
        raise InputError(f"artifacts must be a folder or s3://BUCKET/PREFIX, got {str(location)!r}")
    folder = Path(unquote(url.path)) if url.scheme == "file" else Path(location)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the artifact store {folder} cannot be made: {error.strerror}") from error
    return FileSystemArtifactStore(folder)


def _s3_store(location: str) -> ArtifactStore:
    url = urlsplit(location)
    options = {key: values[0] for key, values in parse_qs(url.query).items()}
    if not url.hostname or "@" in url.netloc or set(options) - set(_S3_OPTIONS):
        raise InputError("artifacts must be s3://BUCKET/PREFIX, options endpoint_url and region_name, credentials none")
    try:
        import boto3
        from botocore.config import Config
        from optuna.artifacts import Boto3ArtifactStore
    except ImportError as error:
        raise StorageError("artifacts on s3:// need boto3: install avatar-optuna[s3]") from error
    config = Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 5})
    store: ArtifactStore = Boto3ArtifactStore(url.netloc, client=boto3.client("s3", config=config, **options))
    return _PrefixedStore(store, url.path.strip("/"))


class _PrefixedStore:
    """A store below a prefix of another's keys."""

    def __init__(self, store: ArtifactStore, prefix: str) -> None:
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        return self._store.open_reader(self._prefix + artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self._store.write(self._prefix + artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        self._store.remove(self._prefix + artifact_id)


def upload_directory(store: ArtifactStore, directory: Path) -> dict[str, dict[str, Any]]:
    """Store every file of a directory; all of them, or none.

    Returns:
        Name of a file -> {"artifact_id", "sha256", "size_bytes"}, as `download_directory` wants it.

    Raises:
        InputError: A file is of a kind that is not stored.
        OSError: The store cannot be written (a client's own errors, for S3).
    """
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    for path in paths:
        _refuse_suffix(path.relative_to(directory).as_posix())
    files: dict[str, dict[str, Any]] = {}
    try:
        for path in paths:
            artifact_id = str(uuid4())
            files[path.relative_to(directory).as_posix()] = {
                "artifact_id": artifact_id,
                "sha256": sha256_of(path),
                "size_bytes": path.stat().st_size,
            }
            with path.open("rb") as body:
                store.write(artifact_id, body)
    except BaseException:
        remove_files(store, files)
        raise
    return files


def download_directory(store: ArtifactStore, files: Mapping[str, Mapping[str, Any]], directory: Path) -> None:
    """Fetch what `upload_directory` stored; the directory appears whole and checked, or not at all.

    Args:
        store: Where the files are.
        files: What `upload_directory` returned.
        directory: Made; where it exists, files of the same names are replaced.

    Raises:
        StorageError: A file is missing, is not what was stored, or is none that may be loaded.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as scratch:
        root = Path(scratch) / "files"
        root.mkdir()
        for name, record in files.items():
            parts = PurePosixPath(name)
            if parts.is_absolute() or ".." in parts.parts or not parts.parts:
                raise StorageError(f"a stored file must lie in its directory, got {name!r}")
            try:
                _refuse_suffix(name)
            except InputError as error:
                raise StorageError(str(error)) from error
            path = root / parts
            path.parent.mkdir(parents=True, exist_ok=True)
            _download(store, name, record, path)
        if not directory.exists():
            root.rename(directory)
            return
        for name in files:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).replace(directory / name)


_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def _stored_id(record: Mapping[str, Any]) -> str:
    """The id of a stored file: a random UUID, as `upload_directory` makes them; never a path.

    Raises:
        StorageError: It is something else, so this store did not write it.
    """
    artifact_id = record.get("artifact_id")
    if not isinstance(artifact_id, str) or not _ID.fullmatch(artifact_id):
        raise StorageError(f"a stored file must have an id of the artifact store, got {artifact_id!r}")
    return artifact_id


def _download(store: ArtifactStore, name: str, record: Mapping[str, Any], path: Path) -> None:
    from optuna.artifacts.exceptions import ArtifactNotFound

    digest = hashlib.sha256()
    try:
        with store.open_reader(_stored_id(record)) as reader, path.open("wb") as writer:
            while chunk := reader.read(_CHUNK_BYTES):
                digest.update(chunk)
                writer.write(chunk)
    except ArtifactNotFound as error:
        raise StorageError(f"{name} is missing in the artifact store (artifact {record['artifact_id']})") from error
    if digest.hexdigest() != record["sha256"]:
        raise StorageError(f"{name} in the artifact store is not what was stored: its SHA-256 differs")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "np"):
                pass
        except SafetensorError as error:
            raise StorageError(f"{name} in the artifact store is no safetensors file") from error


def remove_files(store: ArtifactStore, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Remove stored files; one that is gone or cannot be removed is left, for nothing refers to it."""
    from optuna.artifacts.exceptions import ArtifactNotFound

    for name, record in files.items():
        try:
            with suppress(ArtifactNotFound):
                store.remove(_stored_id(record))
        except Exception as error:
            logger.warning("%s stays in the artifact store (artifact %s): %s", name, record.get("artifact_id"), error)


def artifact_attributes(files: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """System attributes by which Optuna and its dashboard list stored files as artifacts of a trial."""
    from optuna.artifacts._upload import ARTIFACTS_ATTR_PREFIX, DEFAULT_MIME_TYPE

    attributes = {}
    for name, record in files.items():
        kind, encoding = mimetypes.guess_type(name)
        meta = {
            "artifact_id": record["artifact_id"],
            "filename": PurePosixPath(name).name,
            "mimetype": kind or DEFAULT_MIME_TYPE,
            "encoding": encoding,
        }
        attributes[f"{ARTIFACTS_ATTR_PREFIX}{record['artifact_id']}"] = json.dumps(meta)
    return attributes


def _refuse_suffix(name: str) -> None:
    if PurePosixPath(name).suffix not in SUFFIXES:
        raise InputError(f"a stored file must end in one of {', '.join(SUFFIXES)}, got {name!r}")
