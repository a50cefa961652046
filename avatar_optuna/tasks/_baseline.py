"""The plain competitor: TF-IDF of words and symbols, logistic regression. A teacher should beat it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avatar_optuna.tasks._task import Split, Task

_TOKEN = r"[A-Za-z]+|\d+|[^\sA-Za-z\d]"


def baseline(task: Task) -> dict[str, dict[str, float]]:
    """Accuracy and balanced accuracy, as fractions, of what `baseline_predictions` gives.

    Returns:
        `{"valid": {"accuracy", "balanced_accuracy"}, "test": {...}}`.
    """
    return {name: accuracies(given, task.splits[name].labels) for name, given in baseline_predictions(task).items()}


def baseline_predictions(task: Task) -> dict[str, npt.NDArray[np.int64]]:
    """Labels (n,) of the inputs of `valid` and `test`, by TF-IDF and a logistic regression fitted on `train`.

    For pairs the regression sees the absolute difference and the product of the two functions' vectors.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(
        token_pattern=_TOKEN, lowercase=False, ngram_range=(1, 2), max_features=20_000, sublinear_tf=True
    )
    vectorizer.fit(task.train.functions)

    def features(split: Split) -> sparse.csr_matrix:
        vectors = vectorizer.transform(split.functions)
        members = [vectors[split.inputs[:, column]] for column in range(task.shape.arity)]
        if len(members) == 1:
            return members[0]
        both = members[0].multiply(members[1])
        return sparse.hstack([abs(members[0] - members[1]), both, both.sum(axis=1)]).tocsr()

    model = LogisticRegression(max_iter=1000).fit(features(task.train), task.train.labels)
    return {name: model.predict(features(split)) for name, split in (("valid", task.valid), ("test", task.test))}


def accuracies(predictions: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and balanced accuracy (mean recall of the labels that occur), as fractions."""
    right = predictions == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls))}
