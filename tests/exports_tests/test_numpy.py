"""Students that run with NumPy alone: against torch, in processes without this package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports.numpy import FORMAT
from avatar_optuna.inference import load_student
from avatar_optuna.manifest import store_threshold
from avatar_optuna.students import Configuration
from avatar_optuna.testing.exports import FUNCTIONS, check_export_format, random_student
from tests.exports_tests.alone import hashed_student, run_alone, transformer_student
from tests.stranger.bag_of_tokens import BAG_OF_TOKENS

_ODD = ("ü<s> 日本 = '\U0001f600';\t\x0b\x1c x\u00a0y", ";", "a", "<pad></s><mask> [CLS]", "É = é\u2028z ")
STUDENTS = [
    *(hashed_student(grams=grams) for grams in ("tokens", "token-bigrams", "token-trigrams")),
    hashed_student(grams="byte-trigrams", pooling="mean", precision="float16"),
    hashed_student(grams="byte-4-grams", num_hidden_layers=0, precision="int8"),
    hashed_student(grams="byte-5-grams", width=35, pooling="mean", precision="int4"),
    *(
        transformer_student(
            position_embedding_type=positions, hidden_act=activation, tokenizer=tokenizer, precision=precision
        )
        for positions, activation, tokenizer, precision in (
            ("absolute", "gelu", "BPE", "float32"),
            ("absolute", "relu", "Word", "float16"),
            ("relative_key", "silu", "WordPiece", "int8"),
            ("relative_key_query", "gelu_new", "Unigram", "int4"),
        )
    ),
    *(transformer_student(pair_head="symmetric", precision=precision) for precision in ("int8", "float32", "float16")),
]
_ANSWERS = "import student; print(json.dumps(student.load().predict(given).tolist()))"


def _answers(directory: Path, inputs: Sequence[tuple[str, ...]]) -> npt.ArrayLike:
    answers: npt.ArrayLike = run_alone(_ANSWERS, directory, [list(row) for row in inputs])
    return answers


@pytest.mark.parametrize("student", STUDENTS[::3], ids=repr)
def test_it_gives_the_answers_of_its_student(student: Configuration, tmp_path: Path) -> None:
    check_export_format(FORMAT, _answers, tmp_path, hyperparameters=student)


@pytest.mark.parametrize("student", STUDENTS, ids=repr)
def test_vectors_and_cuts_are_those_of_torch_for_odd_texts(student: Configuration, tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=1, hyperparameters=student)
    out = tmp_path / "out"
    out.mkdir()
    FORMAT.write(made, out)
    code = (
        "import student; s = student.load();"
        "print(json.dumps([s.encode(given).tolist(), s.is_truncated(given), s.predict(given).tolist()]))"
    )
    texts = [*FUNCTIONS, *_ODD]
    vectors, cuts, probabilities = run_alone(code, out, texts)
    torch_student = load_student(made.files, runtime="torch")
    np.testing.assert_allclose(vectors, torch_student._runtime.encode(texts), rtol=1e-5, atol=5e-5)
    assert cuts == torch_student.is_truncated(texts)
    expected = [answer.probabilities for answer in torch_student.predict(texts)]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_more_than_two_labels(tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=1, hyperparameters=hashed_student(), num_labels=4)
    out = tmp_path / "out"
    out.mkdir()
    FORMAT.write(made, out)
    code = "import student; s = student.load(); rows = s.predict(given); print(json.dumps([s.label(r) for r in rows]))"
    labels = run_alone(code, out, FUNCTIONS)
    assert labels == [answer.label for answer in load_student(made.files).predict(FUNCTIONS)]


@pytest.mark.parametrize("arity", [1, 2])
def test_its_command_line(arity: int, tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=arity, hyperparameters=hashed_student())
    probability = load_student(made.files).predict([FUNCTIONS[2 : 2 + arity]])[0].probabilities[1]
    store_threshold(made.files, max(probability - 1e-4, 0.0))
    out = tmp_path / "out"
    out.mkdir()
    FORMAT.write(made, out)
    names = []
    for text in FUNCTIONS[2 : 2 + arity]:
        names.append(str(tmp_path / f"{len(names)}.c"))
        Path(names[-1]).write_text(text)

    def run(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(out / "student.py"), *words]
        return subprocess.run(command, input=text, capture_output=True, text=True)

    done = run(*names)
    assert done.stdout == f"1 yes  {probability:.3f}  {' '.join(names)}\n"
    assert run("-", *names[1:], text=FUNCTIONS[2]).stdout.startswith(f"1 yes  {probability:.3f}  -")
    assert run().returncode == 2
    assert "python student.py FILE" in run().stderr


def test_the_example_of_its_card_runs(tmp_path: Path) -> None:
    for arity in (1, 2):
        made = random_student(tmp_path, arity=arity, hyperparameters=hashed_student())
        out = tmp_path / str(arity)
        out.mkdir()
        FORMAT.write(made, out)
        card = (out / "README.md").read_text()
        (code,) = [part.split("```")[0] for part in card.split("```python\n")[1:]]
        done = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0].split()[0] in ("no", "yes")
        assert "the first 20 distinct n-grams are read" in card


def test_a_family_without_a_runtime_is_refused(tmp_path: Path) -> None:
    small = {"vocab_size": 200, "width": 8, "depth": 1, "max_sequence_length": 32, "learning_rate": 1e-2}
    made = random_student(tmp_path, arity=1, hyperparameters=BAG_OF_TOKENS.configure(**small, batch_size=8))
    with pytest.raises(InputError, match="numpy needs a family with a runtime, bag-of-tokens has none"):
        FORMAT.write(made, tmp_path)
