"""What the published implementations give, unpacked from the developers' data."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from avatar_optuna.data_flow import Edge

PlainEdge = tuple[str, int, str, tuple[str, ...], tuple[int, ...]]


def unpack_oracle(shared: Path, folder: Path) -> Path:
    """The folder of the oracle; the test skips where the developers' data lack it."""
    archive = shared / "data/graphcodebert.tar.xz"
    if not archive.is_file():
        pytest.skip("needs the developers' data: no graphcodebert.tar.xz")
    with tarfile.open(archive) as stream:
        stream.extractall(folder, filter="data")
    return folder / "graphcodebert"


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def plain(edges: Iterable[Edge]) -> list[PlainEdge]:
    """Edges as the oracle has them; the order of the sources' names was arbitrary there."""
    return [(e.name, e.token, e.relation, tuple(sorted(set(e.source_names))), e.sources) for e in edges]


def stored(rows: Iterable[list[Any]]) -> list[PlainEdge]:
    """Edges of the oracle."""
    return [(name, token, relation, tuple(sorted(set(names))), tuple(s)) for name, token, relation, names, s in rows]
