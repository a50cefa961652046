"""Classifiers that read both functions of a pair in one input: they know no vector of a function on its own."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avatar_optuna.distillation._classifier import Classifier, in_halves
from avatar_optuna.distillation._networks import SingleClassifier

_TOKENIZED_AT_ONCE = 4096  # inputs, so that memory stays flat


@dataclass(frozen=True, kw_only=True)
class CrossClassifier(Classifier):
    """A sequence classifier of pairs: `network` is a `SingleClassifier`, both functions share `max_sequence_length`."""

    @property
    def has_vectors(self) -> bool:
        return False

    def prepare(self, functions: Sequence[str]) -> tuple[Tensor | None, ...]:
        """Ids and segments (n, t) of pairs that stand one after another in `functions` (2 n).

        A segment is 0 for padding, and otherwise 1 more than the token's type: 1 or 2 where a model tells both
        functions apart by it.
        """
        return self._padded(self._tokenized(functions[0::2], functions[1::2]))

    def full_input(self) -> tuple[Tensor | None, ...]:
        """One input of both functions at full length."""
        return self._filled(1)

    @torch.inference_mode()
    def forward(self, *prepared: Tensor | None) -> Tensor:
        """Logits (n, labels) of prepared pairs."""
        ids, segments = prepared
        assert ids is not None
        segments = torch.ones_like(ids) if segments is None else segments
        return read_together(self.network, ids, segments, has_types=self._has_types)

    def encode(self, functions: Sequence[str], *, batch_size: int = 32) -> npt.NDArray[np.float32]:
        raise TypeError("a classifier that reads both functions in one input has no vectors of functions")

    def predict_logits(
        self, functions: Sequence[str], inputs: npt.NDArray[np.integer[Any]], *, batch_size: int = 32
    ) -> npt.NDArray[np.float32]:
        """Logits (m, labels) of pairs, given as places in `functions`, shape (m, 2), in batches of like length."""
        logits = np.zeros((len(inputs), self.task_shape.num_labels), dtype=np.float32)
        for start in range(0, len(inputs), _TOKENIZED_AT_ONCE):
            part = inputs[start : start + _TOKENIZED_AT_ONCE]
            logits[start : start + len(part)] = self._logits_of(functions, part, batch_size)
        return logits

    def _logits_of(
        self, functions: Sequence[str], inputs: npt.NDArray[np.integer[Any]], batch_size: int
    ) -> npt.NDArray[np.float32]:
        first, second = ([functions[place] for place in column] for column in inputs.T.tolist())
        rows = self._tokenized(first, second)

        def answers(places: npt.NDArray[np.int64]) -> Tensor:
            return self.forward(*self._padded([rows[place] for place in places])).float()

        order = np.argsort([-len(ids) for ids, _ in rows], kind="stable")
        chunks = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        logits = torch.cat([in_halves(answers, chunk, "one pair's logits") for chunk in chunks]).cpu().numpy()
        return logits[np.argsort(order)]

    @property
    def _has_types(self) -> bool:
        """Whether the model is told which tokens are of the second function."""
        model = self.network.model
        is_read = "token_type_ids" in inspect.signature(model.forward).parameters
        return is_read and getattr(model.config, "type_vocab_size", 0) > 1

    def _tokenized(self, firsts: Sequence[str], seconds: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Ids and segments of each pair, cut at the longer function first."""
        encoded = self.tokenizer(
            list(firsts),
            list(seconds),
            truncation="longest_first",
            max_length=self.max_sequence_length,
            return_token_type_ids=True,
            split_special_tokens=True,
        )
        types = encoded["token_type_ids"]
        return [(ids, [1 + kind for kind in kinds]) for ids, kinds in zip(encoded["input_ids"], types, strict=True)]

    def _padded(self, rows: Sequence[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        longest = max(len(ids) for ids, _ in rows)
        ids = np.full((len(rows), longest), pad, dtype=np.int64)
        segments = np.zeros((len(rows), longest), dtype=np.int64)
        for row, (own_ids, own_segments) in enumerate(rows):
            ids[row, : len(own_ids)], segments[row, : len(own_ids)] = own_ids, own_segments
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(segments).to(self.device)


def read_together(network: SingleClassifier, ids: Tensor, segments: Tensor, *, has_types: bool) -> Tensor:
    """Logits (n, labels) of inputs (n, t) whose segments tell padding and both functions apart."""
    more = {"token_type_ids": (segments - 1).clamp_min(0)} if has_types else {}
    logits: Tensor = network.model(ids, attention_mask=(segments > 0).long(), **more).logits
    return logits if network.order is None else logits[:, network.order]
