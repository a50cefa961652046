"""Functions as bags of hashed n-grams: what a `hashed` student reads in place of tokens.

A function is read as UTF-8 bytes. A token is a run of word bytes (ASCII letters, digits, `_`, and every byte of 128 or
more), or one other byte that is no white space. The hash of a token is the CRC-32 of its bytes; that of a longer n-gram
of tokens is `mixed(31 * hash of the first n - 1 + hash of the last)`, and that of an n-gram of bytes is `mixed` of
their polynomial with base 257, all modulo 2^32. `mixed` is the finalizer of MurmurHash3 (Appleby, public domain). A
bucket is the hash modulo the number of buckets. Nothing is learnt from data, so a student needs no vocabulary file.
"""

from __future__ import annotations

import re
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

PAD_ID, MASK_ID, FIRST_ID = 0, 1, 2
MAX_COUNT = 16
"""Occurrences of a bucket in a function beyond this many count as this many."""

GRAMS = {
    "tokens": (1,),
    "token-bigrams": (1, 2),
    "token-trigrams": (1, 2, 3),
    "byte-trigrams": (3,),
    "byte-4-grams": (4,),
    "byte-5-grams": (5,),
}
"""Lengths of the n-grams that each kind counts."""

_TOKEN = re.compile(rb"[A-Za-z0-9_\x80-\xff]+|[^\sA-Za-z0-9_\x80-\xff]")
_Hashes = npt.NDArray[np.uint32]
_token_hash = lru_cache(maxsize=1 << 16)(crc32)


def gram_hashes(text: str, kind: str) -> _Hashes:
    """Hashes of a function's n-grams, shape (n-grams,): by length, then by place."""
    data = text.encode("utf-8", errors="replace")
    if kind.startswith("byte"):
        (length,) = GRAMS[kind]
        return _byte_grams(np.frombuffer(data, dtype=np.uint8), length)
    tokens = np.fromiter(map(_token_hash, _TOKEN.findall(data)), dtype=np.uint32)
    hashes = [tokens]
    for _ in GRAMS[kind][1:]:
        shorter = hashes[-1][:-1]
        hashes.append(_mixed(shorter * np.uint32(31) + tokens[len(tokens) - len(shorter) :]))
    return np.concatenate(hashes)


def gram_ids(text: str, kind: str, buckets: int, max_length: int) -> list[int]:
    """The distinct buckets of a function in the order of their first appearance, each with its number of occurrences.

    Args:
        text: The function.
        kind: One of `GRAMS`.
        buckets: Rows of the student's table.
        max_length: Further buckets are left out.

    Returns:
        At most `max_length` ids, `FIRST_ID + MAX_COUNT * bucket + min(occurrences, MAX_COUNT) - 1`.
    """
    rows = gram_hashes(text, kind) % np.uint32(buckets)
    distinct, first, counts = np.unique(rows, return_index=True, return_counts=True)
    order = np.argsort(first)[:max_length]
    levels = np.minimum(counts[order], MAX_COUNT) - 1
    ids: list[int] = (FIRST_ID + MAX_COUNT * distinct[order].astype(np.int64) + levels).tolist()
    return ids


def _byte_grams(data: npt.NDArray[np.uint8], length: int) -> _Hashes:
    windows = max(len(data) - length + 1, 0)
    hashes = np.zeros(windows, dtype=np.uint32)
    for place in range(length):
        hashes = hashes * np.uint32(257) + data[place : place + windows]
    return _mixed(hashes)


def _mixed(hashes: _Hashes) -> _Hashes:
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
