"""One epoch's whole state in one safetensors file, so that it is there or it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from avatar_optuna.files import replacing

CHECKPOINT_FILE = "checkpoint.safetensors"


class CheckpointStore(Protocol):
    """Where a job's checkpoint outlives the machine; the pool has one over its artifacts."""

    def save(self, directory: Path) -> None:
        """Keep the files of the directory, in place of what was kept before."""

    def load(self, directory: Path) -> bool:
        """Bring the kept files into the directory; False where nothing is kept."""


def write_checkpoint(directory: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and JSON state as one file, atomically."""
    host = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with replacing(directory / CHECKPOINT_FILE) as written:
        save_file(host, written, metadata={"state": json.dumps(state)})


def read_checkpoint(directory: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `write_checkpoint` wrote, or None where there is no checkpoint."""
    path = directory / CHECKPOINT_FILE
    if not path.is_file():
        return None
    with safe_open(path, "pt", device=str(device)) as stored:
        state: dict[str, Any] = json.loads(stored.metadata()["state"])
        return {key: stored.get_tensor(key) for key in stored.keys()}, state  # noqa: SIM118
