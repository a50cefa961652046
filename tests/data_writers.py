"""The same rows in every format, as the libraries of their users write them: pandas, pyarrow, csv and json."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

Records = Sequence[Mapping[str, Any]]


def write_jsonl(rows: Records, stem: Path) -> Path:
    """By `json`."""
    path = stem.with_name(f"{stem.name}.jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_jsonl_gz(rows: Records, stem: Path) -> Path:
    """By `json` and `gzip`, with characters as they are."""
    path = stem.with_name(f"{stem.name}.jsonl.gz")
    with gzip.open(path, "wt", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def write_csv(rows: Records, stem: Path) -> Path:
    """By `csv`."""
    path = stem.with_name(f"{stem.name}.csv")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_pandas_csv_gz(rows: Records, stem: Path) -> Path:
    """By pandas."""
    path = stem.with_name(f"{stem.name}.csv.gz")
    pd.DataFrame(list(rows)).to_csv(path, index=False)
    return path


def write_parquet(rows: Records, stem: Path) -> Path:
    """By pandas, which calls pyarrow."""
    path = stem.with_name(f"{stem.name}.parquet")
    pd.DataFrame(list(rows)).to_parquet(path, index=False)
    return path


def write_hugging_face(rows: Records, stem: Path) -> Path:
    """By pyarrow, in the form of `datasets.Dataset.save_to_disk` (see `tests/data/hugging_face`)."""
    stem.mkdir()
    table = pa.Table.from_pylist(list(rows))
    with pa.OSFile(str(stem / "data-00000-of-00001.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table, max_chunksize=3)
    (stem / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (stem / "dataset_info.json").write_text('{"features": {}}')
    return stem


WRITERS: Mapping[str, Callable[[Records, Path], Path]] = {
    "jsonl": write_jsonl,
    "jsonl.gz": write_jsonl_gz,
    "csv": write_csv,
    "pandas csv.gz": write_pandas_csv_gz,
    "parquet": write_parquet,
    "hugging face": write_hugging_face,
}
