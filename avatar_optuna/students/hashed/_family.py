"""Hyperparameters and cost formulas of the hashed family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, IntDistribution

from avatar_optuna.costs import TaskShape
from avatar_optuna.students._family import StudentFamily
from avatar_optuna.students._hyperparameter import Hyperparameter
from avatar_optuna.students._precision import PRECISION, WeightShapes
from avatar_optuna.students._reading import Configuration, Reading
from avatar_optuna.students.hashed.grams import FIRST_ID, GRAMS, MAX_COUNT, GramReader

POOLINGS = ("mean", "mean+max")


def _size(name: str, low: int, high: int, limits: tuple[int, int], **more: Any) -> Hyperparameter:
    options = {"low": limits[0], "high": limits[1], "in_formulas": True, **more}
    return Hyperparameter(name=name, kind="whole", default=IntDistribution(low, high), **options)


class Hashed(StudentFamily):
    """Hashed n-grams into a table, pooled over the function, residual layers, a symmetric head; no tokenizer."""

    name = "hashed"
    files = ("config.json", "model.safetensors")
    hyperparameters = (
        Hyperparameter(
            name="grams", kind="category", default=CategoricalDistribution(tuple(GRAMS)), choices=tuple(GRAMS)
        ),
        _size("buckets", 256, 16_384, (2, 1 << 22), is_logarithmic=True, exact_step=256),
        _size("width", 4, 64, (1, 4_096), is_logarithmic=True, in_device_terms=True, exact_step=2),
        Hyperparameter(
            name="pooling",
            kind="category",
            default=CategoricalDistribution(POOLINGS),
            choices=POOLINGS,
            in_formulas=True,
            in_device_terms=True,
        ),
        _size("num_hidden_layers", 0, 3, (0, 64), in_device_terms=True),
        _size("intermediate_size", 8, 128, (1, 65_536), is_logarithmic=True, in_device_terms=True, exact_step=8),
        Hyperparameter(
            name="hidden_dropout_prob", kind="real", default=CategoricalDistribution((0.0, 0.1, 0.2)), high=0.99
        ),
        _size(
            "max_sequence_length", 128, 1_024, (1, 1 << 20), is_logarithmic=True, in_device_terms=True, exact_step=64
        ),
        Hyperparameter(
            name="learning_rate",
            kind="real",
            default=CategoricalDistribution((3e-2, 1e-2, 3e-3)),
            low=1e-8,
            high=1.0,
            is_logarithmic=True,
            is_curved=True,
        ),
        Hyperparameter(
            name="batch_size",
            kind="whole",
            default=CategoricalDistribution((32, 64, 128)),
            low=1,
            high=65_536,
            is_logarithmic=True,
        ),
        PRECISION,
    )
    longest_tensor_name = len("layers.63.output.weight.scale")
    derived: Mapping[str, Callable[[Reading], Any]] = {
        "vocab_size": lambda shape: FIRST_ID + MAX_COUNT * shape.buckets,
        "vector_size": lambda shape: shape.width * (1 + shape.place("pooling")),
    }
    exact_order = (
        *("pooling", "precision", "num_hidden_layers", "width", "max_sequence_length", "intermediate_size"),
        "buckets",
    )

    def parameter_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Parameters by the part that owns them."""
        size, layers, units = shape.vector_size, shape.num_hidden_layers, shape.intermediate_size
        return {
            "table": shape.buckets * shape.width,
            "norm": 2 * size,
            "residual_layers": layers * (2 * size * units + units + 3 * size),
            "head_dense": task_shape.arity * size * size + size,
            "head_output": task_shape.num_labels * (size + 1),
        }

    def weight_shapes(self, shape: Any, task_shape: TaskShape) -> WeightShapes:
        """The table, two matrices a layer, two of the head; their biases and the norms."""
        size, layers, units = shape.vector_size, shape.num_hidden_layers, shape.intermediate_size
        return WeightShapes(
            matrices=[
                (1, shape.buckets, shape.width),
                (layers, units, size),
                (layers, size, units),
                (1, size, task_shape.arity * size),
                (1, task_shape.num_labels, size),
            ],
            vector_elements=3 * size + layers * (units + 3 * size) + task_shape.num_labels,
        )

    def num_tensors(self, shape: Any) -> Any:
        """The table, two of the norm, six a layer, four of the head."""
        return 7 + 6 * shape.num_hidden_layers

    def flops_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Matrix products; the weighted sum over a function's buckets is one, where all that can be read are there."""
        size, functions = shape.vector_size, task_shape.arity
        return {
            "pooling": functions * 2 * shape.max_sequence_length * shape.width,
            "residual_layers": functions * shape.num_hidden_layers * 4 * size * shape.intermediate_size,
            "head_dense": 2 * functions * size * size,
            "head_output": 2 * task_shape.num_labels * size,
        }

    def device_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Calls, elements of the rows that are looked up, and products."""
        size, functions = shape.vector_size, task_shape.arity
        return {
            "pass": shape.width * 0 + 1,
            "layer_calls": shape.num_hidden_layers,
            "row_elements": functions * shape.max_sequence_length * size,
            "residual_products": functions * shape.num_hidden_layers * size * shape.intermediate_size,
        }

    def make_tokenizer(self, configuration: Configuration, functions: Sequence[str], cache_dir: Path | None) -> Any:
        """A reader of hashed n-grams: nothing is trained."""
        return GramReader(configuration.grams, configuration.buckets)

    def load_tokenizer(self, directory: Path) -> Any:
        """The reader that `config.json` describes."""
        from avatar_optuna.students.hashed.network import load_config

        config = load_config(directory)
        return GramReader(config.grams, config.buckets)

    def build_network(
        self, configuration: Configuration, task_shape: TaskShape, label_names: Sequence[str] | None = None
    ) -> Any:
        """A network with random weights."""
        from avatar_optuna.students.hashed.network import HashedConfig, HashedNetwork

        names = (
            *("grams", "buckets", "width", "pooling", "num_hidden_layers", "intermediate_size"),
            *("hidden_dropout_prob", "max_sequence_length", "precision"),
        )
        values = {name: configuration.value(name) for name in names}
        labels = tuple(label_names or [f"LABEL_{label}" for label in range(task_shape.num_labels)])
        return HashedNetwork(HashedConfig(**values, arity=task_shape.arity, label_names=labels))

    def save_network(self, network: Any, directory: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        from avatar_optuna.students.hashed.network import save_network

        save_network(network, directory)

    def load_network(self, directory: Path) -> Any:
        """What `save_network` wrote."""
        from avatar_optuna.students.hashed.network import load_network

        return load_network(directory)

    @property
    def table_columns(self) -> Mapping[str, str]:
        """Short headings: a terminal is narrow."""
        return {
            "grams": "grams",
            "buckets": "buckets",
            "width": "width",
            "pooling": "pooling",
            "layers": "num_hidden_layers",
            "inner": "intermediate_size",
            "read": "max_sequence_length",
        }

    def describe(self, configuration: Configuration) -> str:
        """Such as "token-bigrams in 4,096 buckets of width 14 (mean+max), 1 layer of 64, at most 512 buckets read"."""
        count = configuration.num_hidden_layers
        layers = (
            f"{count} layer{'' if count == 1 else 's'} of {configuration.intermediate_size}" if count else "no layer"
        )
        return (
            f"{configuration.grams} in {configuration.buckets:,} buckets of width {configuration.width} "
            f"({configuration.pooling}), {layers}, at most {configuration.max_sequence_length:,} buckets read"
        )


HASHED = Hashed()
