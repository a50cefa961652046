"""What a family of students is: everything that the search, the solver, the indicator and the workers ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.registry import Registry
from avatar_optuna.students._hyperparameter import Divides, Hyperparameter
from avatar_optuna.students._precision import (
    FULL_PRECISION,
    HEADER_BYTES,
    HEADER_BYTES_PER_TENSOR,
    PRECISION,
    PRECISIONS,
    WeightShapes,
    header_bytes,
    weight_bytes,
)
from avatar_optuna.students._reading import Configuration, Reading

BYTES_PER_PARAMETER = 4

REQUIRED_NAMES = ("learning_rate", "batch_size", "max_sequence_length", "vocab_size")
"""What distilling and timing read of a student of any family: hyperparameters, or derived quantities. The last two are
the most tokens of a function that its network takes, and the number of ids that a token can have."""


class StudentFamily(Protocol):
    """A kind of student: its hyperparameters, its cost formulas, its network. Inherit from it to get the defaults.

    Formulas are written once, with + - * and // by a number, over a `Reading`: they are read with ints, arrays,
    intervals and Z3 terms. No coefficient may be negative in `device_terms`: the solver relies on figures that grow
    with every number. `avatar_optuna.testing.students` holds a family to what stands here.
    """

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    """In the order in which codes, tables and parameters list them; among them and `derived`, `REQUIRED_NAMES`."""

    divides: tuple[Divides, ...] = ()
    """Implied in every study: which number divides which."""

    constraints: tuple[str, ...] = ()
    """Further expressions that are implied in every study (see `constraints`)."""

    derived: Mapping[str, Callable[[Reading], Any]] = {}
    """Quantities that formulas read besides hyperparameters and quotients."""

    files: tuple[str, ...] = ("config.json", "model.safetensors", "tokenizer.json")
    """What a stored student consists of, besides the manifest that names and hashes it."""

    longest_tensor_name: int = 72
    """Bytes of the longest name of a tensor in `model.safetensors`, with the `.scale` of a quantised matrix."""

    starts_as_similarity: bool = False
    """Whether a network for pairs has `classifier.dense` and `classifier.out_proj`, to be set to a first guess."""

    # Formulas ---------------------------------------------------------------------------------------------------------

    def parameter_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Parameters by the part that owns them; the sum is that of the built network."""
        ...

    def num_tensors(self, shape: Any) -> Any:
        """Tensors in the weights file, or an upper bound."""
        ...

    def flops_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """FLOPs of the matrix products for one input at full length, two for each multiplication and addition."""
        ...

    def weight_shapes(self, shape: Any, task_shape: TaskShape) -> WeightShapes:
        """Matrices and vectors of the network; a family whose hyperparameters hold `PRECISION` has it."""
        ...

    def size_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Bytes of `model.safetensors`: weights at the student's precision, and an upper bound of the file's header.

        The bound (a fraction of a percent of most students) makes a promise of the search hold on disk: a student never
        weighs more than was predicted.
        """
        if PRECISION.name not in self.by_name:
            header = HEADER_BYTES + HEADER_BYTES_PER_TENSOR * self.num_tensors(shape)
            return {"weights": self._full_bytes(shape, task_shape), "file_header": header}
        weights = {name: partial(self._weight_bytes, name, shape, task_shape) for name in PRECISIONS}
        headers = {name: partial(self._header_bytes, name, shape, task_shape) for name in PRECISIONS}
        return {
            "weights": shape.select(PRECISION.name, weights),
            "file_header": shape.select(PRECISION.name, headers),
        }

    def _full_bytes(self, shape: Any, task_shape: TaskShape) -> Any:
        return BYTES_PER_PARAMETER * sum(self.parameter_terms(shape, task_shape).values())

    def _weight_bytes(self, precision: str, shape: Any, task_shape: TaskShape) -> Any:
        if precision == FULL_PRECISION:
            return self._full_bytes(shape, task_shape)
        return weight_bytes(precision, self.weight_shapes(shape, task_shape))

    def _header_bytes(self, precision: str, shape: Any, task_shape: TaskShape) -> Any:
        matrices = sum(count for count, _, _ in self.weight_shapes(shape, task_shape).matrices)
        return header_bytes(precision, self.num_tensors(shape), matrices, name_bytes=self.longest_tensor_name)

    def device_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """What latency and energy are a weighted sum of: counts by kind, for one input at full length."""
        return {"pass": shape.max_sequence_length * 0 + 1, **self.flops_terms(shape, task_shape)}

    # The network ------------------------------------------------------------------------------------------------------

    def make_tokenizer(self, configuration: Configuration, functions: Sequence[str], cache_dir: Path | None) -> Any:
        """A tokenizer of Hugging Face's kind, trained on a task's training functions where it is trained at all.

        It is called with a list of functions, `truncation`, `max_length` and `split_special_tokens`, has
        `pad_token_id` and `mask_token_id`, and `save_pretrained` writes what `load_tokenizer` reads.
        """
        ...

    def tokenizer_version(self, configuration: Configuration) -> str:
        """Which way its tokenizer is made, "" the first: a training under way goes on only with the same."""
        return ""

    def load_tokenizer(self, directory: Path) -> Any:
        """The tokenizer of a stored student; by default `tokenizer.json` is one that transformers knows.

        Raises:
            InputError: It is not.
        """
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(directory)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{directory}: tokenizer.json must hold a tokenizer that transformers knows") from error

    def build_network(
        self, configuration: Configuration, task_shape: TaskShape, label_names: Sequence[str] | None = None
    ) -> Any:
        """A torch module with random weights, its `encode` and `classify` as in `distillation.Network`."""
        ...

    def save_network(self, network: Any, directory: Path) -> None:
        """Write `config.json` and `model.safetensors` to a directory that exists."""
        ...

    def load_network(self, directory: Path) -> Any:
        """The network that `save_network` wrote, in evaluation mode.

        Raises:
            InputError: The weights are not those of the configuration.
        """
        ...

    # What is shown ----------------------------------------------------------------------------------------------------

    @property
    def table_columns(self) -> Mapping[str, str]:
        """Headings of a table of students, each with the name that it shows."""
        return {name.replace("_", " "): name for name in self.names if self.by_name[name].in_formulas}

    def describe(self, configuration: Configuration) -> str:
        """A student in a line."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in configuration.values.items())

    # What follows from the above --------------------------------------------------------------------------------------

    def configure(self, **values: Any) -> Configuration:
        """A configuration of these values, one for each hyperparameter.

        Raises:
            InputError: No student could have them.
        """
        return Configuration(self, values)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the hyperparameters."""
        return tuple(spec.name for spec in self.hyperparameters)

    @cached_property
    def by_name(self) -> Mapping[str, Hyperparameter]:
        """The hyperparameters by name."""
        return {spec.name: spec for spec in self.hyperparameters}

    @cached_property
    def omitted(self) -> Mapping[str, Any]:
        """What hyperparameters are by name in a space that does not mention them, of those that may be omitted."""
        return {spec.name: spec.omitted for spec in self.hyperparameters if spec.omitted is not None}

    @cached_property
    def quotients(self) -> Mapping[str, Divides]:
        """The rules of `divides` by the name of their quotient."""
        return {rule.quotient: rule for rule in self.divides}

    @cached_property
    def formula_names(self) -> frozenset[str]:
        """Hyperparameters that the formulas for parameters, bytes and FLOPs read."""
        return frozenset(spec.name for spec in self.hyperparameters if spec.in_formulas)

    @cached_property
    def device_names(self) -> frozenset[str]:
        """Hyperparameters that `device_terms` reads."""
        return frozenset(spec.name for spec in self.hyperparameters if spec.in_device_terms)

    @cached_property
    def exact_order(self) -> tuple[str, ...]:
        """Those that cost something, in the order in which the exact front fixes them: first what rules out most."""
        return tuple(name for name in self.names if name in self.formula_names)


FAMILIES: Registry[StudentFamily] = Registry(
    "students",
    noun="family",
    built_in={
        "transformer": "avatar_optuna.students.transformer:TRANSFORMER",
        "hashed": "avatar_optuna.students.hashed:HASHED",
    },
)
