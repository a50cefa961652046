"""Directories of Hugging Face's kind, loaded by transformers in processes that cannot import this package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy.typing as npt
import pytest

from avatar_optuna.exports.hf import FORMAT
from avatar_optuna.inference import load_student
from avatar_optuna.students import Configuration
from avatar_optuna.testing.exports import check_export_format, random_student
from tests.exports_tests.alone import BLOCKED, hashed_student, run_alone, transformer_student

OTHERS = tuple(name for name in BLOCKED if name not in ("torch", "transformers", "safetensors", "sklearn", "scipy"))
_LOAD = """
import os, tempfile
os.environ["HF_MODULES_CACHE"] = os.environ["HF_HOME"] = tempfile.mkdtemp()
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from pathlib import Path
directory = sys.argv[1]
options = {"trust_remote_code": True} if Path(directory, "modeling_student.py").is_file() else {"dtype": "float32"}
model = AutoModelForSequenceClassification.from_pretrained(directory, **options).eval()
functions = [function for row in given for function in row]
if hasattr(model, "prepare"):
    batch = model.prepare(functions)
else:
    tokenizer = AutoTokenizer.from_pretrained(directory, **options)
    cut = {"truncation": True, "max_length": 32, "padding": True, "split_special_tokens": True}
    batch = tokenizer(functions, return_tensors="pt", **cut)
with torch.inference_mode():
    logits = model(**batch).logits.double() / json.loads(Path(directory, "avatar.json").read_text())["temperature"]
    print(json.dumps(logits.softmax(dim=-1).tolist()))
"""
_STOCK = [transformer_student(), transformer_student(precision="float16", tokenizer="Unigram")]
_CUSTOM = [
    transformer_student(precision="int4"),
    transformer_student(position_embedding_type="relative_key", precision="int8", pair_head="symmetric"),
    transformer_student(position_embedding_type="relative_key_query", hidden_act="gelu_new"),
    hashed_student(precision="int4"),
    hashed_student(pooling="mean", num_hidden_layers=0, grams="byte-4-grams"),
]


def _answers(directory: Path, inputs: Sequence[tuple[str, ...]]) -> npt.ArrayLike:
    answers: npt.ArrayLike = run_alone(_LOAD, directory, [list(row) for row in inputs], blocked=OTHERS)
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("student", [*_STOCK, *_CUSTOM], ids=repr)
def test_transformers_gives_the_answers_of_the_student(student: Configuration, tmp_path: Path) -> None:
    check_export_format(FORMAT, _answers, tmp_path, hyperparameters=student, tolerance=2e-5)


@pytest.mark.parametrize("student", [_STOCK[0], _CUSTOM[1], _CUSTOM[3]], ids=repr)
def test_this_package_still_loads_it(student: Configuration, tmp_path: Path) -> None:
    for runtime in ("numpy", "torch"):

        def answers(runtime: str, directory: Path, inputs: Sequence[tuple[str, ...]]) -> npt.ArrayLike:
            loaded = load_student(directory, runtime=runtime)  # type: ignore[arg-type]
            return [answer.probabilities for answer in loaded.predict(inputs)]

        (tmp_path / runtime).mkdir()
        check_export_format(FORMAT, partial(answers, runtime), tmp_path / runtime, hyperparameters=student)


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2])
def test_the_card_says_what_loads_it_and_its_example_runs(arity: int, tmp_path: Path) -> None:
    for number, student in enumerate((_STOCK[0], _CUSTOM[3])):
        made = random_student(tmp_path / str(number), arity=arity, hyperparameters=student)
        out = tmp_path / str(number) / "out"
        out.mkdir()
        FORMAT.write(made, out)
        card = (out / "README.md").read_text()
        is_stock = number == 0 and arity == 1
        assert ("It is a RoBERTa classifier" in card) == is_stock
        assert ("trust_remote_code=True" in card) == (not is_stock) == (out / "modeling_student.py").is_file()
        (code,) = [part.split("```")[0] for part in card.split("```python\n")[1:]]
        done = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[0] in ("no", "yes")
