"""Hashed students: the contract of families, the hashes, and what the network makes of them."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import build_student
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.students.hashed.grams import FIRST_ID, GRAMS, MAX_COUNT, gram_hashes, gram_ids
from avatar_optuna.testing.students import check_family

_SMALL = {
    "buckets": {"low": 16, "high": 300},
    "width": {"low": 1, "high": 12},
    "intermediate_size": {"low": 1, "high": 20},
    "max_sequence_length": {"low": 4, "high": 64},
}


def test_the_family_keeps_the_contract(tmp_path: Path) -> None:
    check_family(HASHED, tmp_path, space=SearchSpace.from_mapping({"family": "hashed", **_SMALL}), students=5)


def _mixed(value: int) -> int:
    """MurmurHash3's finalizer in plain arithmetic."""
    value = (value ^ value >> 16) * 0x85EBCA6B % 2**32
    value = (value ^ value >> 13) * 0xC2B2AE35 % 2**32
    return value ^ value >> 16


def test_hashes_of_tokens_are_those_of_the_definition() -> None:
    hashes = gram_hashes("a_1 += ü;", "token-trigrams").tolist()
    tokens = [crc32(token) for token in (b"a_1", b"+", b"=", "ü".encode(), b";")]
    pairs = [_mixed((31 * a + b) % 2**32) for a, b in itertools.pairwise(tokens)]
    triples = [_mixed((31 * a + b) % 2**32) for a, b in zip(pairs, tokens[2:], strict=False)]
    assert hashes == [*tokens, *pairs, *triples]


@given(st.text(max_size=40), st.sampled_from([kind for kind in GRAMS if kind.startswith("byte")]))
def test_hashes_of_bytes_are_those_of_the_definition(text: str, kind: str) -> None:
    data, (length,) = text.encode(errors="replace"), GRAMS[kind]
    expected = []
    for start in range(len(data) - length + 1):
        value = 0
        for byte in data[start : start + length]:
            value = (257 * value + byte) % 2**32
        expected.append(_mixed(value))
    assert gram_hashes(text, kind).tolist() == expected


@given(st.text(alphabet="ab(); \n", max_size=200), st.integers(2, 50), st.integers(1, 60))
def test_ids_hold_bucket_and_number_of_occurrences(text: str, buckets: int, longest: int) -> None:
    rows = [value % buckets for value in gram_hashes(text, "token-bigrams").tolist()]
    counts = Counter(rows)
    expected = [FIRST_ID + MAX_COUNT * row + min(counts[row], MAX_COUNT) - 1 for row in dict.fromkeys(rows)]
    assert gram_ids(text, "token-bigrams", buckets, longest) == expected[:longest]


@pytest.mark.parametrize("pooling", ["mean", "mean+max"])
def test_padding_and_order_of_buckets_mean_nothing(pooling: str) -> None:
    network = build_student(_student(pooling=pooling), TaskShape(arity=1)).eval()
    ids = gram_ids("int f(int a) { return a + a; }", "token-bigrams", 64, 40)
    alone = network.encode(torch.tensor([ids]))
    padded = network.encode(torch.tensor([[*ids, 0, 0, 1], [0] * (len(ids) + 3)]))
    turned = network.encode(torch.tensor([ids[::-1]]))
    assert torch.allclose(alone[0], padded[0], atol=1e-6)
    assert torch.allclose(alone, turned, atol=1e-6)
    assert torch.isfinite(padded).all(), "a function without any bucket has a vector too"


def test_answers_about_a_pair_do_not_depend_on_its_order() -> None:
    network = build_student(_student(), TaskShape(arity=2)).eval()
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 9, 16)).astype(np.float32))
    first = network.classify(torch.cat([vectors[0], vectors[1]], dim=1))
    second = network.classify(torch.cat([vectors[1], vectors[0]], dim=1))
    assert torch.equal(first, second)


def _student(pooling: str = "mean+max") -> Configuration:
    return HASHED.configure(
        grams="token-bigrams", buckets=64, width=8, pooling=pooling, num_hidden_layers=1, intermediate_size=12,
        hidden_dropout_prob=0.0, max_sequence_length=64, learning_rate=1e-2, batch_size=32,
    )  # fmt: skip
