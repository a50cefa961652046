"""What is timed: a loaded classifier on a task's test inputs, or an architecture with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement._latency import Run, cycling, prepared_batches
from avatar_optuna.tasks import Split

CODEBERT: Mapping[str, Any] = {
    "vocab_size": 50_265,
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "intermediate_size": 3_072,
    "num_attention_heads": 12,
}
"""The architecture of CodeBERT and GraphCodeBERT: 125 M parameters; what it costs does not depend on its weights."""
_CODEBERT_TOKENS = 512


def classifier_runs(classifier: Classifier, split: Split) -> Callable[[int], Run]:
    """Passes of a classifier over a split's inputs, tokenized beforehand at their real lengths."""

    def make(batch_size: int) -> Run:
        return cycling([_pass(classifier, ids, mask) for ids, mask in _prepared(classifier, split, batch_size)])

    return make


def _pass(classifier: Classifier, ids: Tensor, mask: Tensor | None) -> Run:
    return lambda: classifier.forward(ids, mask)


def _prepared(classifier: Classifier, split: Split, batch_size: int) -> list[tuple[Tensor, Tensor | None]]:
    batches = []
    for rows in prepared_batches(len(split), batch_size):
        functions = [split.functions[place] for row in rows for place in split.inputs[row]]
        batches.append(classifier.prepare(functions))
    return batches


class CodebertArchitecture:
    """An encoder of CodeBERT's shape with random weights, and no head to speak of.

    Args:
        device: Where it computes.
    """

    def __init__(self, device: str) -> None:
        from transformers import RobertaConfig, RobertaModel

        config = RobertaConfig(**CODEBERT, max_position_embeddings=_CODEBERT_TOKENS + 2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model: nn.Module = RobertaModel(config, add_pooling_layer=False).eval().to(device)
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def runs(self, lengths_of: Classifier, split: Split) -> Callable[[int], Run]:
        """Passes over inputs as long as another classifier's tokenizer makes them (at most 512 tokens)."""

        def make(batch_size: int) -> Run:
            return cycling(
                [
                    self._pass(ids[:, :_CODEBERT_TOKENS], None if mask is None else mask[:, :_CODEBERT_TOKENS])
                    for ids, mask in _prepared(lengths_of, split, batch_size)
                ]
            )

        return make

    def _pass(self, ids: Tensor, mask: Tensor | None) -> Run:
        filled = torch.ones_like(ids) if mask is None else mask.to(torch.long)
        tokens = ids.remainder(50_000) + 10

        @torch.inference_mode()
        def run() -> Any:
            return self.model(input_ids=tokens, attention_mask=filled).last_hidden_state[:, 0]

        return run
