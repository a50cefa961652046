"""Exported students run in processes that cannot import this package, torch, transformers or safetensors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avatar_optuna.students import FAMILIES, Configuration

BLOCKED = ("avatar_optuna", "optuna", "torch", "transformers", "safetensors", "sklearn", "scipy")

_PRELUDE = """
import json, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is not to be had here")
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
given = json.load(sys.stdin)
"""


def run_alone(code: str, directory: Path, given: Any, *, blocked: Sequence[str] = BLOCKED) -> Any:
    """What code prints as JSON in an isolated process; it finds `given`, and `directory` on its path."""
    prelude = _PRELUDE.format(blocked=set(blocked))
    command = [sys.executable, "-I", "-c", prelude + code, str(directory)]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hashed_student(**values: Any) -> Configuration:
    """A small student of the family `hashed`, of these values."""
    given = {
        "grams": "token-bigrams",
        "buckets": 300,
        "width": 14,
        "pooling": "mean+max",
        "num_hidden_layers": 2,
        "intermediate_size": 24,
        "hidden_dropout_prob": 0.1,
        "max_sequence_length": 20,
        "learning_rate": 1e-2,
        "batch_size": 8,
    }
    return FAMILIES.get("hashed").configure(**{**given, **values})


def transformer_student(**values: Any) -> Configuration:
    """A small student of the family `transformer`, of these values."""
    given = {
        "tokenizer": "BPE",
        "vocab_size": 200,
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "attention_probs_dropout_prob": 0.1,
        "max_sequence_length": 32,
        "position_embedding_type": "absolute",
        "learning_rate": 1e-3,
        "batch_size": 8,
    }
    return FAMILIES.get("transformer").configure(**{**given, **values})
