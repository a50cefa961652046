"""A student family as another package would add it: the mean of token vectors, a hidden layer, and a head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, IntDistribution
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avatar_optuna.costs import TaskShape
from avatar_optuna.students import Configuration, Hyperparameter, StudentFamily
from avatar_optuna.students.transformer.tokenizers import train_tokenizer

PAD_TOKEN_ID = 1


class BagNetwork(nn.Module):
    """The mean of the vectors of a function's tokens, through `depth` hidden layers."""

    def __init__(self, sizes: dict[str, int]) -> None:
        super().__init__()
        self.sizes, width = sizes, sizes["width"]
        self.table = nn.Embedding(sizes["vocab_size"], width)
        self.hidden = nn.ModuleList([nn.Linear(width, width) for _ in range(sizes["depth"])])
        self.head = nn.Linear(sizes["arity"] * width, sizes["num_labels"])

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, w) of functions (n, t)."""
        real = (input_ids != PAD_TOKEN_ID).unsqueeze(-1)  # (n, t, 1)
        vectors = (self.table(input_ids) * real).sum(dim=1) / real.sum(dim=1).clamp_min(1)  # (n, w)
        for layer in self.hidden:
            vectors = torch.relu(layer(vectors))  # (n, w)
        return vectors

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors (m, f w)."""
        return self.head(joined)  # type: ignore[no-any-return]


class BagOfTokens(StudentFamily):
    """Four sizes and a step size; its tokens are those of the transformer's BPE."""

    name = "bag-of-tokens"
    hyperparameters = (
        Hyperparameter(name="vocab_size", kind="whole", default=IntDistribution(200, 2_000), low=16, high=50_000,
                       in_formulas=True, is_logarithmic=True, exact_step=50),
        Hyperparameter(name="width", kind="whole", default=IntDistribution(4, 64), low=1, high=4_096,
                       in_formulas=True, in_device_terms=True, is_logarithmic=True, exact_step=4),
        Hyperparameter(name="depth", kind="whole", default=IntDistribution(1, 3), low=1, high=32,
                       in_formulas=True, in_device_terms=True),
        Hyperparameter(name="max_sequence_length", kind="whole", default=IntDistribution(64, 256), low=4, high=4_096,
                       in_device_terms=True, is_logarithmic=True),
        Hyperparameter(name="learning_rate", kind="real", default=CategoricalDistribution((1e-2, 3e-3)), low=1e-8,
                       high=1.0, is_logarithmic=True),
        Hyperparameter(name="batch_size", kind="whole", default=CategoricalDistribution((8, 16)), low=1, high=4_096),
    )  # fmt: skip

    def parameter_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Parameters by part."""
        width = shape.width
        return {
            "table": shape.vocab_size * width,
            "hidden": shape.depth * (width * width + width),
            "head": task_shape.num_labels * (task_shape.arity * width + 1),
        }

    def num_tensors(self, shape: Any) -> Any:
        """The table, two a layer, two of the head."""
        return 3 + 2 * shape.depth

    def flops_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]:
        """Matrix products; sums of vectors are none."""
        width, functions = shape.width, task_shape.arity
        return {
            "hidden": functions * shape.depth * 2 * width * width,
            "head": 2 * functions * task_shape.num_labels * width,
        }

    def make_tokenizer(self, configuration: Configuration, functions: Sequence[str], cache_dir: Path | None) -> Any:
        """BPE, as transformers have it."""
        return train_tokenizer("BPE", configuration.vocab_size, functions, cache_dir)

    def build_network(
        self, configuration: Configuration, task_shape: TaskShape, label_names: Sequence[str] | None = None
    ) -> Any:
        """A network with random weights."""
        sizes = {name: getattr(configuration, name) for name in ("vocab_size", "width", "depth")}
        return BagNetwork({**sizes, "arity": task_shape.arity, "num_labels": task_shape.num_labels})

    def save_network(self, network: Any, directory: Path) -> None:
        """The sizes as JSON beside the weights."""
        (directory / "config.json").write_text(json.dumps(network.sizes))
        weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})

    def load_network(self, directory: Path) -> Any:
        """What `save_network` wrote."""
        network = BagNetwork(json.loads((directory / "config.json").read_text()))
        network.load_state_dict(load_file(directory / "model.safetensors"))
        return network.eval()


BAG_OF_TOKENS = BagOfTokens()
