"""Runs a `transformer` student in ONNX."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from avatar_optuna.runtimes.onnx import OnnxStudent
from avatar_optuna.runtimes.student import run
from avatar_optuna.runtimes.tokens import TokenReader


class TransformerOnnxStudent(OnnxStudent):
    """Its ids are tokens."""

    pad_id = 1

    def __init__(self, directory: str | Path) -> None:
        super().__init__(directory)
        self.reader = TokenReader(self.directory, self.window)

    def ids(self, functions: Sequence[str]) -> list[list[int]]:
        return self.reader.ids(functions)

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        return self.reader.is_truncated(functions)


def load(directory: str | Path = Path(__file__).parent) -> TransformerOnnxStudent:
    """The student of a directory, by default that of this file."""
    return TransformerOnnxStudent(directory)


if __name__ == "__main__":
    sys.exit(run(load(), sys.argv[1:]))
