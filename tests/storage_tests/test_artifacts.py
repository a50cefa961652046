"""Files that come back as they went in, or not at all; the oracle for names is Optuna's own listing."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import boto3
import numpy as np
import optuna
import pytest
from moto.server import ThreadedMotoServer
from optuna.artifacts import FileSystemArtifactStore
from safetensors.numpy import load_file, save_file

from avatar_optuna.exceptions import InputError, StorageError
from avatar_optuna.storage import (
    artifact_attributes,
    artifact_store,
    download_directory,
    open_storage,
    remove_files,
    upload_directory,
)
from tests.storage_tests.studies import new_study


@pytest.fixture
def student_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "student"
    (directory / "below").mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "below" / "note.md").write_text("# ü")
    save_file({"w": np.arange(6.0).reshape(2, 3)}, directory / "model.safetensors")
    return directory


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of a server on this machine that speaks S3 and keeps all in memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket `students`, by boto3."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    bucket = boto3.resource("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket="students")
    bucket.objects.all().delete()
    return bucket


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an artifact store is: a test with this fixture runs on both kinds."""
    if request.param == "folder":
        return str(tmp_path / "artifacts")
    bucket = request.getfixturevalue("bucket")
    return _s3_location(bucket, "avatar/here")


def _s3_location(bucket: Any, prefix: str) -> str:
    address = bucket.meta.client.meta.endpoint_url
    return f"s3://{bucket.name}/{prefix}?endpoint_url={address}&region_name=us-east-1"


def test_a_directory_comes_back_as_it_went_in(location: str, tmp_path: Path, student_directory: Path) -> None:
    store = artifact_store(location)
    files = upload_directory(store, student_directory)
    download_directory(store, files, tmp_path / "back")
    for path in student_directory.rglob("*.*"):
        assert (tmp_path / "back" / path.relative_to(student_directory)).read_bytes() == path.read_bytes()
    assert load_file(tmp_path / "back" / "model.safetensors")["w"].shape == (2, 3)
    assert files["config.json"]["size_bytes"] == 2
    remove_files(store, files)
    remove_files(store, files)
    with pytest.raises(StorageError, match="is missing in the artifact store"):
        download_directory(store, files, tmp_path / "gone")
    assert {path.name for path in tmp_path.iterdir()} <= {"artifacts", "student", "back"}
    assert not list(tmp_path.glob("artifacts/*"))


def test_a_prefix_is_where_files_lie_in_a_bucket(bucket: Any, student_directory: Path) -> None:
    files = upload_directory(artifact_store(_s3_location(bucket, "deep/down")), student_directory)
    keys = {entry.key for entry in bucket.objects.all()}
    assert keys == {f"deep/down/{record['artifact_id']}" for record in files.values()}


@pytest.mark.parametrize("damage", ["changed", "missing", "other"])
def test_a_damaged_file_is_never_used(tmp_path: Path, student_directory: Path, damage: str) -> None:
    store = artifact_store(tmp_path / "artifacts")
    files = upload_directory(store, student_directory)
    stored = tmp_path / "artifacts" / files["model.safetensors"]["artifact_id"]
    if damage == "changed":
        stored.write_bytes(stored.read_bytes()[:-1] + b"\x01")
    elif damage == "missing":
        stored.unlink()
    else:
        files["../outside.json"] = files["config.json"]
    with pytest.raises(StorageError):
        download_directory(store, files, tmp_path / "back")
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "student"}


def test_what_must_be_unpickled_is_refused(tmp_path: Path, student_directory: Path) -> None:
    store = artifact_store(tmp_path / "artifacts")
    (student_directory / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="must end in"):
        upload_directory(store, student_directory)
    files = {"pytorch_model.bin": {"artifact_id": "a", "sha256": "", "size_bytes": 0}}
    with pytest.raises(StorageError, match="must end in"):
        download_directory(store, files, tmp_path / "back")
    false = {"model.safetensors": upload_of(store, b"no tensors")}
    with pytest.raises(StorageError, match="no safetensors"):
        download_directory(store, false, tmp_path / "back")


@pytest.mark.parametrize("artifact_id", ["../kept", "kept", "/kept", "", None, 7])
def test_an_id_from_the_database_is_never_a_path(tmp_path: Path, artifact_id: object) -> None:
    store = artifact_store(tmp_path / "artifacts")
    kept = [tmp_path / "kept", tmp_path / "artifacts" / "kept"]
    for path in kept:
        path.write_text("{}")
    files = {"config.json": {"artifact_id": artifact_id, "sha256": hashlib.sha256(b"{}").hexdigest(), "size_bytes": 2}}
    remove_files(store, files)  # type: ignore[arg-type]
    assert all(path.exists() for path in kept)
    with pytest.raises(StorageError, match="must have an id of the artifact store"):
        download_directory(store, files, tmp_path / "back")  # type: ignore[arg-type]


def upload_of(store: Any, content: bytes) -> dict[str, Any]:
    artifact_id = str(uuid4())
    store.write(artifact_id, io.BytesIO(content))
    return {"artifact_id": artifact_id, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def test_a_full_disk_leaves_nothing(tmp_path: Path, student_directory: Path) -> None:
    class Full(FileSystemArtifactStore):
        def write(self, artifact_id: str, content_body: BinaryIO) -> None:
            super().write(artifact_id, io.BytesIO(content_body.read()[:3]))
            if len(list(tmp_path.glob("artifacts/*"))) == 2:
                raise OSError(28, "No space left on device")

    artifact_store(tmp_path / "artifacts")
    with pytest.raises(OSError, match="No space"):
        upload_directory(Full(tmp_path / "artifacts"), student_directory)
    assert not list((tmp_path / "artifacts").iterdir())


def test_optuna_lists_and_downloads_them(tmp_path: Path, sqlite_url: str, student_directory: Path) -> None:
    store = artifact_store(tmp_path / "artifacts")
    files = upload_directory(store, student_directory)
    study = new_study(open_storage(sqlite_url))
    study.add_trial(
        optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, system_attrs=dict(artifact_attributes(files)))
    )
    metas = optuna.artifacts.get_all_artifact_meta(study.trials[0], storage=study._storage)
    assert {m.filename for m in metas} == {"config.json", "note.md", "model.safetensors"}
    (config,) = [m for m in metas if m.filename == "config.json"]
    assert config.mimetype == "application/json"
    out = str(tmp_path / "config.json")
    optuna.artifacts.download_artifact(artifact_store=store, artifact_id=config.artifact_id, file_path=out)
    assert Path(out).read_text() == "{}"


@pytest.mark.parametrize("location", ["gs://bucket", "s3://", "s3://key:secret@bucket", "s3://bucket?acl=public"])
def test_other_stores_are_refused(location: str) -> None:
    with pytest.raises(InputError, match="artifacts must be") as caught:
        artifact_store(location)
    assert "secret" not in str(caught.value)


def test_s3_without_boto3_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(StorageError, match="need boto3: install"):
        artifact_store("s3://bucket/students")


def test_a_folder_that_cannot_be_made_is_one_sentence() -> None:
    with pytest.raises(StorageError, match="cannot be made"):
        artifact_store("/proc/nowhere/artifacts")
