"""What the cost formulas read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from avatar_optuna.exceptions import InputError


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


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskShape:
    """What the head of a model reads and answers.

    Args:
        arity: Functions that one input holds: 1 (vulnerability prediction) or 2 (clone detection), each of them
            encoded on its own.
        num_labels: Labels that are told apart.

    Raises:
        InputError: No head could have this shape.
    """

    arity: int
    num_labels: int = 2

    def __post_init__(self) -> None:
        if self.arity not in (1, 2):
            raise InputError(f"arity must be 1 or 2 functions an input, got {self.arity!r}")
        if self.num_labels < 2:
            raise InputError(f"num_labels must be at least 2, got {self.num_labels!r}")

    @property
    def is_pair(self) -> bool:
        """Whether an input is two functions."""
        return self.arity == 2

    @property
    def form(self) -> str:
        """ "single" or "pair": how stored files name the arity."""
        return _FORMS[self.arity]

    @classmethod
    def from_form(cls, form: str, num_labels: int = 2) -> TaskShape:
        """Read what `form` wrote.

        Raises:
            InputError: The form is unknown.
        """
        for arity, name in _FORMS.items():
            if name == form:
                return cls(arity=arity, num_labels=num_labels)
        raise InputError(f"form must be one of {', '.join(_FORMS.values())}, got {form!r}")


_FORMS = {1: "single", 2: "pair"}
