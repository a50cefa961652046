"""Encoders whose vectors are compared: the modules of sentence-transformers, and pairs told by a similarity."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from avatar_optuna.distillation._networks import body_of, quiet
from avatar_optuna.distillation._pooling import pooled

SIMILARITIES = ("cosine", "dot")
ACTIVATIONS: dict[str, type[nn.Module]] = {
    name: getattr(nn, name) for name in ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU")
}
POOLING_KEYS = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "sqrt_mean",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}
"""What sentence-transformers calls the ways of pooling, in the order in which it joins their vectors."""
POOLING_MODES = {
    "cls": "first",
    "mean": "mean",
    "max": "max",
    "lasttoken": "last",
    "mean_sqrt_len_tokens": "sqrt_mean",
    "weightedmean": "weighted_mean",
}
"""What newer versions call them."""


class DenseLayer(nn.Module):
    """A linear layer and an activation after the pooling."""

    def __init__(self, linear: nn.Linear, activation: str) -> None:
        super().__init__()
        self.linear, self.name, self.activation = linear, activation, ACTIVATIONS[activation]()

    def forward(self, vectors: Tensor) -> Tensor:
        return self.activation(self.linear(vectors))  # type: ignore[no-any-return]

    def save(self, directory: Path) -> None:
        """Write it as sentence-transformers does."""
        linear = self.linear
        config = {
            "in_features": linear.in_features,
            "out_features": linear.out_features,
            "bias": linear.bias is not None,
            "activation_function": f"torch.nn.modules.activation.{self.name}",
        }
        if self.name == "Identity":
            config["activation_function"] = "torch.nn.modules.linear.Identity"
        _write(directory / "config.json", config)
        tensors = {f"linear.{key}": value.detach().cpu().contiguous() for key, value in linear.state_dict().items()}
        save_file(tensors, directory / "model.safetensors")


class SentenceEncoder(nn.Module):
    """A transformer, pooling, dense layers, and whether the vectors are brought to length 1."""

    def __init__(
        self,
        model: PreTrainedModel,
        poolings: Sequence[str],
        *,
        dense: Sequence[DenseLayer] = (),
        is_normalized: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.poolings = model, tuple(poolings)
        self.dense, self.is_normalized = nn.ModuleList(dense), is_normalized

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Vectors (n, k) of functions (n, t)."""
        hidden = body_of(self.model)(input_ids, attention_mask=attention_mask).last_hidden_state  # (n, t, w)
        vectors = pooled(hidden, attention_mask, self.poolings)
        for layer in self.dense:
            vectors = layer(vectors)
        return functional.normalize(vectors, dim=-1) if self.is_normalized else vectors

    def save(self, directory: Path, *, similarity: str, max_sequence_length: int) -> None:
        """Write it as sentence-transformers does."""
        with quiet():
            self.model.save_pretrained(directory)
        kinds = [("", "Transformer"), ("Pooling", "Pooling"), *(("Dense", "Dense") for _ in self.dense)]
        kinds += [("Normalize", "Normalize")] if self.is_normalized else []
        modules = [
            {
                "idx": index,
                "name": str(index),
                "path": f"{index}_{name}" if name else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, (name, kind) in enumerate(kinds)
        ]
        for module in modules[1:]:
            (directory / str(module["path"])).mkdir(exist_ok=True)
        _write(directory / "1_Pooling" / "config.json", self._pooling_config())
        for index, layer in enumerate(self.dense, start=2):
            layer.save(directory / f"{index}_Dense")  # type: ignore[operator]
        _write(directory / "modules.json", modules)
        _write(directory / "config_sentence_transformers.json", {"similarity_fn_name": similarity})
        _write(directory / "sentence_bert_config.json", {"max_seq_length": max_sequence_length, "do_lower_case": False})

    def _pooling_config(self) -> dict[str, object]:
        """Of truth values, which every version reads, or of a list where vectors are joined in another order."""
        width = self.model.config.hidden_size
        if self.poolings == tuple(name for name in POOLING_KEYS.values() if name in self.poolings):
            chosen = {key: name in self.poolings for key, name in POOLING_KEYS.items()}
            return {"word_embedding_dimension": width, **chosen}
        names = {name: mode for mode, name in POOLING_MODES.items()}
        return {"embedding_dimension": width, "pooling_mode": [names[name] for name in self.poolings]}


class SimilarityClassifier(nn.Module):
    """Pairs of two labels: the second one is the likelier, the more alike their vectors are.

    Args:
        similarity: "cosine" or "dot".
        scale: Log-odds of the second label for a similarity of 1 above the threshold.
        threshold: The similarity at which both labels are equally likely.
    """

    def __init__(
        self, encoder: SentenceEncoder, similarity: str, *, scale: float = 1.0, threshold: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder, self.similarity = encoder, similarity
        self.scale, self.threshold = scale, threshold

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, k) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        return self.encoder(input_ids, mask)  # type: ignore[no-any-return]

    def similarities(self, joined: Tensor) -> Tensor:
        """Similarities (m,) of joined vectors (m, 2 k)."""
        first, second = joined.float().chunk(2, dim=-1)
        if self.similarity == "cosine":
            return functional.cosine_similarity(first, second, dim=-1)
        return (first * second).sum(dim=-1)

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, 2) of joined vectors (m, 2 k)."""
        logits = self.scale * (self.similarities(joined) - self.threshold)  # (m,)
        return torch.stack([torch.zeros_like(logits), logits], dim=-1)


def fit_odds(similarities: Tensor, labels: Tensor, *, steps: int = 50, ridge: float = 1.0) -> tuple[float, float]:
    """Scale and threshold by which similarities (m,) tell labels (m,) of 0 and 1 apart: a logistic regression.

    Both labels weigh the same; a small ridge keeps the scale finite where the similarities separate them. It is solved
    by Newton's steps.

    Returns:
        Scale, and threshold in units of the similarity; the scale is at least 0.001.
    """
    x, y = similarities.double(), labels.double()
    middle, spread = float(x.mean()), max(float(x.std(unbiased=False)), 1e-9)
    features = torch.stack([(x - middle) / spread, torch.ones_like(x)], dim=1)  # (m, 2)
    counts = torch.stack([(1 - y).sum(), y.sum()]).clamp_min(1.0)
    weights = len(y) / 2 / counts[labels.long()]  # (m,)
    penalty = torch.diag(torch.tensor([ridge, 1e-9], dtype=torch.float64))
    solution = torch.zeros(2, dtype=torch.float64)
    for _ in range(steps):
        odds = torch.sigmoid(features @ solution)  # (m,)
        gradient = features.T @ (weights * (odds - y)) + penalty @ solution
        curvature = (features.T * (weights * odds * (1 - odds))) @ features + penalty
        solution -= torch.linalg.solve(curvature, gradient)
    slope, offset = float(solution[0]), float(solution[1])
    scale = max(slope / spread, 1e-3)
    return scale, middle - offset / scale


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
