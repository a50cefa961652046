"""What the cost formulas read."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol


class Shape(Protocol):
    """The numbers of a student that its costs depend on; `Hyperparameters` is one.

    Each attribute is an int, an integer array (all of one shape) or a Z3 integer term. `Any` is meant: the three
    share arithmetic, not a type.
    """

    @property
    def vocab_size(self) -> Any: ...
    @property
    def num_hidden_layers(self) -> Any: ...
    @property
    def hidden_size(self) -> Any: ...
    @property
    def intermediate_size(self) -> Any: ...
    @property
    def head_size(self) -> Any: ...
    @property
    def num_attention_heads(self) -> Any: ...
    @property
    def max_sequence_length(self) -> Any: ...
    @property
    def has_absolute_positions(self) -> Any:
        """1 for absolute positions, else 0."""

    @property
    def num_distance_products(self) -> Any:
        """0 absolute, 1 relative_key, 2 relative_key_query."""


class TaskForm(StrEnum):
    """What one input of the task is."""

    SINGLE = "single"
    """One function (vulnerability prediction)."""
    PAIR = "pair"
    """Two functions, each encoded on its own (clone detection)."""

    @property
    def num_functions(self) -> int:
        """Functions that one input holds."""
        return 2 if self is TaskForm.PAIR else 1
