"""The smallest real study that has everything: trained, searched, distilled and compared in some twenty seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy
from tests.commands import run_command

NAME = "finished"
STUDY = """
name = "NAME"
[task]
kind = "vulnerability-prediction"
data = "data"
[teacher]
epochs = 6
learning_rate = 1e-3
batch_size = 8
max_sequence_length = 64
[teacher.architecture]
vocab_size = 300
num_hidden_layers = 1
hidden_size = 32
intermediate_size = 64
num_attention_heads = 2
[space]
vocab_size = { low = 200, high = 400 }
num_hidden_layers = [1]
hidden_size = [8, 16]
intermediate_size = { low = 16, high = 32 }
num_attention_heads = [1, 2]
max_sequence_length = [48, 64]
hidden_dropout_prob = [0.0, 0.1]
attention_probs_dropout_prob = [0.0, 0.1]
learning_rate = [1e-2, 3e-3]
batch_size = [4, 8]
[constraints]
size_mb = "<= 0.1"
[indicator]
samples = 5
epochs = 2
[search]
n_trials = 60
population_size = 20
rounds = 2
[distillation]
epochs = 4
students = 2
edits = 1
[measurement]
repeats = 5
audit = false
edits = 2
"""


@dataclass(frozen=True, kw_only=True)
class FinishedStudy:
    """Where it is. Tests only read it.

    Args:
        folder: Holds its file, its data, its database and its artifacts.
    """

    folder: Path

    @property
    def url(self) -> str:
        """Of its database."""
        return f"sqlite:///{self.folder}/storage/studies.db"

    @property
    def artifacts(self) -> str:
        """Its artifact store."""
        return str(self.folder / "storage/artifacts")

    def open(self) -> AvatarStudy:
        """The study."""
        return AvatarStudy(open_storage(self.url, create=False), NAME)

    def command(self, *words: str) -> str:
        """What an `avatar-optuna` command prints, run in this process; it must succeed."""
        result = run_command(self.folder, *words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def process(self, *words: str) -> str:
        """What an `avatar-optuna` command prints in a process of its own; it must succeed."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        words = (sys.executable, "-m", "avatar_optuna", *words)
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def write_study(folder: Path, *, name: str = NAME) -> None:
    """A study file and data that a small network learns: functions that free what they use, and some that keep it."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for split, count in (("train", 60), ("valid", 30), ("test", 30)):
        rows = []
        for index in range(count):
            end = "keep(p); " * 8 if index % 2 else "free(p); " * 8
            text = f"int {split}{index}(int n) {{ char *p = malloc({rng.integers(99)}); {end} }}"
            rows.append(json.dumps({"func": text, "target": index % 2}) + "\n")
        (folder / "data" / f"{split}.jsonl").write_text("".join(rows))
    (folder / "study.toml").write_text(STUDY.replace("NAME", name))
