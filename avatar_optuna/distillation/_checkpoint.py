"""One epoch's whole state in one safetensors file, so that it is there or it is not."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avatar_optuna.files import replacing

logger = logging.getLogger(__name__)

CHECKPOINT_FILE = "checkpoint.safetensors"


class CheckpointStore(Protocol):
    """Where a job's checkpoint outlives the machine; the pool has one over its artifacts."""

    def save(self, directory: Path) -> None:
        """Keep the files of the directory, in place of what was kept before."""

    def load(self, directory: Path) -> bool:
        """Bring the kept files into the directory; False where nothing is kept."""


def write_checkpoint(directory: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and JSON state as one file, atomically."""
    host = moved(tensors, torch.device("cpu"))
    text = json.dumps(state)
    with replacing(directory / CHECKPOINT_FILE) as written:
        save_file(host, written, metadata={"state": text, "sha256": _digest(host, text)})


def read_checkpoint(directory: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `write_checkpoint` wrote, or None where there is no checkpoint, or one that was damaged."""
    path = directory / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stored:
            metadata = stored.metadata()
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        logger.warning("the checkpoint %s is damaged, the training begins anew: %s", path, error)
        return None
    # Checkpoints of earlier versions have no digest.
    if metadata.get("sha256", digest := _digest(tensors, metadata["state"])) != digest:
        logger.warning("the checkpoint %s is damaged, the training begins anew", path)
        return None
    return moved(tensors, device), json.loads(metadata["state"])


def moved(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Tensors on a device, of which those of one type and place travel in one piece.

    A state has hundreds of small tensors, and each copy from or to a GPU waits until the GPU has time for it.
    """
    found = {key: tensor.detach() for key, tensor in tensors.items() if tensor.device == device}
    kinds: dict[tuple[torch.dtype, torch.device], list[str]] = {}
    for key, tensor in tensors.items():
        if key not in found:
            kinds.setdefault((tensor.dtype, tensor.device), []).append(key)
    for keys in kinds.values():
        piece = torch.cat([tensors[key].detach().reshape(-1) for key in keys]).to(device)
        parts = piece.split([tensors[key].numel() for key in keys])
        found |= {key: part.view(tensors[key].shape).clone() for key, part in zip(keys, parts, strict=True)}
    return {key: found[key].contiguous() for key in tensors}


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
