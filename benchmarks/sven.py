"""Functions before and after a fix: models of words as the teacher of `studies/sven_vulnerability.toml`.

    python -m benchmarks.sven --data ../shared/data/sven-vulnerability --out studies/sven_answers

Logistic regressions on TF-IDF of tokens or words, on single functions, or on these and the differences of each function
before and after its fix. The one that orders most pairs of validation right is the teacher; ROC-AUC decides among
equals. It answers for validation and test; for training, five of its kind answer, each for commits that it has not
seen: what a model says of the functions that it was fitted on is their label. Writes `soft_labels_SPLIT.npy`, which
`[teacher] soft_labels` reads. Prints each model on validation, then the chosen one and the baseline on test, once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from avatar_optuna.metrics import Answers, figures
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, Task, baseline_logits, load_task
from benchmarks.headline import SHARED

_PATTERNS = {"tokens": r"[A-Za-z_]\w*|\d+|[^\sA-Za-z\d]", "words": r"[A-Za-z]+|\d+|[^\sA-Za-z\d]"}
_LONGEST = (2, 3, 4)
_INVERSE_RIDGES = (1.0, 10.0, 100.0)
_DIFFERENCE = 5.0  # what a difference of a pair weighs beside a function
_FOLDS = 5
_SHOWN = ("ordered_pairs", "roc_auc", "balanced_accuracy")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A logistic regression on TF-IDF.

    Args:
        pattern: Of `_PATTERNS`: what is counted.
        longest: It and its n-grams up to this length.
        has_differences: Whether the regression also sees the differences of pairs.
        inverse_ridge: scikit-learn's C.
    """

    pattern: str
    longest: int
    has_differences: bool
    inverse_ridge: float

    def logits(self, train: Split, *splits: Split) -> list[npt.NDArray[np.float32]]:
        """Logits (n, 2) of each of the splits by a regression that is fitted on `train`."""
        vectorizer = TfidfVectorizer(analyzer=self.grams(), sublinear_tf=True, max_features=60_000)
        vectors = vectorizer.fit_transform(functions_of(train))
        rows, labels = [vectors], [train.labels]
        if self.has_differences:
            before, after = pairs_of(train)
            difference = _DIFFERENCE * (vectors[before] - vectors[after])
            rows += [difference, -difference]
            labels += [np.ones(len(before), dtype=np.int64), np.zeros(len(before), dtype=np.int64)]
        model = LogisticRegression(C=self.inverse_ridge, max_iter=500)
        model.fit(sparse.vstack(rows), np.concatenate(labels))
        return [two(model.decision_function(vectorizer.transform(functions_of(split)))) for split in splits]

    def grams(self) -> Callable[[str], list[str]]:
        """Splits a text into what is counted."""
        pattern = re.compile(_PATTERNS[self.pattern])

        def analyzed(text: str) -> list[str]:
            parts = pattern.findall(text)
            spans = ((n, i) for n in range(1, self.longest + 1) for i in range(len(parts) - n + 1))
            return [" ".join(parts[i : i + n]) for n, i in spans]

        return analyzed


def functions_of(split: Split) -> list[str]:
    """The text of each input."""
    return [split.functions[place] for place in split.inputs[:, 0]]


def pairs_of(split: Split) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the functions before their fixes, and of those after them, in the same order of fixes."""
    assert split.fixes is not None
    by_fix: list[npt.NDArray[np.int64]] = []
    for label in (1, 0):
        rows = np.flatnonzero((split.labels == label) & (split.fixes >= 0))
        by_fix.append(rows[np.argsort(split.fixes[rows], kind="stable")])
    return by_fix[0], by_fix[1]


def two(odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Logits (n, 2) of log-odds (n,)."""
    return np.stack([np.zeros(len(odds)), odds], axis=1).astype(np.float32)


def unseen_logits(model: Model, task: Task, commits: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Logits (n, 2) of the training split by models that have not seen the commit of a function."""
    logits = np.empty((len(task.train), 2), dtype=np.float32)
    for seen, left_out in GroupKFold(_FOLDS).split(commits, groups=commits):
        (logits[left_out],) = model.logits(task.train.take(seen), task.train.take(left_out))
    return logits


def main() -> None:
    """Select, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(SHARED / "data" / "sven-vulnerability"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    section = {"kind": "vulnerability-prediction", "data": options.data, "pair": "pair"}
    task = load_task(TaskSettings(**section))
    for name, logits in write_answers(section, options.out).items():
        print("chosen", name, shown(figures_of(task.splits[name], logits, task)))
    plain = baseline_logits(task)
    for name in ("valid", "test"):
        print("baseline", name, shown(figures_of(task.splits[name], np.asarray(plain[name]), task)))


def write_answers(section: Mapping[str, Any], folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Logits (n, 2) of each split of a task by the best model, written into a folder too.

    Args:
        section: `[task]`, of data with commits.
        folder: Created.
    """
    task = load_task(TaskSettings(**section))
    groups = load_task(TaskSettings(**section, group="commit")).train.groups
    assert groups is not None
    model = best_of(task)
    valid, test = model.logits(task.train, task.valid, task.test)
    answers = {"valid": valid, "test": test, "train": unseen_logits(model, task, groups[:, 0].astype(np.int64))}
    folder.mkdir(parents=True, exist_ok=True)
    for name, logits in answers.items():
        np.save(folder / f"soft_labels_{name}.npy", logits)
    return answers


def best_of(task: Task) -> Model:
    """The model that orders most pairs of validation right."""
    best: tuple[tuple[float, float], Model] | None = None
    for pattern, longest, has_differences, ridge in product(_PATTERNS, _LONGEST, (False, True), _INVERSE_RIDGES):
        model = Model(pattern=pattern, longest=longest, has_differences=has_differences, inverse_ridge=ridge)
        found = figures_of(task.valid, model.logits(task.train, task.valid)[0], task)
        print(model, shown(found, ("ordered_pairs", "roc_auc")), flush=True)
        rank = (found["ordered_pairs"], found["roc_auc"])
        if best is None or rank > best[0]:
            best = (rank, model)
    assert best is not None
    return best[1]


def figures_of(split: Split, logits: npt.NDArray[Any], task: Task) -> dict[str, Any]:
    """All figures of logits (n, 2)."""
    return figures(Answers(split=split, logits=logits), task.label_names)


def shown(found: Mapping[str, Any], names: Iterable[str] = _SHOWN) -> str:
    """Figures with their intervals."""
    parts = []
    for name in names:
        low, high = found[f"{name}_interval"]
        parts.append(f"{name} {found[name]:.3f} [{low:.3f}, {high:.3f}]")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
