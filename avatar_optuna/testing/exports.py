"""What every export format must do: write files that give, elsewhere, the answers of the student."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import build_student
from avatar_optuna.exports import ExportFormat, StudentToExport
from avatar_optuna.inference import load_student
from avatar_optuna.manifest import write_manifest
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER

FUNCTIONS = (
    "int add(int a, int b) { return a + b; }",
    "int sub(int a, int b) { return a - b; }",
    "void copy(char *to, const char *from) { while ((*to++ = *from++)) ; }",
    "def mean(values):\n    return sum(values) / len(values)\n" * 8,  # longer than the student's window
)

TEMPERATURE = 1.6
"""Of the random students: probabilities are those of their logits divided by it."""

Answers = Callable[[Path, Sequence[tuple[str, ...]]], npt.ArrayLike]
"""Takes an exported directory and inputs; returns the probabilities of the labels, shape (inputs, labels)."""


def random_student(
    folder: Path, *, arity: int, hyperparameters: Configuration | None = None, num_labels: int = 2, **more: Any
) -> StudentToExport:
    """A student with random weights, large enough to give another answer to each input.

    Args:
        folder: Where its files are written, below.
        arity: Functions an input: 1 or 2.
        hyperparameters: Of the student; a small transformer where None.
        num_labels: Labels that it tells apart.
        more: Further entries of its manifest, such as `language`.
    """
    hyperparameters = hyperparameters or TRANSFORMER.configure(
        tokenizer="BPE",
        vocab_size=200,
        num_hidden_layers=2,
        hidden_size=16,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        intermediate_size=32,
        num_attention_heads=2,
        attention_probs_dropout_prob=0.1,
        max_sequence_length=32,
        position_embedding_type="absolute",
        learning_rate=1e-3,
        batch_size=8,
    )
    files, task_shape = folder / f"student-of-{arity}", TaskShape(arity=arity, num_labels=num_labels)
    family, names = hyperparameters.family, ("no", "yes", *(f"label {place}" for place in range(2, num_labels)))
    files.mkdir(parents=True)
    tokenizer = family.make_tokenizer(hyperparameters, FUNCTIONS, None)
    tokenizer.model_max_length = hyperparameters.max_sequence_length
    network = build_student(hyperparameters, task_shape, label_names=names, seed=1)
    for parameter in network.parameters():
        parameter.data.mul_(3 if family is TRANSFORMER else 1.5)  # as initialised, all answers are nearly one half
    family.save_network(network, files)
    tokenizer.save_pretrained(files)
    write_manifest(
        files,
        task_shape=task_shape,
        label_names=names,
        max_sequence_length=hyperparameters.max_sequence_length,
        is_student=True,
        family=family.name,
        hyperparameters=hyperparameters.to_dict(),
        temperature=TEMPERATURE,
        **more,
    )
    return StudentToExport(
        name=f"random-{arity}",
        task_shape=task_shape,
        hyperparameters=hyperparameters,
        files=files,
        card="# A student with random weights\n",
    )


def check_export_format(
    export_format: ExportFormat,
    answers: Answers,
    folder: Path,
    *,
    tolerance: float = 1e-5,
    hyperparameters: Configuration | None = None,
) -> None:
    """Export a student of single functions and one of pairs, and compare the answers of the exported files.

    Args:
        export_format: The format.
        answers: Runs an exported directory as its users would.
        folder: An empty directory.
        tolerance: Largest difference of a probability.
        hyperparameters: Of the student; a small transformer where None.

    Raises:
        AssertionError: The format breaks the contract; the message says how.
    """
    for arity in (1, 2):
        student = random_student(folder, arity=arity, hyperparameters=hyperparameters)
        _check(export_format, answers, folder, student, tolerance)


def _check(
    export_format: ExportFormat, answers: Answers, folder: Path, student: StudentToExport, tolerance: float
) -> None:
    arity = student.task_shape.arity
    inputs = [FUNCTIONS[at : at + arity] for at in range(len(FUNCTIONS) - arity + 1)]
    original = load_student(student.files, runtime="torch")
    expected = np.asarray([answer.probabilities for answer in original.predict(inputs)])
    assert np.ptp(expected[:, 0]) > 10 * tolerance, "the inputs must be told apart for the comparison to mean anything"
    stored = _contents(student.files)
    out = folder / f"{export_format.name}-of-{arity}"
    out.mkdir()
    export_format.write(student, out)
    assert any(path.is_file() for path in out.rglob("*")), f"{export_format.name} wrote no file"
    assert _contents(student.files) == stored, f"{export_format.name} changed the student's own files"
    shutil.rmtree(student.files)  # exported files stand alone
    moved = out.rename(folder / f"moved-{arity}")  # and may be moved
    given = np.asarray(answers(moved, inputs), dtype=np.float64)
    assert given.shape == expected.shape, f"answers must have the shape {expected.shape}, got {given.shape}"
    difference = float(np.abs(given - expected).max())
    assert difference <= tolerance, f"answers must differ by at most {tolerance:g}, they differ by {difference:g}"


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
