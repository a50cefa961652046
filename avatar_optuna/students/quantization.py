"""Weights at a precision: rounded, packed into `model.safetensors`, and read back as float32.

| precision | matrices | vectors |
| --- | --- | --- |
| float32, float16 | `NAME`, F32 or F16 | the same |
| int8 | `NAME`, I8, the same shape, from -127 to 127; `NAME.scale`, F16, one a row | `NAME`, F16 |
| int4 | `NAME`, U8, two weights a byte; `NAME.scale`, F16, one for each 32 weights of a row | `NAME`, F16 |

A weight is its whole number times its scale, in float32. At int4 a row of c weights takes c / 2 bytes, rounded up: the
weight of an even column is the low half of a byte, that of an odd column the high half, each with 8 added (1 to 15, so
from -7 to 7); the unused half of the last byte is 8. The metadata of the file name the precision (`precision`), where
it is not float32, and at int4 the columns of each matrix (`columns`, JSON by name). All numbers are little-endian.

A scale is the largest weight of its row or group over 127 or 7, rounded up to a float16 so that no weight is clipped:
no weight moves by more than half a scale.

NumPy and safetensors are all that is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from avatar_optuna.students._precision import FULL_PRECISION, GROUP_SIZE, PRECISIONS

Weights = Mapping[str, npt.NDArray[np.float32]]

SCALE = ".scale"
_LARGEST = {"int8": 127, "int4": 7}
_OFFSET = 8
_FLOAT16_MAX = float(np.finfo(np.float16).max)
_FLOAT16_LEAST = float(np.finfo(np.float16).smallest_subnormal)


def write_weights(path: Path, weights: Weights, precision: str = FULL_PRECISION) -> None:
    """Write weights at a precision.

    Args:
        path: The file, overwritten.
        weights: By name, float32; those of two dimensions are matrices, those of one vectors.
        precision: One of `PRECISIONS`.
    """
    metadata = {"format": "pt"}
    if precision != FULL_PRECISION:
        metadata["precision"] = precision
    if precision == "int4":
        columns = {name: value.shape[1] for name, value in weights.items() if value.ndim == 2}
        metadata["columns"] = json.dumps(columns, separators=(",", ":"))
    save_file(packed(weights, precision), path, metadata=metadata)


def read_weights(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """What `write_weights` wrote, as float32, by name; a file of other tensors as float32 too.

    Raises:
        ValueError: Its metadata and tensors are not of one precision.
        SafetensorError: It is no such file.
    """
    with safe_open(path, "np") as stored:
        metadata = stored.metadata() or {}
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    precision = metadata.get("precision", FULL_PRECISION)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    return unpacked(tensors, precision, columns=json.loads(metadata.get("columns", "{}")))


def rounded(weights: Weights, precision: str) -> dict[str, npt.NDArray[np.float32]]:
    """Weights as they are once written at a precision and read again."""
    columns = {name: value.shape[1] for name, value in weights.items() if value.ndim == 2}
    return unpacked(packed(weights, precision), precision, columns=columns)


def packed(weights: Weights, precision: str) -> dict[str, npt.NDArray[Any]]:
    """The tensors of the file, by name."""
    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, value in weights.items():
        if precision == FULL_PRECISION:
            tensors[name] = np.ascontiguousarray(value, dtype=np.float32)
        elif precision == "float16" or value.ndim != 2:
            tensors[name] = np.clip(value, -_FLOAT16_MAX, _FLOAT16_MAX).astype(np.float16)
        elif precision == "int8":
            numbers, scale = _quantised(value[:, None, :], precision)
            tensors[name], tensors[name + SCALE] = numbers[:, 0], scale[:, 0]
        else:
            tensors[name], tensors[name + SCALE] = _packed_pairs(value)
    return tensors


def unpacked(
    tensors: Mapping[str, npt.NDArray[Any]], precision: str, *, columns: Mapping[str, int]
) -> dict[str, npt.NDArray[np.float32]]:
    """Weights in float32 of the tensors of a file.

    Args:
        columns: Of each matrix, at int4.

    Raises:
        ValueError: A scale or a number of columns is missing, or is of another shape.
    """
    weights = {}
    for name, value in tensors.items():
        if precision in _LARGEST and name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        if precision in _LARGEST and value.ndim == 2:
            scale = tensors.get(name + SCALE)
            if scale is None or len(scale) != len(value):
                raise ValueError(f"{name} must have a scale for each of its {len(value)} rows")
            is_bytes = precision == "int8"
            weights[name] = _of_rows(value, scale) if is_bytes else _of_pairs(value, scale, columns[name])
        else:
            weights[name] = value.astype(np.float32)
    return weights


def _quantised(groups: npt.NDArray[np.float32], precision: str) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Whole numbers (r, g, c) of groups (r, g, c), and their scales (r, g)."""
    largest = _LARGEST[precision]
    wanted = np.abs(groups).max(axis=2, initial=0.0) / np.float32(largest)  # (r, g)
    scale = np.clip(wanted, _FLOAT16_LEAST, _FLOAT16_MAX).astype(np.float16)
    is_less = (scale.astype(np.float32) < wanted) & (scale < _FLOAT16_MAX)
    with np.errstate(over="ignore"):  # of the largest, which is kept
        scale = np.where(is_less, np.nextafter(scale, np.float16(np.inf)), scale)
    numbers = np.rint(groups / scale.astype(np.float32)[..., None])
    return np.clip(numbers, -largest, largest).astype(np.int8), scale


def _packed_pairs(matrix: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """Bytes (r, c / 2 rounded up) of a matrix (r, c), and the scales (r, groups) of its rows."""
    rows, columns = matrix.shape
    groups = -(-columns // GROUP_SIZE)
    padded = np.zeros((rows, groups * GROUP_SIZE), dtype=np.float32)
    padded[:, :columns] = matrix
    numbers, scale = _quantised(padded.reshape(rows, groups, GROUP_SIZE), "int4")
    halves = (numbers.reshape(rows, -1) + _OFFSET).astype(np.uint8)[:, : columns + columns % 2]
    return np.ascontiguousarray(halves[:, 0::2] | halves[:, 1::2] << 4), scale


def _of_rows(numbers: npt.NDArray[np.int8], scale: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    return numbers.astype(np.float32) * scale.astype(np.float32)[:, None]


def _of_pairs(halves: npt.NDArray[np.uint8], scale: npt.NDArray[np.float16], columns: int) -> npt.NDArray[np.float32]:
    if halves.shape[1] != -(-columns // 2) or scale.shape[1:] != (-(-columns // GROUP_SIZE),):
        raise ValueError(f"a matrix of {columns} columns must have {-(-columns // 2)} bytes a row, got {halves.shape}")
    numbers = np.empty((len(halves), 2 * halves.shape[1]), dtype=np.float32)
    numbers[:, 0::2], numbers[:, 1::2] = halves & 15, halves >> 4
    scales = np.repeat(scale.astype(np.float32), GROUP_SIZE, axis=1)[:, :columns]
    return (numbers[:, :columns] - np.float32(_OFFSET)) * scales
