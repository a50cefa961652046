"""Runs a `hashed` student in ONNX."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from avatar_optuna.runtimes.grams import PAD_ID, gram_ids
from avatar_optuna.runtimes.onnx import OnnxStudent
from avatar_optuna.runtimes.student import run


class HashedOnnxStudent(OnnxStudent):
    """Its ids are hashed n-grams."""

    pad_id = PAD_ID

    def ids(self, functions: Sequence[str]) -> list[list[int]]:
        return [self._grams(function, self.window) or [PAD_ID] for function in functions]

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        return [len(self._grams(function, self.window + 1)) > self.window for function in functions]

    def _grams(self, function: str, longest: int) -> list[int]:
        return gram_ids(function, self.config["grams"], self.config["buckets"], longest)


def load(directory: str | Path = Path(__file__).parent) -> HashedOnnxStudent:
    """The student of a directory, by default that of this file."""
    return HashedOnnxStudent(directory)


if __name__ == "__main__":
    sys.exit(run(load(), sys.argv[1:]))
