"""Inputs that another model is to label, and its answers: any model, a large language model's service included.

Inputs are written as JSON Lines, one object an input, with `split`, `row` and `functions`. Answers come back as JSON
Lines, CSV or NumPy arrays. An answer says logits, probabilities, or one label and how sure it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.data_files import csv_rows, json_rows, lines_of
from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.files import read_array, replacing
from avatar_optuna.tasks import SPLITS, Split, Task

Logits = npt.NDArray[np.float32]
Answer = Mapping[str, Any]

_REQUIRED = ("train", "valid")
_SUFFIXES = (".npy", ".jsonl", ".csv")
_SMALLEST = 1e-6  # a probability of 0 has no finite logarithm
_SURE = 0.95  # the probability of a label that an answer gives without one
_SUM_TOLERANCE = 0.02
_WAYS = ("logits", "probabilities", "label")


def write_inputs(task: Task, path: Path) -> int:
    """Write the inputs of all splits, to be labelled by another model.

    Returns:
        How many there are.

    Raises:
        InputError: There is a file already: it may hold answers.
    """
    if path.exists():
        raise InputError(f"--inputs: {path} must be a new file, it exists")
    count = 0
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as stream:
        for name in SPLITS:
            split = task.splits[name]
            for row, places in enumerate(split.inputs.tolist()):
                functions = [split.functions[place] for place in places]
                stream.write(json.dumps({"split": name, "row": row, "functions": functions}) + "\n")
                count += 1
    return count


def read_answers(source: Path, task: Task) -> tuple[dict[str, Logits], list[Path]]:
    """Logits (inputs, labels) by split, and the files that they were read from.

    Args:
        source: A file with the answers for all splits (`.jsonl` or `.csv`), or a folder with a file
            `soft_labels_SPLIT` for each split, `.npy`, `.jsonl` or `.csv`. The test split may be left out.

    Raises:
        InputError: A file is missing or malformed, or an input has no answer; it names file and row.
    """
    if source.is_file():
        return _of_rows(source, _rows_of(source), task, SPLITS), [source]
    if not source.is_dir():
        raise InputError(
            f"{source}: teacher.soft_labels must be a file or a folder of answers, it is absent: `avatar-optuna "
            "teacher STUDY.toml --inputs FILE` writes the inputs to be answered"
        )
    logits, paths = {}, []
    for name in SPLITS:
        path = _file_of(source, name)
        if path is None:
            continue
        paths.append(path)
        if path.suffix == ".npy":
            logits[name] = _of_array(path, len(task.splits[name]), task.shape.num_labels)
        else:
            numbered = enumerate(_rows_of(path))
            rows = ((line, {"split": name, "row": row, **answer}) for row, (line, answer) in numbered)
            logits |= _of_rows(path, rows, task, (name,))
    return logits, paths


def _file_of(folder: Path, name: str) -> Path | None:
    """The file of a split, or None where the test split has none."""
    paths = [folder / f"soft_labels_{name}{suffix}" for suffix in _SUFFIXES]
    there = [path for path in paths if path.is_file()]
    if len(there) > 1:
        raise InputError(f"{folder}: it must hold one file for {name}, got {', '.join(path.name for path in there)}")
    if not there and name in _REQUIRED:
        raise InputError(f"{folder}: it must hold one of {', '.join(path.name for path in paths)}, got none")
    return there[0] if there else None


def _of_array(path: Path, inputs: int, labels: int) -> Logits:
    array = read_array(path)
    if array.shape != (inputs, labels) or not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{path}: it must hold floats of shape {(inputs, labels)}, got {array.dtype} {array.shape}")
    return array.astype(np.float32)


def _rows_of(path: Path) -> Iterator[tuple[int, Answer]]:
    """Line and object of each answer in a file.

    Columns of CSV are `split`, `row`, and `label` (with `probability`), or `logit_NAME` or `probability_NAME` of each.
    """
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"{path}: answers must be a .jsonl or .csv file, or a folder of files, got {path.suffix!r}")
    is_csv = path.suffix == ".csv"
    for row in csv_rows(path) if is_csv else json_rows(lines_of(path), path):
        if isinstance(row, DataError):
            raise row
        yield row.number or 0, _from_fields(row.values) if is_csv else row.values


def _from_fields(record: Mapping[str, str]) -> Answer:
    answer: dict[str, Any] = {}
    for key, text in record.items():
        for way, prefix in (("logits", "logit_"), ("probabilities", "probability_")):
            if key.startswith(prefix):
                answer.setdefault(way, {})[key.removeprefix(prefix)] = _number(text)
        if key in ("row", "probability"):
            answer[key] = _number(text)
        elif key in ("split", "label"):
            answer[key] = text
    return answer


def _number(text: str) -> Any:
    """A number, or the text itself, which is refused where a number must stand."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _of_rows(path: Path, rows: Iterator[tuple[int, Answer]], task: Task, names: Sequence[str]) -> dict[str, Logits]:
    """Logits of the splits, each input answered once; a split of which nothing is answered is left out."""
    logits = {name: np.full((len(task.splits[name]), task.shape.num_labels), np.nan) for name in names}
    for line, answer in rows:
        name, row = answer.get("split"), answer.get("row")
        if not isinstance(name, str) or name not in logits:
            raise DataError(path, line, f"split must be one of {', '.join(names)}, got {name!r}")
        count = len(logits[name])
        if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < count:
            raise DataError(path, line, f"row must be a whole number from 0 to {count - 1} of {name}, got {row!r}")
        if not np.isnan(logits[name][row, 0]):
            raise DataError(path, line, f"each input must be answered once, row {row} of {name} is there again")
        _check_functions(path, line, answer, task.splits[name], row)
        logits[name][row] = _logits(path, line, answer, task.label_names)
    for name, array in list(logits.items()):
        missing = np.flatnonzero(np.isnan(array[:, 0]))
        if len(missing) == len(array) and name not in _REQUIRED:
            del logits[name]
        elif len(missing):
            raise InputError(
                f"{path}: each input of {name} must be answered, {len(missing)} of {len(array)} are not, the first of "
                f"them is row {missing[0]}"
            )
    return {name: array.astype(np.float32) for name, array in logits.items()}


