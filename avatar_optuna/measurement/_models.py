"""What is timed: a loaded classifier on a task's test inputs, or an architecture with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn

from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement._latency import Run
from avatar_optuna.tasks import Split

_MAX_INPUTS = 64
_CODEBERT_TOKENS = 512

Batch = tuple[Tensor | None, ...]


def classifier_runs(classifier: Classifier, split: Split) -> Callable[[int], Run]:
    """Passes of a classifier over a split's inputs, tokenized beforehand at their real lengths."""

    def make(batch_size: int) -> Run:
        batches = cycle(_prepared(classifier, split, batch_size))
        return lambda: classifier.forward(*next(batches))

    return make


def _prepared(classifier: Classifier, split: Split, batch_size: int) -> list[Batch]:
    """Batches of one size of the first inputs, which are used again where there are too few."""
    batches = []
    for start in range(max(1, min(_MAX_INPUTS, len(split)) // batch_size)):
        rows = [(start * batch_size + offset) % len(split) for offset in range(batch_size)]
        batches.append(classifier.prepare([split.functions[place] for row in rows for place in split.inputs[row]]))
    return batches


class CodebertArchitecture:
    """An encoder of CodeBERT's and GraphCodeBERT's shape (125 M parameters), and no head to speak of.

    Its weights are random: what it costs does not depend on them.
    """

    def __init__(self, device: str) -> None:
        from transformers import RobertaConfig, RobertaModel

        config = RobertaConfig(
            vocab_size=50_265,
            num_hidden_layers=12,
            hidden_size=768,
            intermediate_size=3_072,
            num_attention_heads=12,
            max_position_embeddings=_CODEBERT_TOKENS + 2,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model: nn.Module = RobertaModel(config, add_pooling_layer=False).eval().to(device)
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def runs(self, lengths_of: Classifier, split: Split) -> Callable[[int], Run]:
        """Passes over inputs as long as another classifier's tokenizer makes them (at most 512 tokens)."""
        plain = replace(lengths_of, reader=None)  # gives ids and mask

        def make(batch_size: int) -> Run:
            batches = cycle([self._batch(*batch) for batch in _prepared(plain, split, batch_size)])
            return lambda: self._forward(*next(batches))

        return make

    def _batch(self, ids: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        assert ids is not None
        filled = torch.ones_like(ids) if mask is None else mask.to(torch.long)
        return ids[:, :_CODEBERT_TOKENS].remainder(50_000) + 10, filled[:, :_CODEBERT_TOKENS]

    @torch.inference_mode()
    def _forward(self, ids: Tensor, mask: Tensor) -> Any:
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
