"""Students whose answers are known without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from avatar_optuna.manifest import renew_hashes
from avatar_optuna.testing.exports import random_student
from tests.exports_tests.alone import hashed_student


def clone_student(folder: Path, *, language: str = "python") -> Path:
    """A student of pairs whose margin is 3 less a tenth of the sum of how far two functions' vectors are apart.

    Vectors are random projections of a function's words and word pairs, so the more of them two functions share, the
    higher is the margin.
    """
    student = hashed_student(
        buckets=4_096, width=32, pooling="mean", num_hidden_layers=0, max_sequence_length=512, intermediate_size=8
    )
    made = random_student(folder, arity=2, hyperparameters=student).files
    tensors = load_file(made / "model.safetensors")
    for name in ("classifier.dense", "classifier.out_proj"):
        tensors[f"{name}.weight"] = np.zeros_like(tensors[f"{name}.weight"])
        tensors[f"{name}.bias"] = np.zeros_like(tensors[f"{name}.bias"])
    tensors["classifier.dense.weight"][0, :32] = 1  # of |a - b|
    tensors["classifier.out_proj.weight"][1, 0] = -1 / 10
    tensors["classifier.out_proj.bias"][1] = 3
    save_file(tensors, made / "model.safetensors", {"format": "pt"})
    return _stored(made, language=language, task="clone-detection", label_names=["different", "clone"])


def suspicious_student(folder: Path, *, language: str = "c") -> Path:
    """A student of single functions with random weights."""
    made = random_student(folder, arity=1, hyperparameters=hashed_student(max_sequence_length=512)).files
    return _stored(made, language=language, label_names=["safe", "vulnerable"])


def _stored(made: Path, **values: object) -> Path:
    path = made / "avatar.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    renew_hashes(made)
    return made
