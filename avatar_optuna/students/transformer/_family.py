"""Hyperparameters and cost formulas of the transformer family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from avatar_optuna.costs import TaskShape
from avatar_optuna.students._family import StudentFamily
from avatar_optuna.students._hyperparameter import Divides, Hyperparameter
from avatar_optuna.students._precision import PRECISION, WeightShapes
from avatar_optuna.students._reading import Configuration, Reading

TOKENIZERS = ("BPE", "WordPiece", "Unigram", "Word")
ACTIVATIONS = ("gelu", "relu", "silu", "gelu_new")
POSITION_EMBEDDING_TYPES = ("absolute", "relative_key", "relative_key_query")
CONCATENATION, SYMMETRIC = "concatenation", "symmetric"
PAIR_HEADS = (CONCATENATION, SYMMETRIC)

# Rows of the absolute position table before the first token's: RoBERTa counts positions from padding_idx + 1 = 2.
POSITION_OFFSET = 2

_SHAPE = {"in_formulas": True, "in_device_terms": True}


def _size(name: str, low: int, high: int, limits: tuple[int, int], **more: Any) -> Hyperparameter:
    default = IntDistribution(low, high)
    least, most = limits
    return Hyperparameter(
        name=name, kind="whole", default=default, low=least, high=most, is_logarithmic=True, **{**_SHAPE, **more}
    )


def _dropout(name: str) -> Hyperparameter:
    return Hyperparameter(name=name, kind="real", default=FloatDistribution(0.2, 0.5, step=0.1), low=0.0, high=0.99)


def _category(name: str, choices: tuple[str, ...], **more: Any) -> Hyperparameter:
    return Hyperparameter(name=name, kind="category", default=CategoricalDistribution(choices), choices=choices, **more)


class Transformer(StudentFamily):
    """A RoBERTa-style encoder with one of three kinds of positions, and a head for one function or two."""

    name = "transformer"
    hyperparameters = (
        _category("tokenizer", TOKENIZERS),
        _size("vocab_size", 1_000, 50_265, (16, 1_000_000), in_device_terms=False, exact_step=1_000),
        _size("num_hidden_layers", 1, 12, (1, 96)),
        _size("hidden_size", 16, 768, (1, 16_384), is_curved=True, exact_step=16),
        _category("hidden_act", ACTIVATIONS, in_device_terms=True),
        _dropout("hidden_dropout_prob"),
        _size("intermediate_size", 16, 3_072, (1, 65_536), exact_step=32),
        _size("num_attention_heads", 1, 12, (1, 256)),
        _dropout("attention_probs_dropout_prob"),
        _size("max_sequence_length", 256, 512, (4, 32_768), exact_step=32),
        _category("position_embedding_type", POSITION_EMBEDDING_TYPES, **_SHAPE),
        Hyperparameter(
            name="learning_rate",
            kind="real",
            default=CategoricalDistribution((1e-3, 1e-4, 5e-5)),
            low=1e-8,
            high=1.0,
            is_logarithmic=True,
            is_curved=True,
        ),
        Hyperparameter(
            name="batch_size",
            kind="whole",
            default=CategoricalDistribution((16, 32, 64)),
            low=1,
            high=65_536,
            is_logarithmic=True,
        ),
        PRECISION,
        Hyperparameter(
            name="pair_head",
            kind="category",
            default=CategoricalDistribution((CONCATENATION,)),
            choices=PAIR_HEADS,
            omitted=CONCATENATION,
        ),
    )
    divides = (Divides(divisor="num_attention_heads", dividend="hidden_size", quotient="head_size"),)
    derived: Mapping[str, Callable[[Reading], Any]] = {
        # 1 where the student owns an absolute position table, else 0.
        "has_absolute_positions": lambda shape: shape.flag("position_embedding_type", "absolute"),
        # Matrix products with the distance table in each layer: 0, 1 (relative_key) or 2 (relative_key_query).
        "num_distance_products": lambda shape: shape.place("position_embedding_type"),
    }
    exact_order = (
        "position_embedding_type",
        "precision",
        "num_attention_heads",
        "num_hidden_layers",
        "hidden_size",
        "max_sequence_length",
        "intermediate_size",
        "vocab_size",
    )
    starts_as_similarity = True

    def parameter_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Parameters of a student, by the part that owns them.

        An absolute table has `max_sequence_length + 2` rows (RoBERTa's position offset). A relative student owns no
        absolute table but, in each layer, one row of `head_size` for each of `2 * max_sequence_length - 1` distances;
        relative_key_query reads the same table twice.
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

    def weight_shapes(self, shape: Any, task_shape: TaskShape) -> WeightShapes:
        """Tables, the matrices of each layer, two of the head; their biases and the norms."""
        width, layers, inner = shape.hidden_size, shape.num_hidden_layers, shape.intermediate_size
        has_absolute = shape.has_absolute_positions
        return WeightShapes(
            matrices=[
                (1, shape.vocab_size, width),
                (has_absolute, shape.max_sequence_length + POSITION_OFFSET, width),
                (1, 1, width),
                (layers * 4, width, width),
                (layers * (1 - has_absolute), 2 * shape.max_sequence_length - 1, shape.head_size),
                (layers, inner, width),
                (layers, width, inner),
                (1, width, task_shape.arity * width),
                (1, task_shape.num_labels, width),
            ],
            vector_elements=3 * width + layers * (9 * width + inner) + task_shape.num_labels,
        )

    def num_tensors(self, shape: Any) -> Any:
        return 8 + shape.has_absolute_positions + shape.num_hidden_layers * (17 - shape.has_absolute_positions)

    def flops_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """FLOPs of the matrix products for one input at full length, by the product they belong to.

        An `m x k` by `k x n` product counts `2 m k n`: one multiplication and one addition for each term, which is
        what torch's `FlopCounterMode` counts. One input is one function of `max_sequence_length` tokens, or two of
        them for a pair; inputs shorter than the maximum cost less.

        Left out: element-wise work, on which no counter agrees, and embedding look-ups, which compute nothing. The
        counter published with the paper charges a look-up as a dense product with the whole vocabulary, and drops the
        attention's two score products; compare figures with it only with that in mind.
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

    def device_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """What one input at full length makes a device do, by kind; each is a count.

        Calls (a kernel launched, whatever its size) cost a small student most; then come the elements that are
        touched, and the products. A relative student's distance scores are as many elements as its heads times the
        square of its tokens, which no count of FLOPs shows. `gelu_new` is composed of eight element-wise operations,
        where the other activations are one. A vocabulary costs memory, not time.
        """
        tokens, width, layers = shape.max_sequence_length, shape.hidden_size, shape.num_hidden_layers
        inner, heads, distances = shape.intermediate_size, shape.num_attention_heads, shape.num_distance_products
        functions = task_shape.arity
        rows = layers * tokens * functions
        scores = rows * tokens * heads
        is_relative = 1 - shape.has_absolute_positions
        is_composed = shape.is_category("hidden_act", "gelu_new")
        return {
            "pass": layers * 0 + 1,
            "layer_calls": layers,
            "relative_layer_calls": layers * is_relative,
            "composed_activation_calls": layers * is_composed,
            "embedding_elements": tokens * width * functions,
            "vector_elements": rows * width,
            "score_elements": scores,
            "distance_elements": scores * distances,
            "transposed_distance_elements": scores * (distances * (distances - 1)),
            "inner_elements": rows * inner,
            "composed_activation_elements": rows * inner * is_composed,
            "projection_products": rows * width * width,
            "attention_products": rows * tokens * width,
            "distance_products": rows * tokens * width * distances,
            "feed_forward_products": rows * width * inner,
        }

    def make_tokenizer(self, configuration: Configuration, functions: Sequence[str], cache_dir: Path | None) -> Any:
        from avatar_optuna.students.transformer.tokenizers import train_tokenizer

        return train_tokenizer(configuration.tokenizer, configuration.vocab_size, functions, cache_dir)

    def tokenizer_version(self, configuration: Configuration) -> str:
        """Unigram's were once trained at the student's own size."""
        return "pieces cut" if configuration.tokenizer == "Unigram" else ""

    def build_network(
        self, configuration: Configuration, task_shape: TaskShape, label_names: Sequence[str] | None = None
    ) -> Any:
        from avatar_optuna.students.transformer.network import StudentConfig, StudentForSequenceClassification

        config = StudentConfig.from_hyperparameters(configuration, task_shape, label_names=label_names)
        return StudentForSequenceClassification(config)

    def save_network(self, network: Any, directory: Path) -> None:
        """Write it as stock transformers' RoBERTa where it is one."""
        network.save_student(directory)

    def load_network(self, directory: Path) -> Any:
        """A student, whether it calls itself a student or a RoBERTa."""
        from avatar_optuna.students.transformer.network import load_student

        return load_student(directory)

    @property
    def table_columns(self) -> Mapping[str, str]:
        """Short headings: a terminal is narrow."""
        return {
            "layers": "num_hidden_layers",
            "width": "hidden_size",
            "inner": "intermediate_size",
            "heads": "num_attention_heads",
            "vocab": "vocab_size",
            "tokens": "max_sequence_length",
            "tokenizer": "tokenizer",
            "positions": "position_embedding_type",
        }

    def describe(self, configuration: Configuration) -> str:
        """Such as "2 layers of width 32 (inner 64, 4 heads), 1,000 BPE tokens, 256 positions (absolute)"."""
        layers, heads = configuration.num_hidden_layers, configuration.num_attention_heads
        head = ", symmetric pair head" if configuration.pair_head == SYMMETRIC else ""
        return (
            f"{layers} layer{'s' if layers > 1 else ''} of width {configuration.hidden_size} (inner "
            f"{configuration.intermediate_size}, {heads} head{'s' if heads > 1 else ''}), "
            f"{configuration.vocab_size:,} {configuration.tokenizer} tokens, {configuration.max_sequence_length} "
            f"positions ({configuration.position_embedding_type}){head}"
        )


TRANSFORMER = Transformer()
