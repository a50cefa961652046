"""Steps of fixed shapes against steps in chunks; captured ones against launched ones, where there is a GPU."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avatar_optuna.distillation import Teacher, _fixed_steps, _tokens
from avatar_optuna.distillation._classifier import classify_all, encode_all
from avatar_optuna.distillation._training import Trainer
from avatar_optuna.exceptions import AvatarError
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import POSITION_EMBEDDING_TYPES, TRANSFORMER, _encoder
from tests.distillation_tests.trainers import make_trainer, without_dropout

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a CUDA device")


def _positions(student: Configuration, kind: str, **changes: Any) -> Configuration:
    return TRANSFORMER.configure(**{**student.to_dict(), "position_embedding_type": kind, **changes})


def _weights(trainer: Trainer) -> list[torch.Tensor]:
    return [parameter.detach().cpu().clone() for parameter in trainer.parameters]


@pytest.mark.parametrize("which", ["pair_teacher", "single_teacher"])
def test_fixed_steps_compute_what_steps_in_chunks_do(
    which: str, request: pytest.FixtureRequest, small_student: Configuration, tmp_path: Path
) -> None:
    teacher: Teacher = request.getfixturevalue(which)
    student = without_dropout(small_student)
    options: dict[str, Any] = {"hard_label_weight": 0.3, "learning_rate": 1e-3}
    chunked = make_trainer(student, teacher, tmp_path / "chunked", has_fixed_steps=False, **options)
    fixed = make_trainer(student, teacher, tmp_path / "fixed", has_fixed_steps=True, **options)
    for epoch in range(2):
        torch.testing.assert_close(fixed.train_epoch(epoch), chunked.train_epoch(epoch), rtol=1e-3, atol=1e-4)
    for first, second in zip(fixed.average, chunked.average, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-2, atol=2e-3)


def test_a_fixed_run_resumes_to_the_bit(pair_teacher: Teacher, small_student: Configuration, tmp_path: Path) -> None:
    _check_resume(pair_teacher, small_student, tmp_path, device="cpu")


def test_a_narrow_copy_learns_what_the_network_does(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    student = without_dropout(small_student)
    options: dict[str, Any] = {"has_fixed_steps": True, "learning_rate": 1e-3}
    wide = make_trainer(student, pair_teacher, tmp_path / "wide", is_narrow=False, **options)
    narrow = make_trainer(student, pair_teacher, tmp_path / "narrow", is_narrow=True, **options)
    for epoch in range(2):
        torch.testing.assert_close(narrow.train_epoch(epoch), wide.train_epoch(epoch), rtol=2e-2, atol=0.0)
    assert {parameter.dtype for parameter in narrow.network.parameters()} == {torch.float32}
    for first, second in zip(narrow.average, wide.average, strict=True):
        assert not torch.equal(first, second)
        torch.testing.assert_close(first, second, rtol=5e-2, atol=1e-2)


def test_a_run_with_a_narrow_copy_resumes_to_the_bit(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    _check_resume(pair_teacher, small_student, tmp_path, device="cpu", is_narrow=True)


def _check_resume(
    teacher: Teacher, student: Configuration, tmp_path: Path, *, device: str, is_narrow: bool | None = None
) -> None:
    options: dict[str, Any] = {"device": device, "has_fixed_steps": True, "epochs": 4, "token_dropout_prob": 0.1}
    options["is_narrow"] = is_narrow
    whole = make_trainer(student, teacher, tmp_path / "whole", **options)
    whole.run()

    class InterruptedError(Exception):
        pass

    def interrupt(record: Any) -> None:
        if record.epoch == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        make_trainer(student, teacher, tmp_path / "parts", **options).run(interrupt)
    resumed = make_trainer(student, teacher, tmp_path / "parts", **options)
    resumed.run()
    assert [record.loss for record in resumed.history] == [record.loss for record in whole.history]
    for first, second in zip(_weights(resumed), _weights(whole), strict=True):
        assert torch.equal(first, second)


def test_too_little_memory_for_fixed_steps_goes_on_in_chunks(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    student = without_dropout(small_student)
    scarce = make_trainer(student, pair_teacher, tmp_path / "scarce", has_fixed_steps=True, learning_rate=1e-3)
    plenty = make_trainer(student, pair_teacher, tmp_path / "plenty", has_fixed_steps=False, learning_rate=1e-3)
    encode, calls = scarce.network.encode, [0]

    def failing(ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 3:  # in the third step: two updates are undone
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(ids, mask)  # type: ignore[no-any-return]

    scarce.network.encode = failing
    torch.testing.assert_close(scarce.train_epoch(0), plenty.train_epoch(0), rtol=1e-3, atol=1e-4)
    assert not scarce.has_fixed_steps


def test_packed_functions_by_hand(pair_teacher: Teacher, small_student: Configuration, tmp_path: Path) -> None:
    tokens = make_trainer(small_student, pair_teacher, tmp_path).train.tokens
    functions = np.array([5, 0, 17])
    lengths = tokens.host_lengths[functions]
    packed = tokens.packed(torch.from_numpy(functions), int(lengths.sum()) + 4)
    expected = np.concatenate([tokens.ids.numpy()[tokens.starts[f] :][: tokens.host_lengths[f]] for f in functions])
    assert packed.ids.tolist() == [*expected.tolist(), *[tokens.pad_token_id] * 4]
    assert packed.positions.tolist() == [*(place for n in lengths for place in range(n)), 0, 0, 0, 0]
    assert packed.lengths.tolist() == lengths.tolist()
    assert packed.starts.tolist() == [0, lengths[0], lengths[0] + lengths[1]]


def test_evaluation_halves_what_does_not_fit(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    trainer = make_trainer(small_student, pair_teacher, tmp_path)
    network, tokens = trainer.network.eval(), trainer.valid.tokens
    vectors = encode_all(network, tokens, batch_size=16)
    logits = classify_all(network, vectors, trainer.valid.inputs)

    class Scarce:
        def __init__(self, most: int) -> None:
            self.most = most

        def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            self._check(len(ids))
            return network.encode(ids, mask)  # type: ignore[no-any-return]

        def classify(self, joined: torch.Tensor) -> torch.Tensor:
            self._check(len(joined))
            return network.classify(joined)  # type: ignore[no-any-return]

        def _check(self, count: int) -> None:
            if count > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory")

    torch.testing.assert_close(encode_all(Scarce(3), tokens, batch_size=16), vectors, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(classify_all(Scarce(3), vectors, trainer.valid.inputs), logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(AvatarError, match="must hold one function's vectors"):
        encode_all(Scarce(0), tokens, batch_size=16)


@needs_gpu
@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
@pytest.mark.parametrize(("width", "heads"), [(24, 2), (40, 4), (96, 1)])
def test_packed_functions_are_encoded_as_padded_ones(
    kind: str, width: int, heads: int, pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    student = _positions(without_dropout(small_student), kind, hidden_size=width, num_attention_heads=heads)
    trainer = make_trainer(student, pair_teacher, tmp_path, device="cuda")
    network, tokens = trainer.network, trainer.train.tokens
    functions = np.arange(0, 48, 3)
    on_device = torch.from_numpy(functions).cuda()
    size = int(tokens.host_lengths[functions].sum()) + 5
    weights = torch.randn(len(functions), width, device="cuda")
    gradients = []
    for vectors in (network.encode(*tokens.batch(functions)), network.encode_packed(tokens.packed(on_device, size))):
        network.zero_grad()
        (vectors * weights).sum().backward()
        named = network.roberta.named_parameters()
        gradients.append([vectors.detach(), *(p.grad.clone() for _, p in named if p.grad is not None)])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(second, first, rtol=1e-3, atol=1e-5 + 1e-3 * float(first.abs().max()))


@pytest.mark.skipif(
    find_spec("triton") is None or torch.cuda.is_available() or not os.environ.get("TRITON_INTERPRET"),
    reason="it needs Triton, no CUDA device, and TRITON_INTERPRET=1",
)
@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
def test_interpreted_steps_of_packed_functions_compute_what_those_of_padded_ones_do(
    kind: str, pair_teacher: Teacher, small_student: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = _positions(without_dropout(small_student), kind)
    options: dict[str, Any] = {"has_fixed_steps": True, "learning_rate": 1e-3, "hard_label_weight": 0.3}
    padded = make_trainer(student, pair_teacher, tmp_path / "padded", **options)
    expected = padded.train_epoch(0)
    monkeypatch.setattr(_fixed_steps, "is_packed", lambda *_: True)
    for module in (_encoder, _tokens):
        monkeypatch.setattr(module, "runs_kernels", lambda _: True)
    packed = make_trainer(student, pair_teacher, tmp_path / "packed", **options)
    torch.testing.assert_close(packed.train_epoch(0), expected, rtol=1e-3, atol=0.0)
    for first, second in zip(packed.average, padded.average, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-2, atol=3e-3)


@needs_gpu
@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
def test_captured_steps_compute_what_launched_ones_do(
    kind: str, pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    student = _positions(small_student, kind, hidden_dropout_prob=0.1)
    options: dict[str, Any] = {"device": "cuda", "epochs": 3, "token_dropout_prob": 0.1}
    captured = make_trainer(student, pair_teacher, tmp_path / "captured", **options)
    launched = make_trainer(student, pair_teacher, tmp_path / "launched", is_captured=False, **options)
    captured.run()
    launched.run()
    assert captured.fixed_steps is not None
    assert captured.fixed_steps.graphs
    for first, second in zip(captured.history, launched.history, strict=True):
        assert first.loss == pytest.approx(second.loss, rel=2e-2, abs=1e-3)


@needs_gpu
@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
def test_a_captured_run_resumes_to_the_bit(
    kind: str, pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    student = _positions(small_student, kind, hidden_dropout_prob=0.1)
    _check_resume(pair_teacher, student, tmp_path, device="cuda")
