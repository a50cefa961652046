"""Triton's kernel that puts functions end to end beside torch: on a GPU, or by its interpreter on a CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar_optuna.distillation import _tokens
from avatar_optuna.distillation._tokens import Tokens
from tests.students_tests.packed import NEEDS_TRITON

pytestmark = NEEDS_TRITON
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PAD, MASK = 1, 4


def _tokens_of(lengths: list[int]) -> Tokens:
    given = torch.tensor(lengths)
    ids = torch.randint(5, 50, (int(given.sum()),), dtype=torch.int32)
    return Tokens(
        ids=ids.to(DEVICE),
        starts=(given.cumsum(0) - given).to(DEVICE),
        lengths=given.to(DEVICE),
        host_lengths=np.array(lengths),
        pad_token_id=PAD,
        mask_token_id=MASK,
        max_sequence_length=1024,
    )


@pytest.mark.parametrize("functions", [[2], [0, 3, 1], [4, 4, 0, 2, 1, 3] * 4])
@pytest.mark.parametrize("surplus", [0, 1, 700])
def test_functions_stand_where_torch_puts_them(
    functions: list[int], surplus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tokens = _tokens_of([7, 600, 1, 512, 33])
    chosen = torch.tensor(functions, device=DEVICE)
    size = int(tokens.host_lengths[functions].sum()) + surplus
    found = []
    for runs_kernels in (False, True):
        monkeypatch.setattr(_tokens, "runs_kernels", lambda _, chosen=runs_kernels: chosen)
        found.append(tokens.packed(chosen, size))
    for name in ("ids", "positions", "starts", "lengths", "longest"):
        expected, got = (getattr(packed, name) for packed in found)
        assert torch.equal(got, expected) if isinstance(got, torch.Tensor) else got == expected, name


def test_a_share_of_the_tokens_is_masked_and_no_first_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(_tokens, "runs_kernels", lambda _: True)
    tokens = _tokens_of([1000] * 20)
    functions = torch.arange(20, device=DEVICE)
    whole, dropped, again = (tokens.packed(functions, 20_100, dropout=share) for share in (0.0, 0.1, 0.1))
    is_masked = dropped.ids == MASK
    assert float(is_masked[:20_000].float().mean()) == pytest.approx(0.1, abs=0.01)
    assert not is_masked[dropped.starts.long()].any()
    assert torch.equal(torch.where(is_masked, whole.ids, dropped.ids), whole.ids)
    assert not torch.equal(again.ids, dropped.ids)
