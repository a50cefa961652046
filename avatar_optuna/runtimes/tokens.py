"""The tokenizer of a `transformer` student."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Encoding, Tokenizer


class TokenReader:
    """Reads functions as tokens, at most a number of them each; the names of special tokens are text like any other."""

    def __init__(self, directory: Path, window: int) -> None:
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.enable_truncation(window)
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = True

    @property
    def largest_id(self) -> int:
        """Of all tokens."""
        return max(self.tokenizer.get_vocab().values())

    def ids(self, functions: Sequence[str]) -> list[list[int]]:
        """Of each function."""
        return [list(tokens.ids) for tokens in self._encodings(functions)]

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        """Of each function, whether it is longer."""
        return [bool(tokens.overflowing) for tokens in self._encodings(functions)]

    def _encodings(self, functions: Sequence[str]) -> list[Encoding]:
        return list(self.tokenizer.encode_batch(list(functions)))
