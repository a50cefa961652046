"""A dataset that the library `datasets` wrote by `save_to_disk`: a folder of Arrow files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from avatar_optuna.data_files._arrow import column_names, names_of_values, readable, require_pyarrow, rows_of_batches
from avatar_optuna.data_files._format import Rows
from avatar_optuna.exceptions import DataError
from avatar_optuna.files import read_json

_STATE_FILE = "state.json"


class _HuggingFace:
    title = "a dataset of `save_to_disk`"
    suffixes: tuple[str, ...] = ()

    def is_folder(self, path: Path) -> bool:
        return (path / _STATE_FILE).is_file()

    def columns(self, path: Path) -> tuple[str, ...]:
        return column_names(self._schema(path), path)

    def value_names(self, path: Path) -> Mapping[str, Sequence[str]]:
        return names_of_values(self._schema(path))

    def rows(self, path: Path, columns: Sequence[str]) -> Rows:
        def batches() -> Iterator[Any]:
            return chain.from_iterable(_stream(part) for part in _parts(path))

        return rows_of_batches(batches, columns, path, self.title)

    def _schema(self, path: Path) -> Any:
        with readable(path, self.title):
            return _stream(_parts(path)[0]).schema


FORMAT = _HuggingFace()


def _parts(folder: Path) -> list[Path]:
    """The Arrow files that a dataset consists of, in their order."""
    state = folder / _STATE_FILE
    written = read_json(state)
    files = written.get("_data_files") if isinstance(written, dict) else None
    names = [file.get("filename") if isinstance(file, dict) else None for file in files or []]
    if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise DataError(state, None, "_data_files must list the names of Arrow files beside it")
    if written.get("_indices_data_files") or written.get("_indices_files"):
        raise DataError(state, None, "the dataset must hold its rows in their order: write it by flatten_indices()")
    return [folder / str(name) for name in names]


def _stream(path: Path) -> Any:
    pa = require_pyarrow(path)
    return pa.ipc.open_stream(pa.OSFile(str(path)))  # of a memory map, pages would stay in memory
