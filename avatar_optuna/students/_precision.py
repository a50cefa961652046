"""Bits of a student's weights: the hyperparameter of every family, and the bytes that each precision takes on disk.

The layout that is counted here is that of `quantization`, which writes and reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution

from avatar_optuna.students._hyperparameter import Hyperparameter

PRECISIONS = ("float32", "float16", "int8", "int4")
FULL_PRECISION = "float32"
GROUP_SIZE = 32
"""Weights of a row that share a scale, at int4."""

PRECISION = Hyperparameter(
    name="precision",
    kind="category",
    default=CategoricalDistribution((FULL_PRECISION,)),
    choices=PRECISIONS,
    in_formulas=True,
    omitted=FULL_PRECISION,
)
"""A study that does not mention it has students in float32, and neither a parameter nor an axis for it."""

# safetensors: 8 bytes of length, then a JSON header with one entry a tensor (name, dtype, shape, two offsets).
HEADER_BYTES = 128
HEADER_BYTES_PER_TENSOR = 160
_ENTRY_BYTES = 80  # of a tensor's entry besides its name
_COLUMNS_BYTES = 16  # of a matrix's number of columns in the metadata, besides its name


@dataclass(frozen=True, kw_only=True)
class WeightShapes:
    """Shapes of a network's weights, as formulas read them.

    Args:
        matrices: How many, their rows and their columns.
        vector_elements: Elements of all tensors of one dimension (biases, norms).
    """

    matrices: Sequence[tuple[Any, Any, Any]]
    vector_elements: Any


def weight_bytes(precision: str, weights: WeightShapes) -> Any:
    """Bytes of all tensors at a precision other than float32, scales included."""
    if precision == "float16":
        elements = sum(count * rows * columns for count, rows, columns in weights.matrices)
        return 2 * (elements + weights.vector_elements)
    if precision == "int8":
        matrices = sum(count * rows * (columns + 2) for count, rows, columns in weights.matrices)
    else:
        matrices = sum(
            count * rows * (divided_up(columns, 2) + 2 * divided_up(columns, GROUP_SIZE))
            for count, rows, columns in weights.matrices
        )
    return matrices + 2 * weights.vector_elements


def header_bytes(precision: str, num_tensors: Any, num_matrices: Any, *, name_bytes: int) -> Any:
    """An upper bound of the header of `model.safetensors`.

    Args:
        num_tensors: Of the network.
        num_matrices: Those of two dimensions, which have scales at int8 and int4.
        name_bytes: The longest name of a tensor, the suffix of scales included.
    """
    if precision == FULL_PRECISION:
        return HEADER_BYTES + HEADER_BYTES_PER_TENSOR * num_tensors
    entry, scaled = _ENTRY_BYTES + name_bytes, 0
    if precision == "int8":
        scaled = entry
    elif precision == "int4":
        scaled = entry + name_bytes + _COLUMNS_BYTES
    return HEADER_BYTES + entry * num_tensors + scaled * num_matrices


def divided_up(number: Any, divisor: int) -> Any:
    """A whole number over another, rounded up: a solver's terms know no //, but their / divides wholly."""
    raised = number + (divisor - 1)
    try:
        return raised // divisor
    except TypeError:
        return raised / divisor
