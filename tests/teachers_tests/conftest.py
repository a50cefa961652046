"""Tiny models with random weights, written as people have them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import RobertaConfig

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import train_tokenizer
from avatar_optuna.tasks import Split, Task
from tests.data_flow_tests.oracle import unpack_oracle

SIZES = {
    "vocab_size": 300,
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "type_vocab_size": 1,
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small are slower on many threads, and far slower where the machine is busy."""
    torch.set_num_threads(1)


def roberta_config(**options: Any) -> RobertaConfig:
    return RobertaConfig(**SIZES, max_position_embeddings=66, **options)


def write_tokenizer(folder: Path, task: Task) -> Path:
    """A tokenizer of a task's functions, which keeps letters and white space as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer("BPE", 300, task.train.functions)
    tokenizer.backend_tokenizer.normalizer = None
    tokenizer.save_pretrained(folder)
    return folder


def write_base(folder: Path, task: Task, config: Any = None) -> Path:
    """A base model as a state dict needs it: configuration and tokenizer, no weights."""
    (roberta_config() if config is None else config).save_pretrained(folder)
    return write_tokenizer(folder, task)


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """What published implementations gave for real functions (see the README of the archive).

    Args:
        folder: The unpacked archive.
        outputs: Logits of each checkpoint.
    """

    folder: Path
    outputs: dict[str, Any]

    def checkpoint(self, name: str) -> Path:
        """The `model.bin` of a checkpoint."""
        (path,) = (self.folder / "checkpoints" / name).rglob("model.bin")
        return path

    def base(self, name: str, folder: Path) -> Path:
        """Configuration and tokenizer of a checkpoint, in one folder."""
        shutil.copytree(self.folder / "tokenizer", folder)
        shutil.copy(self.folder / "checkpoints" / name / "config.json", folder)
        return folder

    def task(self, name: str) -> Task:
        """The functions of a checkpoint's logits, with labels that nothing depends on."""
        output = self.outputs[f"{name}/text"]
        is_pair = "pairs" in output
        ids = [function for pair in output["pairs"] for function in pair] if is_pair else output["ids"]
        lines = (self.folder / f"dataflow_{'java' if is_pair else 'c'}.jsonl").read_text(encoding="utf-8").splitlines()
        sources = {row["id"]: row["source"] for row in map(json.loads, lines)}
        inputs = np.arange(len(ids), dtype=np.int32).reshape(-1, 2 if is_pair else 1)
        labels = np.arange(len(inputs), dtype=np.int64) % 2
        split = Split(functions=tuple(sources[one] for one in ids), inputs=inputs, labels=labels)
        shape = TaskShape(arity=inputs.shape[1])
        names = ("no", "yes")
        return Task(kind="oracle", shape=shape, language="c", label_names=names, train=split, valid=split, test=split)


@pytest.fixture(scope="session")
def oracle(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    folder = unpack_oracle(shared, tmp_path_factory.mktemp("oracle"))
    outputs = (folder / "checkpoint_outputs.json").read_text(encoding="utf-8")
    return Oracle(folder=folder, outputs=json.loads(outputs))


MakeTask = Callable[..., Task]
