"""The plain competitor: TF-IDF of words and symbols, logistic regression. A teacher should beat it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.tasks._normalized import KEYWORDS
from avatar_optuna.tasks._task import Split, Task

_TOKEN = r"[A-Za-z]+|\d+|[^\sA-Za-z\d]"
_NAME = r"[A-Za-z_$][\w$]*"


def baseline_logits(task: Task, *, names_only: bool = False) -> dict[str, npt.NDArray[np.float64]]:
    """Logits (n, labels) of the inputs of `valid` and `test`, by TF-IDF and a logistic regression fitted on `train`.

    For pairs the regression sees the absolute difference and the product of the two functions' vectors.

    Args:
        names_only: It sees which names stand in a function, and nothing else, instead of words, symbols and their
            bigrams: what it reaches needs no understanding of code.
    """
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    vectorizer = _vectorizer(names_only).fit(task.train.functions)

    def features(split: Split) -> sparse.csr_matrix:
        vectors = vectorizer.transform(split.functions)
        members = [vectors[split.inputs[:, column]] for column in range(task.shape.arity)]
        if len(members) == 1:
            return members[0]
        both = members[0].multiply(members[1])
        return sparse.hstack([abs(members[0] - members[1]), both, both.sum(axis=1)]).tocsr()

    model = LogisticRegression(max_iter=1000).fit(features(task.train), task.train.labels)
    logits = {name: model.decision_function(features(task.splits[name])) for name in ("valid", "test")}
    two = task.shape.num_labels == 2  # then scikit-learn gives the difference alone
    return {name: np.stack([np.zeros(len(own)), own], axis=1) if two else own for name, own in logits.items()}


def baseline_predictions(task: Task, *, names_only: bool = False) -> dict[str, npt.NDArray[np.int64]]:
    """The likeliest labels (n,) of the inputs of `valid` and `test`, by `baseline_logits`."""
    return {name: logits.argmax(axis=1) for name, logits in baseline_logits(task, names_only=names_only).items()}


def groups_predictions(task: Task, groups: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """Labels (n,) of the pairs of `valid` and `test` by a model that knows nothing but groups of functions.

    TF-IDF and a logistic regression tell the groups of the training functions apart; a pair has the label 1 where it
    puts both functions into one group.

    Args:
        groups: The group of each training function, 0 for none, shape (functions,).
    """
    from sklearn.linear_model import LogisticRegression

    vectorizer = _vectorizer(names_only=False).fit(task.train.functions)
    model = LogisticRegression(max_iter=1000).fit(vectorizer.transform(task.train.functions), groups)
    predictions = {}
    for name, split in (("valid", task.valid), ("test", task.test)):
        first, second = model.predict(vectorizer.transform(split.functions))[split.inputs].T
        predictions[name] = ((first == second) & (first > 0)).astype(np.int64)
    return predictions


def _vectorizer(names_only: bool) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    what: dict[str, Any] = {"token_pattern": _TOKEN, "ngram_range": (1, 2)}
    if names_only:
        what = {"token_pattern": _NAME, "stop_words": list(KEYWORDS)}
    return TfidfVectorizer(lowercase=False, max_features=20_000, sublinear_tf=True, **what)


def accuracies(predictions: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and balanced accuracy (mean recall of the labels that occur), as fractions."""
    right = predictions == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls))}
