"""What the formats for students of the family `hashed` share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.manifest import DEFAULT_TEMPERATURE, DEFAULT_THRESHOLD, MANIFEST_FILE
from avatar_optuna.runtimes.grams import GRAMS

SOURCES = Path(__file__).parents[1] / "runtimes"


@dataclass(frozen=True, kw_only=True)
class HashedFiles:
    """What `config.json` and the manifest of a hashed student say.

    Args:
        config: As in `config.json`.
        label_names: Of the labels, in their order.
        threshold: Of two labels, the second from this probability on.
        temperature: By which logits are divided before the softmax.
        language: Of the functions it learnt from, "" where it is not known.
    """

    config: dict[str, Any]
    label_names: tuple[str, ...]
    threshold: float
    temperature: float
    language: str

    @property
    def is_bytes(self) -> bool:
        """Whether its n-grams are of bytes."""
        return str(self.config["grams"]).startswith("byte")

    @property
    def longest(self) -> int:
        """Bytes or tokens of its longest n-grams."""
        return max(GRAMS[self.config["grams"]])

    @property
    def has_max(self) -> bool:
        """Whether its vectors hold the highest of each column."""
        return bool(self.config["pooling"] == "mean+max")

    @property
    def vector_size(self) -> int:
        """Components of a function's vector."""
        return int(self.config["width"]) * (2 if self.has_max else 1)


def read_hashed(student: StudentToExport, format_name: str) -> HashedFiles:
    """The files of a student.

    Raises:
        InputError: It is of another family.
    """
    family = student.hyperparameters.family.name
    if family != "hashed":
        raise InputError(
            f"the export format {format_name} is for students of the family hashed, which need no tokenizer, this one "
            f"is of {family}: numpy is for both"
        )
    config = json.loads((student.files / "config.json").read_text(encoding="utf-8"))
    manifest = json.loads((student.files / MANIFEST_FILE).read_text(encoding="utf-8"))
    return HashedFiles(
        config=config,
        label_names=tuple(map(str, manifest["label_names"])),
        threshold=float(manifest.get("threshold", DEFAULT_THRESHOLD)),
        temperature=float(manifest.get("temperature", DEFAULT_TEMPERATURE)),
        language=str(manifest.get("language", "")),
    )


def in_comment(name: str) -> str:
    """A name that ends no comment of C, JavaScript or HTML."""
    return "".join(c if c.isalnum() or c in " _-." else "_" for c in name)
