"""Students of pairs for `scan`, learnt from groups of functions that do the same: all pairs of a batch are known.

    python -m benchmarks.scan_students python-clones|leetcode-clones --out DIR [--seed N]

`python-clones` takes the rewrites of the built-in task: rewrites of one function are a group. `leetcode-clones` takes
the Python solutions of `../shared/data/leetcode-clones`: solutions of one problem are a group. The teacher is what is
known of the groups, through the engine that distils every student: of each pair in a batch it says whether both are of
one group. Prints balanced accuracy on the listed pairs of validation and test, which look alike on purpose, and the
area under the ROC curve.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import roc_auc_score
from torch import Tensor

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Teacher, distil
from avatar_optuna.distillation._recipe import SoftLabels
from avatar_optuna.inference import load_student
from avatar_optuna.settings import DistillationSettings, TaskSettings
from avatar_optuna.students import FAMILIES
from avatar_optuna.tasks import Split, Task, accuracies, load_task
from benchmarks.headline import SHARED

_SURE = 20.0  # the logit of what is known


class GroupTeacher(Teacher):
    """Says of any two training functions whether they are of one group."""

    def __init__(self, task: Task, groups: npt.NDArray[np.int64], source: str) -> None:
        known = {name: _logits(torch.from_numpy(task.splits[name].labels)).numpy() for name in ("train", "valid")}
        super().__init__(source=source, fingerprint=task.fingerprint, task=task, classifier=None, soft_labels=known)
        self._groups = torch.from_numpy(groups).float()[:, None]

    def soft_labels(self, device: str, views: Sequence[str] = ()) -> SoftLabels:
        """The groups as vectors, and equality as head."""
        logits = torch.from_numpy(self.logits("train")).to(device)
        return SoftLabels(logits=logits, vectors=self._groups.to(device), classify=_are_of_one_group)


def _are_of_one_group(joined: Tensor) -> Tensor:
    return _logits((joined[:, 0] == joined[:, 1]).long())


def _logits(labels: Tensor) -> Tensor:
    sign = labels.float() * 2 - 1
    return torch.stack([-sign, sign], dim=1) * (_SURE / 2)


def groups_of(split: Split) -> npt.NDArray[np.int64]:
    """The group of each function: those that pairs of label 1 connect."""
    pairs = split.inputs[split.labels == 1]
    count = len(split.functions)
    edges = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.int64)


def read_leetcode(folder: Path) -> Task:
    """The lists of Python pairs."""
    rows = [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]
    texts = {row["idx"]: row["func"] for row in rows}
    splits = {}
    for name in ("train", "valid", "test"):
        places: dict[str, int] = {}
        lines = [line.split("\t") for line in (folder / f"{name}.txt").read_text().splitlines()]
        inputs = [[places.setdefault(idx, len(places)) for idx in line[:2]] for line in lines]
        splits[name] = Split(
            functions=tuple(texts[idx] for idx in places),
            inputs=np.asarray(inputs, dtype=np.int32),
            labels=np.asarray([int(line[2]) for line in lines], dtype=np.int64),
        )
    shape = TaskShape(arity=2, num_labels=2)
    return Task(kind="leetcode-clones", shape=shape, language="python", label_names=("different", "clone"), **splits)


def read(name: str) -> Task:
    """A task by its name."""
    if name == "leetcode-clones":
        return read_leetcode(SHARED / "data/leetcode-clones")
    return load_task(TaskSettings(kind=name, max_train=8_000, max_valid=800, max_test=800), cache_dir=None)


def train(task: Task, out: Path, *, seed: int, epochs: int, batch_size: int, values: dict[str, object]) -> None:
    """Distil a hashed student of groups into a new directory."""
    student = FAMILIES.get("hashed").configure(
        **{
            "grams": "token-bigrams",
            "buckets": 8_192,
            "width": 24,
            "pooling": "mean+max",
            "num_hidden_layers": 1,
            "intermediate_size": 64,
            "hidden_dropout_prob": 0.1,
            "max_sequence_length": 1_024,
            "learning_rate": 1e-2,
            "batch_size": batch_size,
            **values,
        }
    )
    teacher = GroupTeacher(task, groups_of(task.train), f"groups of {task.kind}")
    settings = DistillationSettings(epochs=epochs, token_dropout_prob=0.1, temperature=1.0, seed=seed)
    trained = distil(
        hyperparameters=student,
        task=task,
        teacher=teacher,
        settings=settings,
        out_dir=out,
        on_epoch=lambda record: print(f"epoch {record.epoch}: {record.valid['balanced_accuracy']:.3f}", flush=True),
    )
    print(f"{trained.size_bytes:,} bytes, best epoch {trained.best_epoch}, {trained.seconds:.0f} s")


def measure(task: Task, directory: Path) -> None:
    """Print the figures of validation and test."""
    student = load_student(directory)
    for name in ("valid", "test"):
        split = task.splits[name]
        pairs = [(split.functions[first], split.functions[second]) for first, second in split.inputs.tolist()]
        values = np.asarray([answer.probabilities[1] for answer in student.predict(pairs)])
        figures = accuracies((values >= 0.5).astype(np.int64), split.labels)
        auc = roc_auc_score(split.labels, values)
        print(f"{name}: balanced accuracy {100 * figures['balanced_accuracy']:.1f} %, AUC {auc:.3f}")


def main() -> None:
    """Train a student, and print what it reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("python-clones", "leetcode-clones"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--set", type=json.loads, default={}, metavar="JSON", help="hyperparameters")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    task = read(options.task)
    train(
        task,
        options.out,
        seed=options.seed,
        epochs=options.epochs,
        batch_size=options.batch_size,
        values=options.set,
    )
    measure(task, options.out)


if __name__ == "__main__":
    main()
