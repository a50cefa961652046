"""Rows kept in a file as they are computed: interrupted, damaged, on a full disk."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.cached_rows import cached_rows

Rows = npt.NDArray[np.float32]
ROWS: Rows = np.random.default_rng(0).normal(size=(23, 3)).astype(np.float32)
STEP = 5


class Parts:
    """Computes `ROWS`, and remembers from where; stops before a row where that is asked."""

    def __init__(self, stop_at: int = len(ROWS)) -> None:
        self.stop_at = stop_at
        self.begun: list[int] = []

    def __call__(self, first: int) -> Iterator[Rows]:
        for start in range(first, len(ROWS), STEP):
            if start >= self.stop_at:
                raise KeyboardInterrupt
            self.begun.append(start)
            yield ROWS[start : start + STEP]


def _rows(path: Path, parts: Parts) -> Rows:
    return cached_rows(path, len(ROWS), STEP, parts)


def test_rows_are_computed_once_and_stand_after_their_digest(tmp_path: Path) -> None:
    path, parts = tmp_path / "rows.npy", Parts()
    for _ in range(2):
        np.testing.assert_array_equal(_rows(path, parts), ROWS)
    assert parts.begun == [0, 5, 10, 15, 20]
    digest, content = path.read_bytes()[:32], path.read_bytes()[32:]
    assert digest == hashlib.sha256(content).digest()
    np.testing.assert_array_equal(np.load(io.BytesIO(content), allow_pickle=False), ROWS)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rows.npy"]


def test_a_file_of_the_version_before_is_read(tmp_path: Path) -> None:
    stream, parts = io.BytesIO(), Parts()
    np.save(stream, ROWS, allow_pickle=False)
    (tmp_path / "rows.npy").write_bytes(hashlib.sha256(stream.getvalue()).digest() + stream.getvalue())
    np.testing.assert_array_equal(_rows(tmp_path / "rows.npy", parts), ROWS)
    assert parts.begun == []


@pytest.mark.parametrize("stop_at", [0, 5, 15])
def test_what_is_interrupted_goes_on(stop_at: int, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _rows(tmp_path / "rows.npy", Parts(stop_at))
    assert not (tmp_path / "rows.npy").exists()
    parts = Parts()
    np.testing.assert_array_equal(_rows(tmp_path / "rows.npy", parts), ROWS)
    assert parts.begun == list(range(max(0, stop_at - STEP), len(ROWS), STEP))
    whole = tmp_path / "whole" / "rows.npy"
    _rows(whole, Parts())
    assert whole.read_bytes() == (tmp_path / "rows.npy").read_bytes()


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_draft_may_end_anywhere(cut: int, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _rows(tmp_path / "rows.npy", Parts(15))
    draft = tmp_path / ".rows.npy.part"
    draft.write_bytes(draft.read_bytes()[:cut])
    np.testing.assert_array_equal(_rows(tmp_path / "rows.npy", Parts()), ROWS)


def test_the_last_part_before_a_power_cut_is_not_trusted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _rows(tmp_path / "rows.npy", Parts(15))
    draft, part = tmp_path / ".rows.npy.part", 4 * STEP * ROWS.shape[1]
    draft.write_bytes(draft.read_bytes()[:-part] + b"\0" * part)
    np.testing.assert_array_equal(_rows(tmp_path / "rows.npy", Parts()), ROWS)


def test_a_draft_of_other_rows_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _rows(tmp_path / "rows.npy", Parts(15))
    fewer = cached_rows(tmp_path / "rows.npy", 4, STEP, lambda first: iter([ROWS[first:4] + 1]))
    np.testing.assert_array_equal(fewer, ROWS[:4] + 1)


@pytest.mark.parametrize("place", [3, 40, -1])
def test_a_damaged_file_is_computed_anew(place: int, tmp_path: Path) -> None:
    path, parts = tmp_path / "rows.npy", Parts()
    _rows(path, Parts())
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(_rows(path, parts), ROWS)
    assert parts.begun[0] == 0


def test_what_cannot_be_written_is_computed_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".rows.npy.part").mkdir()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(_rows(tmp_path / "rows.npy", Parts()), ROWS)
    assert caplog.messages == ["rows.npy is not kept in the cache: Is a directory"]


def test_rows_may_be_written_to_and_the_file_stays(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "rows.npy", Parts())
    rows[0] = 0
    np.testing.assert_array_equal(_rows(tmp_path / "rows.npy", Parts()), ROWS)
