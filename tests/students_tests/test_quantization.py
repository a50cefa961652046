"""Weights at a precision: what is read back, how far it is from what was written, and what it weighs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from avatar_optuna.costs import TaskShape, size_bytes
from avatar_optuna.distillation import build_student
from avatar_optuna.students import PRECISIONS, Configuration
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.students.quantization import packed, read_weights, rounded, unpacked, write_weights
from avatar_optuna.students.transformer import TRANSFORMER

Matrix = npt.NDArray[np.float32]
QUANTISED = {"int8": (127, 10**9), "int4": (7, 32)}
"""The largest number of each, and the columns that share a scale."""


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Normal numbers of many orders of magnitude, with rows and groups of zeros among them."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=(rows, columns)) * 10.0 ** draw(st.integers(-6, 4))
    values[rng.random(rows) < 0.2] = 0
    return values.astype(np.float32)


def _scales(matrix: Matrix, precision: str) -> Matrix:
    """The scale of each weight, as stored."""
    scale = packed({"m": matrix}, precision)["m.scale"].astype(np.float32).reshape(len(matrix), -1)
    _, group = QUANTISED[precision]
    return scale[:, np.arange(matrix.shape[1]) // group]


@given(matrix=matrices(), precision=st.sampled_from(sorted(QUANTISED)))
def test_no_weight_moves_by_more_than_half_a_scale(matrix: Matrix, precision: str) -> None:
    scales, largest = _scales(matrix, precision), QUANTISED[precision][0]
    error = np.abs(rounded({"m": matrix}, precision)["m"] - matrix)
    assert (error <= scales * np.float32(0.5 + 1e-4)).all()
    assert (np.abs(matrix) <= largest * scales * np.float32(1 + 1e-6)).all(), "nothing is clipped"
    highest = np.abs(matrix).max()
    assert scales.max() <= max(highest / largest * (1 + 2**-9), 2**-24 + highest / largest), "no scale is too large"


@given(matrix=matrices())
def test_numbers_and_scales_are_those_of_the_definition(matrix: Matrix) -> None:
    halves = packed({"m": matrix}, "int4")["m"]
    scales = _scales(matrix, "int4")
    for row, column in np.ndindex(*matrix.shape):
        byte = int(halves[row, column // 2])
        number = (byte >> 4 if column % 2 else byte & 15) - 8
        assert number == round(float(matrix[row, column] / scales[row, column]))
    assert matrix.shape[1] % 2 == 0 or (halves[:, -1] >> 4 == 8).all(), "the unused half is 0"
    numbers = packed({"m": matrix}, "int8")["m"]
    assert (numbers == np.rint(matrix / _scales(matrix, "int8"))).all()


@settings(max_examples=30)
@given(matrix=matrices(), precision=st.sampled_from(PRECISIONS), size=st.integers(1, 9))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, matrix: Matrix, precision: str, size: int
) -> None:
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    weights = {"layer.weight": matrix, "layer.bias": matrix[0, :size].copy()}
    write_weights(path, weights, precision)
    read, expected = read_weights(path), rounded(weights, precision)
    assert read.keys() == weights.keys()
    for name, value in read.items():
        assert value.dtype == np.float32
        assert (value == expected[name]).all()
    if precision == "float32":
        assert all((read[name] == weights[name]).all() for name in weights)
    bias = weights["layer.bias"]
    assert precision == "float32" or (read["layer.bias"] == bias.astype(np.float16).astype(np.float32)).all()


def test_weights_beyond_half_precision_are_the_largest_that_it_has() -> None:
    weights = {"m": np.asarray([[1e9, -1.0]], dtype=np.float32), "v": np.asarray([-1e9], dtype=np.float32)}
    assert rounded(weights, "float16")["v"][0] == -65504
    assert rounded(weights, "float16")["m"][0].tolist() == [65504, -1]
    for precision, (largest, _) in QUANTISED.items():
        assert rounded(weights, precision)["m"][0, 0] == largest * 65504


def test_a_file_in_float32_is_that_of_earlier_versions(tmp_path: Path) -> None:
    weights = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, dtype=np.float32)}
    write_weights(tmp_path / "now", weights)
    save_file(weights, tmp_path / "before", metadata={"format": "pt"})
    assert (tmp_path / "now").read_bytes() == (tmp_path / "before").read_bytes()


def test_names_types_and_metadata_of_the_file(tmp_path: Path) -> None:
    weights = {"w": np.ones((2, 35), dtype=np.float32), "b": np.ones(3, dtype=np.float32)}
    forms = {}
    for precision in PRECISIONS:
        write_weights(tmp_path / precision, weights, precision)
        tensors = load_file(tmp_path / precision)
        with safe_open(tmp_path / precision, "np") as stored:
            metadata = stored.metadata()
        forms[precision] = ({name: (str(t.dtype), t.shape) for name, t in sorted(tensors.items())}, metadata)
    half, row_scale = ("float16", (3,)), ("float16", (2,))
    assert forms["float32"] == ({"b": ("float32", (3,)), "w": ("float32", (2, 35))}, {"format": "pt"})
    assert forms["float16"][0] == {"b": half, "w": ("float16", (2, 35))}
    assert forms["int8"][0] == {"b": half, "w": ("int8", (2, 35)), "w.scale": row_scale}
    assert forms["int4"][0] == {"b": half, "w": ("uint8", (2, 18)), "w.scale": ("float16", (2, 2))}
    assert forms["int4"][1] == {"format": "pt", "precision": "int4", "columns": '{"w":35}'}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"w.scale": None}, "w must have a scale for each of its 2 rows"),
        ({"w.scale": np.ones(3, dtype=np.float16)}, "w must have a scale for each of its 2 rows"),
        ({"w": np.ones((2, 9), dtype=np.uint8)}, "a matrix of 35 columns must have 18 bytes a row"),
    ],
)
def test_tensors_that_are_not_of_one_precision_are_refused(
    change: dict[str, npt.NDArray[np.generic]], fault: str
) -> None:
    tensors = {**packed({"w": np.ones((2, 35), dtype=np.float32)}, "int4"), **change}
    with pytest.raises(ValueError, match=fault):
        unpacked({k: v for k, v in tensors.items() if v is not None}, "int4", columns={"w": 35})


@st.composite
def hashed_students(draw: st.DrawFn) -> Configuration:
    return HASHED.configure(
        grams="token-bigrams",
        buckets=draw(st.integers(2, 3_000)),
        width=draw(st.integers(1, 70)),
        pooling=draw(st.sampled_from(["mean", "mean+max"])),
        num_hidden_layers=draw(st.integers(0, 3)),
        intermediate_size=draw(st.integers(1, 130)),
        hidden_dropout_prob=0.0,
        max_sequence_length=64,
        learning_rate=1e-2,
        batch_size=32,
        precision=draw(st.sampled_from(PRECISIONS[1:])),
    )


@settings(max_examples=25, deadline=None)
@given(student=hashed_students(), arity=st.sampled_from([1, 2]))
def test_a_file_weighs_at_most_what_the_formula_says_and_hardly_less(
    tmp_path_factory: pytest.TempPathFactory, student: Configuration, arity: int
) -> None:
    folder, task_shape = tmp_path_factory.mktemp("student"), TaskShape(arity=arity)
    HASHED.save_network(build_student(student, task_shape), folder)
    stored, predicted = (folder / "model.safetensors").stat().st_size, size_bytes(student, task_shape)
    tensors = load_file(folder / "model.safetensors")
    assert HASHED.size_terms(student, task_shape)["weights"] == sum(tensor.nbytes for tensor in tensors.values())
    assert stored <= predicted <= stored + 192 + 48 * len(tensors)


def test_only_a_packed_student_is_no_roberta(student_values: dict[str, object]) -> None:
    values = {**student_values, "position_embedding_type": "absolute"}
    stock = {
        precision: build_student(TRANSFORMER.configure(**values, precision=precision), TaskShape(arity=1)).config
        for precision in PRECISIONS
    }
    assert {name: config.is_stock_roberta for name, config in stock.items()} == {
        "float32": True, "float16": True, "int8": False, "int4": False,
    }  # fmt: skip
