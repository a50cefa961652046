"""Parameters and bytes of a student."""

from __future__ import annotations

from typing import Any

from avatar_optuna.costs._shape import Shape, TaskShape
from avatar_optuna.hyperparameters import POSITION_OFFSET

BYTES_PER_PARAMETER = 4
# safetensors: 8 bytes of length, then a JSON header with one entry a tensor (name, dtype, shape, two offsets).
HEADER_BYTES = 128
HEADER_BYTES_PER_TENSOR = 160


def parameter_terms(shape: Shape, task_shape: TaskShape) -> dict[str, Any]:
    """Parameters of a student, by the part that owns them.

    The sum equals `sum(p.numel() for p in model.parameters())` of the built student; a test holds it to that.
    An absolute table has `max_sequence_length + 2` rows (RoBERTa's position offset). A relative student owns no
    absolute table but, in each layer, one row of `head_size` for each of `2 * max_sequence_length - 1` distances;
    relative_key_query reads the same table twice.

    Args:
        shape: The student; ints, arrays or Z3 terms.
        task_shape: Whether the head reads one first-token vector or two, concatenated.
    """
    width, layers, inner = shape.hidden_size, shape.num_hidden_layers, shape.intermediate_size
    has_distances = 1 - shape.has_absolute_positions
    return {
        "token_embeddings": shape.vocab_size * width,
        "position_embeddings": shape.has_absolute_positions * (shape.max_sequence_length + POSITION_OFFSET) * width,
        "token_type_embeddings": width,
        "embedding_norm": 2 * width,
        "attention": layers * 4 * (width * width + width),
        "distance_embeddings": layers * has_distances * (2 * shape.max_sequence_length - 1) * shape.head_size,
        "attention_norm": layers * 2 * width,
        "feed_forward": layers * (2 * width * inner + inner + width),
        "feed_forward_norm": layers * 2 * width,
        "head_dense": task_shape.arity * width * width + width,
        "head_output": task_shape.num_labels * (width + 1),
    }


def num_parameters(shape: Shape, task_shape: TaskShape) -> Any:
    """The sum of `parameter_terms`."""
    return sum(parameter_terms(shape, task_shape).values())


def num_tensors(shape: Shape) -> Any:
    """Tensors in a student's weights file."""
    return 8 + shape.has_absolute_positions + shape.num_hidden_layers * (17 - shape.has_absolute_positions)


def size_terms(shape: Shape, task_shape: TaskShape) -> dict[str, Any]:
    """Bytes of a student's `model.safetensors`: float32 weights, and an upper bound of the file's header.

    The bound (a fraction of a percent) makes a promise of the search hold on disk: a student never weighs more than
    was predicted.
    """
    return {
        "weights": BYTES_PER_PARAMETER * num_parameters(shape, task_shape),
        "file_header": HEADER_BYTES + HEADER_BYTES_PER_TENSOR * num_tensors(shape),
    }


def size_bytes(shape: Shape, task_shape: TaskShape) -> Any:
    """The sum of `size_terms`."""
    return sum(size_terms(shape, task_shape).values())
