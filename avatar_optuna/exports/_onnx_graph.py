"""Students as ONNX graphs, written node by node: nothing is traced, and no node is there that is not needed.

Weights stand in a graph as they are stored, in int8, int4 or float16, and the graph makes float32 of them. A runtime
that folds constants (onnxruntime does, as it loads) computes whole matrices once; of tables only the rows that are read
are computed. So the nodes are casts and products: onnxruntime does not fold `DequantizeLinear`, it would compute each
matrix, and the whole table, with every input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from avatar_optuna.runtimes.grams import FIRST_ID, MAX_COUNT
from avatar_optuna.runtimes.hashed import HashedStudent
from avatar_optuna.runtimes.transformer import TransformerStudent
from avatar_optuna.runtimes.weights import GROUP_SIZE, NumpyStudent, read_tensors

_OPSET, _IR_VERSION = 20, 10
_PAD_ID, _POSITION_OFFSET = 1, 2


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """Tensors as a graph holds them.

    Args:
        tensors: By name, in float32, float16, int8 or two weights a byte; `NAME.scale` are the scales of the last two.
        columns: Of each matrix that has two weights a byte, by name.
    """

    tensors: Mapping[str, npt.NDArray[Any]]
    columns: Mapping[str, int]

    @classmethod
    def of(cls, student: NumpyStudent, *, is_float32: bool) -> StoredWeights:
        """The weights of a student as its file has them, or in float32."""
        if is_float32:
            return cls(tensors=student.weights, columns={})
        tensors, columns = read_tensors(student.directory / "model.safetensors")
        return cls(tensors=tensors, columns=columns)


class Graph:
    """Nodes and constants of one graph, added one after the other; an output's name is its node's."""

    def __init__(self, weights: StoredWeights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._decoded: dict[str, str] = {}  # tensors in float32, by name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns the name of its output."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: Any, dtype: type[np.generic] = np.int64) -> str:
        """A small constant."""
        array = np.asarray(value, dtype=dtype)
        return self._store(f"constant_{array.dtype}_{array.tolist()}", array)

    def weight(self, name: str) -> str:
        """A tensor of the student, in float32."""
        if name not in self._decoded:
            self._decoded[name] = self._float32(name, self._stored)
        return self._decoded[name]

    def rows(self, name: str, places: str) -> str:
        """Rows of a matrix of the student, in float32: (..., columns) for places (...)."""
        return self._float32(name, lambda part: self.add("Gather", self._stored(part), places))

    def linear(self, vectors: str, name: str) -> str:
        """A layer's matrix and bias."""
        matrix = self._transposed(f"{name}.weight")
        return self.add("Add", self.add("MatMul", vectors, matrix), self.weight(f"{name}.bias"))

    def norm(self, vectors: str, name: str, epsilon: float = 1e-5) -> str:
        """Layer normalisation of the last axis."""
        parts = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", vectors, *parts, axis=-1, epsilon=epsilon)

    def model(
        self, source: tuple[str, int, Sequence[str | int]], result: str, output: str, width: int
    ) -> onnx.ModelProto:
        """The model, checked.

        Args:
            source: Name, type and shape of its input.
            result: Name of what is computed, shape (source's first axis, width).
            output: Name that it gets.
        """
        self.nodes.append(helper.make_node("Identity", [result], [output]))
        graph = helper.make_graph(
            self.nodes,
            output,
            [helper.make_tensor_value_info(*source)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [source[2][0], width])],
            list(self.constants.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="avatar-optuna")
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model

    def _transposed(self, name: str) -> str:
        tensor = self.weights.tensors[name]
        if tensor.dtype == np.float32:
            return self._store(f"{name}.T", np.ascontiguousarray(tensor.T))
        return self.add("Transpose", self.weight(name), perm=[1, 0])

    def _float32(self, name: str, take: Callable[[str], str]) -> str:
        """What `take` gives of a tensor and of its scales, multiplied with each other in float32."""
        if self.weights.tensors[name].dtype == np.float32:
            return take(name)
        numbers, scaled = take(name), f"{name}.scale"
        if scaled not in self.weights.tensors:
            return self._cast(numbers)
        scale, columns = self._cast(take(scaled)), self.weights.columns.get(name)
        if columns is None:  # int8: a scale for each row
            return self.add("Mul", self._cast(numbers), self.add("Unsqueeze", scale, self.constant([-1])))
        groups = self._by_column("groups", columns, lambda column: column // GROUP_SIZE)
        return self.add("Mul", self._halves(numbers, columns), self.add("Gather", scale, groups, axis=-1))

    def _halves(self, packed: str, columns: int) -> str:
        """The weights of bytes (..., columns / 2), from -8 to 7, in float32: the lower half of a byte is the first."""
        pairs = self.add("Gather", packed, self._by_column("bytes", columns, lambda column: column // 2), axis=-1)
        shifts = self._by_column("shifts", columns, lambda column: (column % 2 * 4).astype(np.uint8))
        halves = self.add("BitShift", pairs, shifts, direction="RIGHT")
        numbers = self._cast(self.add("BitwiseAnd", halves, self.constant(15, np.uint8)))
        return self.add("Sub", numbers, self.constant(8.0, np.float32))

    def _by_column(self, name: str, columns: int, value: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> str:
        return self._store(f"{name}_of_{columns}", value(np.arange(columns, dtype=np.int32)))

    def _cast(self, numbers: str) -> str:
        return self.add("Cast", numbers, to=TensorProto.FLOAT)

    def _stored(self, name: str) -> str:
        return self._store(name, self.weights.tensors[name])

    def _store(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(value, name))
        return name


def encoder(student: NumpyStudent, *, is_float32: bool = False) -> onnx.ModelProto:
    """`input_ids` (functions, tokens), int64, to `vectors` (functions, k).

    Args:
        is_float32: Whether weights stand in the graph in float32, and not as they are stored.
    """
    graph = Graph(StoredWeights.of(student, is_float32=is_float32))
    if isinstance(student, HashedStudent):
        result, width = _hashed(graph, student), len(student.weights["norm.bias"])
    else:
        assert isinstance(student, TransformerStudent)
        result, width = _transformer(graph, student), int(student.config["hidden_size"])
    return graph.model(("input_ids", TensorProto.INT64, ["functions", "tokens"]), result, "vectors", width)


def head(student: NumpyStudent, *, is_float32: bool = False) -> onnx.ModelProto:
    """`joined` (inputs, arity k) to `logits` (inputs, labels); `is_float32` as in `encoder`."""
    graph, joined = Graph(StoredWeights.of(student, is_float32=is_float32)), "joined"
    width = student.weights["classifier.dense.weight"].shape[1]
    is_symmetric = isinstance(student, HashedStudent) or student.config.get("pair_head") == "symmetric"
    if is_symmetric and student.arity == 2:
        first, second = (_half(graph, start, width // 2) for start in (0, width // 2))
        difference = graph.add("Abs", graph.add("Sub", first, second))
        joined = graph.add("Concat", difference, graph.add("Mul", first, second), axis=1)
    is_rectified = isinstance(student, HashedStudent) or (is_symmetric and student.arity == 2)
    activation = "Relu" if is_rectified else "Tanh"
    inner = graph.add(activation, graph.linear(joined, "classifier.dense"))
    logits = graph.linear(inner, "classifier.out_proj")
    return graph.model(("joined", TensorProto.FLOAT, ["inputs", width]), logits, "logits", len(student.label_names))


def _half(graph: Graph, start: int, width: int) -> str:
    return graph.add("Slice", "joined", *(graph.constant([value]) for value in (start, start + width, 1)))


def _hashed(graph: Graph, student: HashedStudent) -> str:
    places = graph.add("Max", graph.add("Sub", "input_ids", graph.constant(FIRST_ID)), graph.constant(0))
    is_gram = graph.add("GreaterOrEqual", "input_ids", graph.constant(FIRST_ID))  # (n, t)
    levels = graph.add("Cast", graph.add("Mod", places, graph.constant(MAX_COUNT)), to=TensorProto.FLOAT)
    logarithms = graph.add("Log", graph.add("Add", levels, graph.constant(2.0, np.float32)))
    weights = graph.add("Mul", logarithms, graph.add("Cast", is_gram, to=TensorProto.FLOAT))  # (n, t)
    rows = graph.rows("table.weight", graph.add("Div", places, graph.constant(MAX_COUNT)))
    total = graph.add("ReduceSum", weights, graph.constant([1]), keepdims=1)  # (n, 1)
    sums = graph.add("MatMul", graph.add("Unsqueeze", weights, graph.constant([1])), rows)  # (n, 1, w)
    least = graph.add("Max", total, graph.constant(1e-6, np.float32))
    pooled = graph.add("Div", graph.add("Squeeze", sums, graph.constant([1])), least)
    if student.config["pooling"] == "mean+max":
        lowest, nothing = graph.constant(-3e38, np.float32), graph.constant(0.0, np.float32)
        masked = graph.add("Where", graph.add("Unsqueeze", is_gram, graph.constant([2])), rows, lowest)
        highest = graph.add("ReduceMax", masked, graph.constant([1]), keepdims=0)
        known = graph.add("Where", graph.add("Greater", total, nothing), highest, nothing)
        pooled = graph.add("Concat", pooled, known, axis=1)
    vectors = graph.norm(pooled, "norm")
    for layer in range(student.config["num_hidden_layers"]):
        inner = graph.add("Relu", graph.linear(graph.norm(vectors, f"layers.{layer}.norm"), f"layers.{layer}.dense"))
        vectors = graph.add("Add", vectors, graph.linear(inner, f"layers.{layer}.output"))
    return vectors


def _transformer(graph: Graph, student: TransformerStudent) -> str:
    prefix, epsilon = "roberta.embeddings", float(student.config["layer_norm_eps"])
    is_padding = graph.add("Equal", "input_ids", graph.constant(_PAD_ID))  # (n, t)
    vectors = graph.rows(f"{prefix}.word_embeddings.weight", "input_ids")  # (n, t, w)
    vectors = graph.add("Add", vectors, graph.rows(f"{prefix}.token_type_embeddings.weight", graph.constant(0)))
    if student.positions == "absolute":
        real = graph.add("Cast", graph.add("Not", is_padding), to=TensorProto.INT64)
        counted = graph.add("Mul", graph.add("CumSum", real, graph.constant(1)), real)
        places = graph.add("Add", counted, graph.constant(_POSITION_OFFSET - 1))
        vectors = graph.add("Add", vectors, graph.rows(f"{prefix}.position_embeddings.weight", places))
    vectors = graph.norm(vectors, f"{prefix}.LayerNorm", epsilon)
    hidden = graph.add("Unsqueeze", is_padding, graph.constant([1, 2]))  # (n, 1, 1, t)
    bias = graph.add("Where", hidden, graph.constant(-3e38, np.float32), graph.constant(0.0, np.float32))
    for layer in range(student.config["num_hidden_layers"]):
        name = f"roberta.encoder.layer.{layer}"
        mixed = _attention(graph, student, vectors, bias, f"{name}.attention.self")
        mixed = graph.add("Add", graph.linear(mixed, f"{name}.attention.output.dense"), vectors)
        vectors = graph.norm(mixed, f"{name}.attention.output.LayerNorm", epsilon)
        inner = _activation(graph, graph.linear(vectors, f"{name}.intermediate.dense"), student.config["hidden_act"])
        mixed = graph.add("Add", graph.linear(inner, f"{name}.output.dense"), vectors)
        vectors = graph.norm(mixed, f"{name}.output.LayerNorm", epsilon)
    return graph.add("Gather", vectors, graph.constant(0), axis=1)  # the first token's


def _attention(graph: Graph, student: TransformerStudent, vectors: str, bias: str, name: str) -> str:
    width, heads = int(student.config["hidden_size"]), int(student.config["num_attention_heads"])
    apart, joined = graph.constant([0, 0, heads, width // heads]), graph.constant([0, 0, width])
    query, key, value = (
        graph.add("Transpose", graph.add("Reshape", graph.linear(vectors, f"{name}.{part}"), apart), perm=[0, 2, 1, 3])
        for part in ("query", "key", "value")
    )  # (n, h, t, d) each
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
    if student.positions != "absolute":
        table = graph.rows(f"{name}.distance_embedding.weight", _distances(graph, student, name))
        scores = graph.add("Add", scores, graph.add("Einsum", query, table, equation="nhld,lrd->nhlr"))
        if student.positions == "relative_key_query":
            scores = graph.add("Add", scores, graph.add("Einsum", key, table, equation="nhrd,lrd->nhlr"))
    scaled = graph.add("Mul", scores, graph.constant((width // heads) ** -0.5, np.float32))
    weights = graph.add("Softmax", graph.add("Add", scaled, bias), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    return graph.add("Reshape", mixed, joined)


def _distances(graph: Graph, student: TransformerStudent, name: str) -> str:
    """Rows (t, t) of the table of distances."""
    middle = len(student.weights[f"{name}.distance_embedding.weight"]) // 2
    tokens = graph.add("Squeeze", graph.add("Shape", "input_ids", start=1, end=2), graph.constant([0]))
    places = graph.add("Range", graph.constant(0), tokens, graph.constant(1))
    distances = graph.add("Sub", graph.add("Unsqueeze", places, graph.constant([1])), places)
    return graph.add("Add", distances, graph.constant(middle))


def _activation(graph: Graph, values: str, kind: str) -> str:
    if kind == "relu":
        return graph.add("Relu", values)
    if kind == "silu":
        return graph.add("Mul", values, graph.add("Sigmoid", values))
    return graph.add("Gelu", values, approximate="tanh" if kind == "gelu_new" else "none")
