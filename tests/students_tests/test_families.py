"""Families: the contract, held by the built-in one and by a stranger's; and a study of a stranger's, run to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from avatar_optuna.distillation import Classifier
from avatar_optuna.exceptions import InputError
from avatar_optuna.schema import Job
from avatar_optuna.space import SearchSpace
from avatar_optuna.storage import open_storage
from avatar_optuna.students import FAMILIES, Hyperparameter
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.testing.students import check_declarations, check_family
from avatar_optuna.view import read_view
from tests.finished_study import write_study
from tests.stranger.bag_of_tokens import BAG_OF_TOKENS, BagOfTokens

SMALL_TRANSFORMERS = {
    "vocab_size": {"low": 200, "high": 500},
    "num_hidden_layers": [1, 2],
    "hidden_size": {"low": 8, "high": 24},
    "intermediate_size": {"low": 8, "high": 32},
    "num_attention_heads": [1, 2, 3],
    "max_sequence_length": {"low": 16, "high": 48},
}
STUDY = """
name = "bags"
[task]
kind = "vulnerability-prediction"
data = "data"
[teacher]
epochs = 1
learning_rate = 1e-3
batch_size = 8
max_sequence_length = 48
[teacher.architecture]
vocab_size = 300
num_hidden_layers = 1
hidden_size = 16
intermediate_size = 32
num_attention_heads = 2
[space]
family = "bag-of-tokens"
vocab_size = { low = 200, high = 400 }
max_sequence_length = [48]
[constraints]
size_mb = "<= 0.08"
width = ">= 6"
[indicator]
samples = 5
epochs = 1
[search]
n_trials = 40
population_size = 20
[distillation]
epochs = 1
students = 2
[measurement]
repeats = 5
audit = false
"""


@pytest.fixture
def bag_of_tokens() -> Iterator[BagOfTokens]:
    FAMILIES.register(BAG_OF_TOKENS.name, BAG_OF_TOKENS)
    yield BAG_OF_TOKENS
    FAMILIES.unregister(BAG_OF_TOKENS.name)


def test_the_transformer_family_keeps_the_contract(tmp_path: Path) -> None:
    check_family(TRANSFORMER, tmp_path, space=SearchSpace.from_mapping(SMALL_TRANSFORMERS), students=3)


def test_a_family_of_another_package_keeps_the_contract(bag_of_tokens: BagOfTokens, tmp_path: Path) -> None:
    check_family(bag_of_tokens, tmp_path)


def test_the_contract_finds_a_formula_that_is_not_that_of_the_network(
    bag_of_tokens: BagOfTokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BagOfTokens, "parameter_terms", lambda self, shape, task_shape: {"table": shape.vocab_size})
    with pytest.raises(AssertionError, match="num_parameters must be that of the network"):
        check_family(bag_of_tokens, tmp_path, students=1)


def test_the_contract_finds_what_distilling_reads_and_a_family_lacks(
    bag_of_tokens: BagOfTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(name: str) -> tuple[Hyperparameter, ...]:
        return tuple(spec for spec in BagOfTokens.hyperparameters if spec.name != name)

    class Lacking(BagOfTokens):
        name = "lacking"
        hyperparameters = without("learning_rate")

    FAMILIES.register("lacking", Lacking())
    try:
        with pytest.raises(AssertionError, match=r"must have \['learning_rate'\]"):
            check_declarations(FAMILIES.get("lacking"))
    finally:
        FAMILIES.unregister("lacking")


def test_a_space_of_another_family_is_stored_with_its_name(bag_of_tokens: BagOfTokens) -> None:
    space = SearchSpace.from_mapping({"family": "bag-of-tokens", "width": [4, 8]})
    stored = json.loads(json.dumps(space.to_dict()))
    assert stored["family"] == "bag-of-tokens"
    assert SearchSpace.from_dict(stored) == space
    with pytest.raises(InputError, match=r"space\.hidden_size: unknown hyperparameter, expected one of vocab_size, "):
        SearchSpace.from_mapping({"family": "bag-of-tokens", "hidden_size": 4})


def test_a_job_of_another_family_reads_back_equal(bag_of_tokens: BagOfTokens, student_values: dict[str, Any]) -> None:
    student = bag_of_tokens.configure(
        vocab_size=200, width=8, depth=1, max_sequence_length=64, learning_rate=1e-2, batch_size=8
    )
    job = Job(key="front/0/1", purpose="front", hyperparameters=student, epochs=2)
    trial = create_trial(
        state=TrialState.WAITING,
        params=student.to_dict(),
        distributions=dict(SearchSpace.default(bag_of_tokens).distributions),
        user_attrs=job.attributes(),
        system_attrs={"fixed_params": student.to_dict()},
    )
    assert Job.from_trial(trial) == job
    transformer = replace(job, hyperparameters=TRANSFORMER.configure(**student_values))
    assert "family" not in transformer.attributes(), "jobs of transformers are stored as before there were families"


def _installed(folder: Path) -> str:
    """A search path on which the stranger's family lies as pip would have installed it; returns the path."""
    metadata = folder / "bag_of_tokens-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bag-of-tokens\nVersion: 1.0\n")
    entry = "bag-of-tokens = bag_of_tokens:BAG_OF_TOKENS"
    (metadata / "entry_points.txt").write_text(f"[avatar_optuna.students]\n{entry}\n")
    source = Path(__file__).parents[1] / "stranger" / "bag_of_tokens.py"
    (folder / "bag_of_tokens.py").write_text(source.read_text(encoding="utf-8"))
    return os.pathsep.join([str(folder), str(Path(__file__).parents[2])])


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_a_study_of_another_package_s_family_runs_to_its_end(bag_of_tokens: BagOfTokens, tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": _installed(tmp_path / "packages"), "OMP_NUM_THREADS": "1"}

    def command(*words: str) -> str:
        line = [sys.executable, "-m", "avatar_optuna", *words]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command("run", "study.toml", "--workers", "1")
    students = read_view(open_storage(f"sqlite:///{tmp_path}/storage/studies.db", create=False), "bags").students
    assert students
    for student in students:
        assert student.hyperparameters.family is bag_of_tokens
        assert student.hyperparameters.width >= 6
        assert student.size_bytes <= 80_000
    rows = json.loads(command("front", "--study-name", "bags", "-f", "json"))
    assert {"vocab_size", "width", "depth"} <= set(rows["students"][0])
    command("export", "--study-name", "bags", "--trial", str(students[0].job), "--out", "student")
    classifier = Classifier.load(tmp_path / "student")
    functions = ["def add(a, b):\n    return a + b", "def sub(a, b):\n    return a - b"]
    logits = classifier.predict_logits(functions, np.asarray([[0], [1]]))
    assert logits.shape == (2, 2)
    assert np.isfinite(logits).all()
