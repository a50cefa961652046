"""The reader of a `hashed` student: hashed n-grams, defined in `runtimes.grams`, in place of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avatar_optuna.runtimes.grams import FIRST_ID, GRAMS, MASK_ID, MAX_COUNT, PAD_ID, gram_hashes, gram_ids

__all__ = ["FIRST_ID", "GRAMS", "MASK_ID", "MAX_COUNT", "PAD_ID", "GramReader", "gram_hashes", "gram_ids"]


class GramReader:
    """What a tokenizer is to other students: called with functions, it gives their ids.

    Args:
        kind: One of `GRAMS`.
        buckets: Rows of the student's table.
    """

    pad_token_id = PAD_ID
    mask_token_id = MASK_ID

    def __init__(self, kind: str, buckets: int) -> None:
        self.kind, self.buckets = kind, buckets
        self.model_max_length = 1 << 30

    def __call__(self, functions: Sequence[str], *, max_length: int | None = None, **options: bool) -> dict[str, Any]:
        """`input_ids`, a list for each function; a function without any n-gram is one padding.

        Further options of a tokenizer (`truncation`, `split_special_tokens`) mean nothing: what is longer is always
        cut, and no text is special.
        """
        longest = self.model_max_length if max_length is None else max_length
        ids = [gram_ids(function, self.kind, self.buckets, longest) or [PAD_ID] for function in functions]
        return {"input_ids": ids}

    def save_pretrained(self, directory: Any) -> None:
        """Nothing: the network's configuration says how functions are read."""
