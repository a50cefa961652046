"""Triton's kernels of attention beside attention over padded functions: on a GPU, or by its interpreter on a CPU."""

from __future__ import annotations

import pytest
import torch

from avatar_optuna.students.transformer import _encoder
from avatar_optuna.students.transformer._family import POSITION_EMBEDDING_TYPES
from tests.students_tests.packed import NEEDS_TRITON, hold_to_padded

pytestmark = NEEDS_TRITON


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(24, 2), (20, 1), (96, 4)])
def test_packed_attention_and_its_gradients_are_those_of_padded_functions(
    kind: str, width: int, heads: int, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    monkeypatch.setattr(_encoder, "runs_kernels", lambda _: True)
    hold_to_padded(kind, width, heads, device, torch.float32, rtol=1e-3, atol=1e-4, is_first=is_first)
