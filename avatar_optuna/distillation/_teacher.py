"""What students learn from: a model, or the answers of one, and what it says of each split, computed once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avatar_optuna.cached_rows import cached_rows
from avatar_optuna.decision import Aim, Decision, decide
from avatar_optuna.distillation._classifier import Classifier, classify_all
from avatar_optuna.distillation._recipe import SoftLabels
from avatar_optuna.distillation._training import EVALUATION_BATCH
from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks import Task

logger = logging.getLogger(__name__)

_BATCHES_AT_ONCE = 256  # are tokenized, read and written, however many functions there are
_INPUTS_AT_ONCE = 65_536
_PAIRS_SEED = 0
"""Students of all seeds learn from the same sampled pairs, so that the teacher is asked once."""


class Teacher:
    """What students learn from.

    Args:
        source: What the study file named, such as "checkpoint: /models/codebert".
        fingerprint: SHA-256 over what its answers depend on.
        classifier: The model, or None where only its soft labels are known.
        soft_labels: Logits by split, where there is no model.
        cache_dir: For function vectors, or the logits of a model that has none; None keeps them in memory alone.
        sampled_pairs: Pairs of training functions that a model without vectors is asked about besides the listed ones.
        decision: Its own, which its directory keeps; None where it keeps none.
    """

    def __init__(
        self,
        *,
        source: str,
        fingerprint: str,
        task: Task,
        classifier: Classifier | None,
        soft_labels: dict[str, npt.NDArray[np.float32]] | None = None,
        cache_dir: Path | None = None,
        sampled_pairs: int = 0,
        decision: Decision | None = None,
    ) -> None:
        self.source = source
        self.fingerprint = fingerprint
        self.task = task
        self.classifier = classifier
        self.decision = decision
        self._cache_dir, self._sampled_pairs = cache_dir, sampled_pairs
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        self._logits = {name: self._checked(logits, name) for name, logits in (soft_labels or {}).items()}

    def vectors(self, split_name: str) -> npt.NDArray[np.float32] | None:
        """Vectors (functions, k) of a split's functions, computed once and cached; None where there are none."""
        if self.classifier is None or not self.classifier.has_vectors:
            return None
        if split_name not in self._vectors:
            functions = self.task.splits[split_name].functions
            self._vectors[split_name] = self._cached_vectors(self.classifier, split_name, functions)
        return self._vectors[split_name]

    def logits(self, split_name: str) -> npt.NDArray[np.float32]:
        """Logits (n, labels) of a split's inputs.

        Raises:
            InputError: Only soft labels are known, and not for this split; or a logit is not finite.
        """
        if split_name not in self._logits:
            if self.classifier is None:
                raise InputError(f"teacher {self.source}: it has no soft labels for the {split_name} split")
            split, vectors = self.task.splits[split_name], self.vectors(split_name)
            if vectors is None:
                logits = self._answers(self.classifier, split_name, split.functions, split.inputs)
            else:
                logits = _classified(self.classifier, vectors, split.inputs)
            self._logits[split_name] = self._checked(logits, split_name)
        return self._logits[split_name]

    def has_logits(self, split_name: str) -> bool:
        """Whether `logits` knows the answers for a split."""
        return self.classifier is not None or split_name in self._logits

    def decide(self, aim: Aim | None) -> Decision:
        """How its logits become labels: its own decision, unless there is an aim or it has none; then by validation."""
        if aim is None and self.decision is not None:
            return self.decision
        return decide(self.logits("valid"), self.task.valid.labels, aim)

    def _checked(self, logits: npt.NDArray[np.float32], split_name: str) -> npt.NDArray[np.float32]:
        is_finite = np.isfinite(logits).all(axis=1)
        if not is_finite.all():
            row = int(np.flatnonzero(~is_finite)[0])
            raise InputError(
                f"teacher {self.source}: every logit must be finite, got {logits[row].tolist()} for input {row} of the "
                f"{split_name} split"
            )
        return logits

    def soft_labels(self, device: str, views: Sequence[str] = ()) -> SoftLabels:
        """What the training engine needs of it, on a device.

        Args:
            views: Texts besides the training functions, whose vectors follow theirs.

        Raises:
            InputError: There are views, and only soft labels are known.
        """
        logits, vectors = torch.from_numpy(self.logits("train")).to(device), self.vectors("train")
        if vectors is None and views:
            raise InputError(
                f"distillation.views: the teacher must be a model that labels them one by one, got {self.source}"
            )
        if self.classifier is None:
            return SoftLabels(logits=logits)
        if vectors is None:
            return self._with_sampled_pairs(self.classifier, logits)
        if not self.task.shape.is_pair and not views:
            return SoftLabels(logits=logits)
        if views:
            name = f"views_{hashlib.sha256(json.dumps(views).encode()).hexdigest()[:32]}"
            vectors = np.concatenate([vectors, self._cached_vectors(self.classifier, name, views)])
        classify = self.classifier.network.to(device).classify
        return SoftLabels(logits=logits, vectors=torch.from_numpy(vectors).to(device), classify=classify)

    def _with_sampled_pairs(self, classifier: Classifier, logits: Tensor) -> SoftLabels:
        """Logits (n + s, labels) of the listed inputs, and of the sampled pairs behind them."""
        split = self.task.train
        pairs = sample_pairs(split.inputs, len(split.functions), self._sampled_pairs)
        if not len(pairs):
            return SoftLabels(logits=logits)
        answers = self._answers(classifier, f"sampled_{len(pairs)}", split.functions, pairs)
        answered = torch.from_numpy(self._checked(answers, "sampled")).to(logits.device)
        return SoftLabels(logits=torch.cat([logits, answered]), more_inputs=pairs)

    def _answers(
        self, classifier: Classifier, name: str, functions: Sequence[str], inputs: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32]:
        """Logits (m, labels) of inputs, computed once and cached."""

        batch_size = EVALUATION_BATCH[classifier.device.type]
        step = _BATCHES_AT_ONCE * batch_size

        def parts(first: int) -> Iterator[npt.NDArray[np.float32]]:
            logger.info("the teacher reads %d inputs (%s)", len(inputs) - first, name)
            for start in range(first, len(inputs), step):
                yield classifier.predict_logits(functions, inputs[start : start + step], batch_size=batch_size)

        return self._cached(f"logits_{name}", len(inputs), step, parts)

    def _cached_vectors(self, classifier: Classifier, name: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        batch_size = EVALUATION_BATCH[classifier.device.type]
        step = _BATCHES_AT_ONCE * batch_size

        def parts(first: int) -> Iterator[npt.NDArray[np.float32]]:
            logger.info("the teacher reads %d functions (%s)", len(texts) - first, name)
            return classifier.encode_parts(texts[first:], step, batch_size=batch_size)

        return self._cached(f"vectors_{name}", len(texts), step, parts)

    def _cached(
        self, name: str, count: int, step: int, parts: Callable[[int], Iterator[npt.NDArray[np.float32]]]
    ) -> npt.NDArray[np.float32]:
        """Rows that stand in the cache, computed where they do not."""
        if self._cache_dir is None:
            return np.concatenate(list(parts(0)))
        return cached_rows(self._cache_dir / "teachers" / self.fingerprint[:32] / f"{name}.npy", count, step, parts)


def _classified(
    classifier: Classifier, vectors: npt.NDArray[np.float32], inputs: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Logits (m, labels) of inputs (m, f) over vectors (functions, k) that may be more than the device's memory."""
    logits = []
    for start in range(0, len(inputs), _INPUTS_AT_ONCE):
        part = inputs[start : start + _INPUTS_AT_ONCE]
        used, places = np.unique(part, return_inverse=True)
        on_device = torch.from_numpy(vectors[used]).to(classifier.device)
        logits.append(classify_all(classifier.network, on_device, places.reshape(part.shape)).cpu().numpy())
    return np.concatenate(logits)


def sample_pairs(listed: npt.NDArray[np.int32], num_functions: int, count: int) -> npt.NDArray[np.int32]:
    """At most `count` distinct pairs (m, 2) of different functions that are not listed in either order.

    They are a function of the arguments alone.
    """
    if num_functions < 2 or not count:
        return np.empty((0, 2), dtype=np.int32)
    drawn = np.random.default_rng(_PAIRS_SEED).integers(num_functions, size=(2 * count + 64, 2))
    drawn = np.sort(drawn[drawn[:, 0] != drawn[:, 1]], axis=1)
    keys = drawn[:, 0] * num_functions + drawn[:, 1]
    known = np.sort(listed.astype(np.int64), axis=1)
    is_new = ~np.isin(keys, known[:, 0] * num_functions + known[:, 1])
    _, first = np.unique(keys, return_index=True)
    is_first = np.zeros(len(keys), dtype=bool)
    is_first[first] = True
    return drawn[is_new & is_first][:count].astype(np.int32)