def _check_functions(path: Path, line: int, answer: Answer, split: Split, row: int) -> None:
    """Refuse an answer that repeats other functions than those of the input: the data changed since."""
    functions = answer.get("functions")
    if functions is not None and functions != [split.functions[place] for place in split.inputs[row]]:
        raise DataError(path, line, f"functions must be those of row {row}, they are others: was the data changed?")


def _logits(path: Path, line: int, answer: Answer, label_names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Logits (labels,) of one answer."""
    given = [way for way in _WAYS if way in answer]
    if len(given) != 1:
        raise DataError(path, line, f"an answer needs one of {', '.join(_WAYS)}, got {', '.join(given) or 'none'}")
    if given[0] == "label":
        return np.log(_of_label(path, line, answer, label_names))
    values = _by_label(path, line, given[0], answer[given[0]], label_names)
    if given[0] == "logits":
        return values
    if values.min() < 0 or values.max() > 1 or abs(values.sum() - 1) > _SUM_TOLERANCE:
        raise DataError(path, line, f"probabilities must be from 0 to 1 and add up to 1, got {values.tolist()}")
    return np.log(np.clip(values, _SMALLEST, 1.0))


def _of_label(path: Path, line: int, answer: Answer, label_names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Probabilities (labels,) of an answer that gives one label; the others share what is left."""
    label, sure = answer["label"], answer.get("probability", _SURE)
    if label not in label_names:
        raise DataError(path, line, f"label must be one of {', '.join(label_names)}, got {label!r}")
    if not _is_number(sure) or not 0 <= sure <= 1:
        raise DataError(path, line, f"probability must be a number from 0 to 1, got {sure!r}")
    values = np.full(len(label_names), (1 - sure) / (len(label_names) - 1))
    values[list(label_names).index(label)] = sure
    clipped: npt.NDArray[np.float64] = np.clip(values, _SMALLEST, 1.0)
    return clipped


def _by_label(path: Path, line: int, way: str, values: Any, label_names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Numbers (labels,) given in the order of the labels, or by their names."""
    if isinstance(values, Mapping) and set(values) == set(label_names):
        values = [values[name] for name in label_names]
    is_list = isinstance(values, list) and len(values) == len(label_names) and all(map(_is_number, values))
    if not is_list:
        names = ", ".join(label_names)
        raise DataError(path, line, f"{way} must be a finite number for each of {names}, got {str(values)[:80]}")
    return np.array(values, dtype=np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
