"""Students as ONNX graphs, run by onnxruntime in processes that cannot import this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports.onnx import FORMAT, INT8_FORMAT
from avatar_optuna.inference import load_student
from avatar_optuna.students import Configuration
from avatar_optuna.testing.exports import FUNCTIONS, check_export_format, random_student
from tests.exports_tests.alone import BLOCKED, hashed_student, run_alone, transformer_student
from tests.stranger.bag_of_tokens import BAG_OF_TOKENS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

_ODD = ("", ";", "a", "<pad></s><mask>", "ü \U0001f600" * 20)
STUDENTS = [
    hashed_student(precision="int4"),
    hashed_student(pooling="mean", num_hidden_layers=0, grams="byte-4-grams"),
    transformer_student(),
    transformer_student(position_embedding_type="relative_key", hidden_act="silu", pair_head="symmetric"),
    transformer_student(position_embedding_type="relative_key_query", hidden_act="gelu_new"),
    transformer_student(hidden_act="relu"),
    hashed_student(precision="int8", width=35),
    hashed_student(precision="float16"),
    transformer_student(precision="int8", position_embedding_type="relative_key"),
    transformer_student(precision="int4"),
]
LARGER = [
    partial(hashed_student, buckets=4000, width=48, intermediate_size=64),
    partial(transformer_student, vocab_size=1000, hidden_size=66, intermediate_size=130),
]


def _answers(directory: Path, inputs: Sequence[tuple[str, ...]]) -> npt.ArrayLike:
    code = "import student; print(json.dumps(student.load().predict(given).tolist()))"
    answers: npt.ArrayLike = run_alone(code, directory, [list(row) for row in inputs], blocked=(*BLOCKED, "onnx"))
    return answers


@pytest.mark.parametrize("student", STUDENTS, ids=repr)
def test_onnxruntime_gives_the_answers_of_the_student(student: Configuration, tmp_path: Path) -> None:
    check_export_format(FORMAT, _answers, tmp_path, hyperparameters=student)


@pytest.mark.parametrize("student", [STUDENTS[0], STUDENTS[4]], ids=repr)
def test_a_batch_of_functions_of_all_lengths(student: Configuration, tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=1, hyperparameters=student)
    (tmp_path / "out").mkdir()
    FORMAT.write(made, tmp_path / "out")
    texts = [*FUNCTIONS, *_ODD[1:], *(f"x{number} " * number for number in range(1, 40))]
    code = "import student; s = student.load(); print(json.dumps([s.predict(given).tolist(), s.is_truncated(given)]))"
    probabilities, cut = run_alone(code, tmp_path / "out", texts)
    original = load_student(made.files, runtime="torch")
    np.testing.assert_allclose(probabilities, [a.probabilities for a in original.predict(texts)], atol=1e-5)
    assert cut == original.is_truncated(texts)


@pytest.mark.parametrize("student", [hashed_student(buckets=2000), transformer_student()], ids=repr)
def test_eight_bits_are_smaller_and_nearly_the_same(student: Configuration, tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=1, hyperparameters=student)
    sizes, answers = [], []
    for export_format in (FORMAT, INT8_FORMAT):
        out = tmp_path / export_format.name
        out.mkdir()
        export_format.write(made, out)
        sizes.append(sum(path.stat().st_size for path in out.glob("*.onnx")))
        answers.append(np.asarray(_answers(out, [(text,) for text in FUNCTIONS])))
        assert not list(out.glob("*full*"))
    assert sizes[1] < sizes[0]
    np.testing.assert_allclose(*answers, atol=0.1)
    assert not np.array_equal(*answers)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "int4"])
@pytest.mark.parametrize("student", LARGER, ids=["hashed", "transformer"])
def test_the_graphs_are_of_about_the_students_size(
    student: Callable[..., Configuration], precision: str, tmp_path: Path
) -> None:
    made = random_student(tmp_path, arity=2, hyperparameters=student(precision=precision))
    (tmp_path / "out").mkdir()
    FORMAT.write(made, tmp_path / "out")
    size = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.onnx"))
    weights = (made.files / "model.safetensors").stat().st_size
    assert 0.8 * weights < size < 1.1 * weights + 24_000  # a node takes about a hundred bytes


def test_a_graph_holds_no_more_than_it_needs(tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=2, hyperparameters=transformer_student())
    (tmp_path / "out").mkdir()
    FORMAT.write(made, tmp_path / "out")
    for name in ("encode", "classify"):
        graph = onnx.load(tmp_path / f"out/{name}.onnx").graph
        read = {source for node in graph.node for source in node.input}
        assert {constant.name for constant in graph.initializer} <= read
        assert {result for node in graph.node for result in node.output} <= {*read, graph.output[0].name}


def test_another_family_is_refused(tmp_path: Path) -> None:
    small = {"vocab_size": 200, "width": 8, "depth": 1, "max_sequence_length": 32, "learning_rate": 1e-2}
    made = random_student(tmp_path, arity=1, hyperparameters=BAG_OF_TOKENS.configure(**small, batch_size=8))
    with pytest.raises(InputError, match="onnx is for the families hashed and transformer, got bag-of-tokens"):
        FORMAT.write(made, tmp_path)
