"""Tokenized functions in compact arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from avatar_optuna.students.packing import PackedTokens, runs_kernels

CACHED_SCORES = 2**19
"""Scores of attention that are computed at once on a processor: 2 MB a tensor, of which a step has several."""
_TOKENIZED_AT_ONCE = 1024  # functions: what a tokenizer gives takes a hundred times the bytes of the ids


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Functions as token ids, end to end in one array: nothing is tokenized or padded twice.

    Args:
        ids: All ids, shape (sum of lengths,), int32, on the device that computes.
        starts: Where each function begins, shape (functions,), on the same device.
        lengths: Tokens of each function, shape (functions,), on that device.
        host_lengths: The same in NumPy, so that a batch is planned without waiting for the device.
        pad_token_id: What fills a shorter function.
        mask_token_id: What stands for a token that is dropped in training.
        max_sequence_length: Tokens of a function at most; no batch is padded beyond it.
    """

    ids: Tensor
    starts: Tensor
    lengths: Tensor
    host_lengths: npt.NDArray[np.int64]
    pad_token_id: int
    mask_token_id: int
    max_sequence_length: int

    @classmethod
    def tokenize(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        functions: Sequence[str],
        *,
        max_sequence_length: int,
        device: torch.device | str = "cpu",
    ) -> Tokens:
        """Tokenize each function once, cut to at most `max_sequence_length` tokens, special ones included.

        The names of special tokens, such as `<s>`, are text where a function holds them, and no control ids.
        """
        parts, counts = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.int64)]
        for start in range(0, len(functions), _TOKENIZED_AT_ONCE):
            rows = tokenizer(
                list(functions[start : start + _TOKENIZED_AT_ONCE]),
                truncation=True,
                max_length=max_sequence_length,
                split_special_tokens=True,
            )["input_ids"]
            counts.append(np.array([len(row) for row in rows], dtype=np.int64))
            parts.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(counts[-1].sum())))
        flat, lengths = np.concatenate(parts), np.concatenate(counts)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        mask = tokenizer.mask_token_id
        return cls(
            ids=torch.from_numpy(flat).to(device),
            starts=torch.from_numpy(starts).to(device),
            lengths=torch.from_numpy(lengths).to(device),
            host_lengths=lengths,
            pad_token_id=int(pad),
            mask_token_id=int(mask if mask is not None else pad),
            max_sequence_length=max_sequence_length,
        )

    def __len__(self) -> int:
        return len(self.host_lengths)

    def batch(self, functions: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        """Ids (n, t), padded to the longest of these functions, and the mask (n, t), None where nothing is padding."""
        lengths = self.host_lengths[functions]
        longest = int(lengths.max())
        if self.ids.is_cuda:
            longest = min(-(-longest // 8) * 8, self.max_sequence_length)  # tensor cores want multiples of 8
        ids, mask = self.padded(torch.from_numpy(functions).to(self.ids.device), longest)  # (n, t) each
        return ids, mask if longest > int(lengths.min()) else None

    def padded(self, functions: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """Ids and mask (n, t) of functions (n,) given on the device, to a fixed t: the host is not asked."""
        columns = torch.arange(longest, device=self.ids.device)  # (t,)
        mask = columns < self.lengths[functions, None]  # (n, t)
        places = (self.starts[functions, None] + columns).clamp_(max=len(self.ids) - 1)  # (n, t)
        return torch.where(mask, self.ids[places], self.pad_token_id).long(), mask

    def packed(self, functions: Tensor, size: int, *, dropout: float = 0.0) -> PackedTokens:
        """Functions (n,) given on the device, end to end in `size` places: the host is not asked.

        Args:
            dropout: Probability at which a token is masked (see `with_dropout`).
        """
        if runs_kernels(self.ids):
            return self._packed_by_kernel(functions, size, dropout)
        lengths = self.lengths[functions]  # (n,)
        ends = lengths.cumsum(0)  # (n,)
        starts = ends - lengths  # (n,)
        places = torch.arange(size, device=self.ids.device)  # (T,)
        owners = torch.searchsorted(ends, places, right=True).clamp_(max=len(functions) - 1)  # (T,)
        positions = places - starts[owners]  # (T,)
        is_real = places < ends[-1]  # (T,)
        sources = torch.where(is_real, self.starts[functions][owners] + positions, 0)  # (T,)
        ids = torch.where(is_real, self.ids[sources], self.pad_token_id).long()  # (T,)
        return PackedTokens(
            ids=self.with_dropout(ids, positions == 0, dropout) if dropout else ids,
            positions=torch.where(is_real, positions, 0),
            starts=starts.int(),
            lengths=lengths.int(),
            longest=self.max_sequence_length,
        )

    def _packed_by_kernel(self, functions: Tensor, size: int, dropout: float) -> PackedTokens:
        from avatar_optuna.students._packing_kernels import pack  # Triton is there on GPU machines alone

        special = {"pad_token_id": self.pad_token_id, "mask_token_id": self.mask_token_id}
        found = pack(self.ids, self.starts, self.lengths, functions, size, dropout=dropout, **special)
        ids, positions, starts, lengths = found
        return PackedTokens(
            ids=ids, positions=positions, starts=starts, lengths=lengths, longest=self.max_sequence_length
        )

    def with_dropout(self, ids: Tensor, is_first: Tensor, probability: float) -> Tensor:
        """A batch's ids with each token but the first of a function, `is_first`, masked at this probability."""
        is_dropped = torch.rand(ids.shape, device=ids.device) < probability  # as ids
        # The first token's vector stands for the function.
        return torch.where(is_dropped & ~is_first & (ids != self.pad_token_id), self.mask_token_id, ids)

    def chunks(self, functions: npt.NDArray[np.int64], size: int, *, heads: int = 0) -> Iterator[npt.NDArray[np.int64]]:
        """Places in `functions`, by length, in chunks of at most `size`, so that a chunk holds little padding.

        Args:
            heads: Of attention; with some, a chunk is so small that its scores stay in a processor's cache.
        """
        return chunks_by_length(self.host_lengths[functions], size, heads=heads)


def chunks_by_length(lengths: npt.NDArray[np.int64], size: int, *, heads: int = 0) -> Iterator[npt.NDArray[np.int64]]:
    """Places in `lengths` from the shortest to the longest, in chunks of at most `size` (see `Tokens.chunks`)."""
    rest = np.argsort(lengths, kind="stable")
    while len(rest):
        chunk = rest[:size]
        if heads:
            scores = heads * lengths[chunk] ** 2 * np.arange(1, len(chunk) + 1)  # of so many, padded to the longest
            chunk = chunk[: max(1, int(np.searchsorted(scores, CACHED_SCORES, side="right")))]
        yield chunk
        rest = rest[len(chunk) :]


def chunks_by_tokens(lengths: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Places in `lengths` from the shortest to the longest, in chunks of at most `size` tokens or of one function."""
    rest = np.argsort(lengths, kind="stable")
    while len(rest):
        count = max(1, int(np.searchsorted(lengths[rest].cumsum(), size, side="right")))
        yield rest[:count]
        rest = rest[count:]
