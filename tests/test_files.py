"""Files from outside are read or refused; files of a cache are what was written, or made anew."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar_optuna.distillation._checkpoint import CHECKPOINT_FILE, moved, read_checkpoint, write_checkpoint
from avatar_optuna.exceptions import DataError
from avatar_optuna.files import cached, parse_json, read_array, read_json, read_text

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda old: old[: len(old) // 2],
    "emptied": lambda old: b"",
    "overwritten": lambda old: old[:-4] + b"\x01\x02\x03\x04",
    "zeroed": lambda old: b"\0" * len(old),
    "of an earlier version": lambda old: old[32:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_of_a_cache_is_made_anew(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path, made = tmp_path / "folder" / "entry", []

    def make() -> bytes:
        made.append(1)
        return b"what took long to make"

    assert cached(path, make) == cached(path, make) == b"what took long to make"
    assert len(made) == 1
    path.write_bytes(damage(path.read_bytes()))
    assert cached(path, make) == cached(path, make) == b"what took long to make"
    assert len(made) == 2


def test_what_a_full_disk_does_not_keep_is_given_all_the_same(tmp_path: Path) -> None:
    """A limit on the size of files in place of a full disk: the rest of the cache, and of the test, is small."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = b"x" * (1 << 20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        assert cached(tmp_path / "entry", lambda: large) == large
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    assert cached(tmp_path / "entry", lambda: large) == large
    assert (tmp_path / "entry").stat().st_size > len(large)


@pytest.mark.parametrize("damage", [DAMAGES[name] for name in ("cut", "emptied", "overwritten", "zeroed")])
def test_a_damaged_checkpoint_is_as_none(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    tensors = {"parameter.0": torch.arange(6.0).reshape(2, 3), "step.0": torch.tensor(3.0)}
    write_checkpoint(tmp_path, tensors, {"history": [1]})
    found = read_checkpoint(tmp_path, torch.device("cpu"))
    assert found is not None
    assert found[1] == {"history": [1]}
    torch.testing.assert_close(found[0], tensors)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(damage(path.read_bytes()))
    assert read_checkpoint(tmp_path, torch.device("cpu")) is None


def test_text_is_read_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "text"
    for content in ("int é;".encode(), "int é;".encode("utf-8-sig")):
        path.write_bytes(content)
        assert read_text(path) == "int é;"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"text: must be UTF-8 text"):
        read_text(path)
    with pytest.raises(DataError, match="cannot be read: embedded null byte"):
        read_text(Path("a\0b"))


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000, "{", ""])
def test_what_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)
    (tmp_path / "j").write_text(text)
    with pytest.raises(DataError, match="j: must be JSON: "):
        read_json(tmp_path / "j")


def test_what_is_no_array_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(4.0))
    sound = path.read_bytes()
    np.testing.assert_array_equal(read_array(path), np.arange(4.0))
    archive = io.BytesIO()
    np.savez(archive, a=np.arange(2))
    large = sound.replace(b"(4,)", b"(9999999999999,)").replace(b" " * 12 + b"\n", b"\n", 1)
    unfinished = sound.replace(b"(4,), }", b"((4,), ")
    without_bytes = large.replace(b"'<f8'", b"'|V0'")
    for content in (unfinished, without_bytes, b"", b"PK\x03\x04", archive.getvalue(), large, sound[:40], b"\0" * 200):
        path.write_bytes(content)
        with pytest.raises(DataError, match="it must be a NumPy array"):
            read_array(path)


def test_tensors_that_travel_in_one_piece_arrive_as_they_were() -> None:
    tensors = {
        "matrix": torch.arange(6.0).reshape(2, 3).T,
        "scalar": torch.tensor(7.0),
        "whole": torch.arange(3),
        "empty": torch.zeros(0, 4),
    }
    elsewhere = torch.device("cpu", 0)  # the same memory under another name: tensors are taken to be elsewhere
    for device in (elsewhere, torch.device("cpu")):
        found = moved(tensors, device)
        assert list(found) == list(tensors)
        for key, tensor in tensors.items():
            assert torch.equal(found[key], tensor)
            assert found[key].dtype == tensor.dtype
            assert found[key].is_contiguous()
    assert len({tensor.untyped_storage().data_ptr() for tensor in moved(tensors, elsewhere).values()}) == len(tensors)
