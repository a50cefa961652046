"""Weights of torch networks as files, at any precision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from avatar_optuna.students.quantization import read_weights, rounded, write_weights


def save_weights(network: nn.Module, path: Path, precision: str) -> None:
    """Write the weights of a network at a precision."""
    write_weights(path, {name: _array(value) for name, value in network.state_dict().items()}, precision)


def load_weights(network: nn.Module, path: Path) -> None:
    """Give a network, which may lie on the meta device, the weights of a file.

    Raises:
        RuntimeError: The file has others than the network.
        ValueError: It was not written by `save_weights`.
    """
    weights = {name: torch.from_numpy(value) for name, value in read_weights(path).items()}
    network.load_state_dict(weights, assign=True)


def rounded_weights(network: nn.Module, weights: Sequence[Tensor], precision: str) -> list[Tensor]:
    """Trained weights as they will be read back once they are written at a precision, on their device.

    Args:
        weights: In the order of the parameters that are trained.
    """
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    arrays = {name: _array(value) for name, value in zip(names, weights, strict=True)}
    read = rounded(arrays, precision)
    return [torch.from_numpy(read[name]).to(value.device) for name, value in zip(names, weights, strict=True)]


def _array(value: Tensor) -> npt.NDArray[np.float32]:
    return value.detach().cpu().contiguous().numpy()
