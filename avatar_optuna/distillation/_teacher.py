"""What students learn from: a model, or the answers of one, and what it says of each split, computed once."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from avatar_optuna.distillation._classifier import Classifier, classify_all
from avatar_optuna.distillation._recipe import SoftLabels
from avatar_optuna.distillation._training import EVALUATION_BATCH
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import cached
from avatar_optuna.tasks import Task

logger = logging.getLogger(__name__)


class Teacher:
    """What students learn from.

    Args:
        source: What the study file named, such as "checkpoint: /models/codebert".
        fingerprint: SHA-256 over what its answers depend on.
        classifier: The model, or None where only its soft labels are known.
        soft_labels: Logits by split, where there is no model.
        cache_dir: For function vectors; None keeps them in memory alone.
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
    ) -> None:
        self.source = source
        self.fingerprint = fingerprint
        self.task = task
        self.classifier = classifier
        self._cache_dir = cache_dir
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        self._logits = {name: self._checked(logits, name) for name, logits in (soft_labels or {}).items()}

    def vectors(self, split_name: str) -> npt.NDArray[np.float32] | None:
        """Vectors (functions, k) of a split's functions, computed once and cached; None where there is no model."""
        if self.classifier is None:
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
            vectors = self.vectors(split_name)
            if vectors is None or self.classifier is None:
                raise InputError(f"teacher {self.source}: it has no soft labels for the {split_name} split")
            on_device = torch.from_numpy(vectors).to(self.classifier.device)
            logits = classify_all(self.classifier.network, on_device, self.task.splits[split_name].inputs)
            self._logits[split_name] = self._checked(logits.cpu().numpy(), split_name)
        return self._logits[split_name]

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
        logits = torch.from_numpy(self.logits("train")).to(device)
        if self.classifier is None and views:
            raise InputError(f"distillation.views: the teacher must be a model that labels them, got {self.source}")
        if self.classifier is None or (not self.task.shape.is_pair and not views):
            return SoftLabels(logits=logits)
        vectors = self.vectors("train")
        if views:
            name = f"views_{hashlib.sha256(json.dumps(views).encode()).hexdigest()[:32]}"
            vectors = np.concatenate([vectors, self._cached_vectors(self.classifier, name, views)])
        classify = self.classifier.network.to(device).classify
        return SoftLabels(logits=logits, vectors=torch.from_numpy(vectors).to(device), classify=classify)

    def _cached_vectors(self, classifier: Classifier, name: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        batch_size = EVALUATION_BATCH[classifier.device.type]
        if self._cache_dir is None:
            return classifier.encode(texts, batch_size=batch_size)

        def made() -> bytes:
            logger.info("the teacher reads %d functions (%s)", len(texts), name)
            stream = io.BytesIO()
            np.save(stream, classifier.encode(texts, batch_size=batch_size), allow_pickle=False)
            return stream.getvalue()

        path = self._cache_dir / "teachers" / self.fingerprint[:32] / f"vectors_{name}.npy"
        loaded: npt.NDArray[np.float32] = np.load(io.BytesIO(cached(path, made)), allow_pickle=False)
        return loaded
