"""Floating-point operations of one forward pass of a student."""

from __future__ import annotations

from typing import Any

from avatar_optuna.costs._shape import Shape, TaskShape


def flops_terms(shape: Shape, task_shape: TaskShape) -> dict[str, Any]:
    """FLOPs of the matrix products for one input at full length, by the product they belong to.

    An `m x k` by `k x n` product counts `2 m k n`: one multiplication and one addition for each term, which is what
    torch's `FlopCounterMode` counts. One input is one function of `max_sequence_length` tokens, or two of them for a
    pair; inputs shorter than the maximum cost less.

    Left out: element-wise work (`elementwise_flops` names it) and embedding look-ups, which compute nothing. The
    counter published with the paper charges a look-up as a dense product with the whole vocabulary, and drops the
    attention's two score products; compare figures with it only with that in mind.

    Args:
        shape: The student; ints, arrays or Z3 terms.
        task_shape: One function or a pair an input.
    """
    tokens, width, layers = shape.max_sequence_length, shape.hidden_size, shape.num_hidden_layers
    functions = task_shape.arity
    per_layer = functions * layers
    return {
        "attention_projections": per_layer * 8 * tokens * width * width,
        "attention_scores": per_layer * 2 * tokens * tokens * width,
        "attention_context": per_layer * 2 * tokens * tokens * width,
        "distance_scores": per_layer * shape.num_distance_products * 2 * tokens * (2 * tokens - 1) * width,
        "feed_forward": per_layer * 4 * tokens * width * shape.intermediate_size,
        "head_dense": 2 * functions * width * width,
        "head_output": 2 * task_shape.num_labels * width,
    }


def flops(shape: Shape, task_shape: TaskShape) -> Any:
    """The sum of `flops_terms`: what the search minimises."""
    return sum(flops_terms(shape, task_shape).values())


def elementwise_flops(shape: Shape, task_shape: TaskShape) -> dict[str, Any]:
    """Element-wise operations of the same forward pass, one for each element touched, by kind.

    Counted apart because no counter agrees on them: an exponential, a division and an addition are one each here.
    A layer norm is 5 an element (mean, centre, square, scale, shift), a softmax 3 (exponential, sum, division).
    """
    tokens, width, layers = shape.max_sequence_length, shape.hidden_size, shape.num_hidden_layers
    functions = task_shape.arity
    scores = shape.num_attention_heads * tokens * tokens
    return {
        "embedding_sum": functions * 2 * tokens * width,
        "norms": functions * 5 * tokens * width * (1 + 2 * layers),
        "biases": functions * layers * tokens * (5 * width + shape.intermediate_size),
        "residuals": functions * layers * 2 * tokens * width,
        "softmax": functions * layers * 3 * scores,
        "score_scaling": functions * layers * scores,
        "distance_sums": functions * layers * shape.num_distance_products * scores,
        "activation": functions * layers * tokens * shape.intermediate_size,
        "head_tanh": width,
    }
