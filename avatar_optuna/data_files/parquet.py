"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from avatar_optuna.data_files._arrow import column_names, names_of_values, readable, require_pyarrow, rows_of_batches
from avatar_optuna.data_files._format import Rows

_BATCH_ROWS = 1_000
_BUFFER_BYTES = 2**20


class _Parquet:
    title = "a Parquet file"
    suffixes = (".parquet",)

    def is_folder(self, path: Path) -> bool:
        return False

    def columns(self, path: Path) -> tuple[str, ...]:
        return column_names(self._schema(path), path)

    def value_names(self, path: Path) -> Mapping[str, Sequence[str]]:
        return names_of_values(self._schema(path))

    def rows(self, path: Path, columns: Sequence[str]) -> Rows:
        def batches() -> Iterator[Any]:
            batches: Iterator[Any] = self._open(path).iter_batches(batch_size=_BATCH_ROWS, columns=list(columns))
            return batches

        return rows_of_batches(batches, columns, path, self.title)

    def _schema(self, path: Path) -> Any:
        with readable(path, self.title):
            return self._open(path).schema_arrow

    def _open(self, path: Path) -> Any:
        require_pyarrow(path)
        from pyarrow.parquet import ParquetFile

        return ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)


FORMAT = _Parquet()
