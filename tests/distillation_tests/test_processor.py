"""Students trained on packed functions on a processor, beside padded ones."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar_optuna.distillation import Teacher
from avatar_optuna.distillation._processor import is_trained_packed
from avatar_optuna.distillation._recipe import EpochRecord
from avatar_optuna.distillation._tokens import chunks_by_tokens
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.students.transformer._family import POSITION_EMBEDDING_TYPES
from tests.distillation_tests.trainers import make_trainer, one_step, without_dropout


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
@pytest.mark.parametrize("which", ["pair_teacher", "single_teacher"])
def test_a_step_is_that_over_padded_functions(
    which: str, kind: str, request: pytest.FixtureRequest, small_student: Configuration, tmp_path: Path
) -> None:
    teacher: Teacher = request.getfixturevalue(which)
    values = {**without_dropout(small_student).to_dict(), "position_embedding_type": kind}
    packed, padded = (make_trainer(TRANSFORMER.configure(**values), teacher, tmp_path / name) for name in "ab")
    packed.encoder.is_packed, padded.encoder.is_packed = True, False
    dealt = packed._plan(0)[0]
    # In float32: `computing` multiplies in bf16 where the processor has units for it.
    torch.testing.assert_close(one_step(packed, dealt), one_step(padded, dealt), rtol=1e-4, atol=1e-5)
    for first, second in zip(packed.parameters, padded.parameters, strict=True):
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-2, atol=1e-4 * float(second.grad.abs().max() + 1))


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
@pytest.mark.parametrize("which", ["pair_teacher", "single_teacher"])
def test_a_step_within_computing_is_that_in_float32(
    which: str, kind: str, request: pytest.FixtureRequest, small_student: Configuration, tmp_path: Path
) -> None:
    teacher: Teacher = request.getfixturevalue(which)
    values = {**without_dropout(small_student).to_dict(), "position_embedding_type": kind}
    within, plain = (make_trainer(TRANSFORMER.configure(**values), teacher, tmp_path / name) for name in "ab")
    within.encoder.is_packed = plain.encoder.is_packed = True
    dealt = within._plan(0)[0]
    with within.encoder.computing():
        is_narrow, got = _multiplies_in_bf16(), one_step(within, dealt)
    expected = one_step(plain, dealt)
    torch.testing.assert_close(got, expected, rtol=2e-2 if is_narrow else 1e-4, atol=1e-3 if is_narrow else 1e-5)
    for first, second in zip(within.parameters, plain.parameters, strict=True):
        if is_narrow:
            assert float((first.grad - second.grad).norm()) <= 0.05 * float(second.grad.norm()) + 1e-3
        else:
            atol = 1e-4 * float(second.grad.abs().max() + 1)
            torch.testing.assert_close(first.grad, second.grad, rtol=1e-2, atol=atol)


def _multiplies_in_bf16() -> bool:
    """Whether products of float32 lose what bf16 cannot hold: on processors with AMX, within `computing`."""
    return bool((torch.full((128, 128), 1 + 2**-12) @ torch.eye(128) == 1).all())


def test_an_epoch_leaves_the_process_as_it_was(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    matmul = torch.backends.mkldnn.matmul
    before, seen = matmul.fp32_precision, []
    trainer = make_trainer(small_student, single_teacher, tmp_path)
    trainer.encoder.is_packed = True
    encode = trainer.network.encode_packed
    trainer.network.encode_packed = lambda tokens: seen.append(matmul.fp32_precision) or encode(tokens)
    trainer.train_epoch(0)
    assert set(seen) == {"bf16"}
    assert matmul.fp32_precision == before
    trainer.network.encode_packed = lambda tokens: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer.train_epoch(0)
    assert matmul.fp32_precision == before


@pytest.mark.parametrize(("lengths", "size"), [([3, 9, 1, 2, 40, 7], 12), ([5], 1), ([1] * 30, 8)])
def test_chunks_hold_each_function_once_and_so_many_tokens_at_most(lengths: list[int], size: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    found = list(chunks_by_tokens(array, size))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    assert all(len(chunk) == 1 or array[chunk].sum() <= size for chunk in found)
    for chunk, following in itertools.pairwise(found):
        assert array[chunk].sum() + array[following[0]] > size


@pytest.mark.parametrize(("heads", "length", "expected"), [(2, 48, False), (2, 200, True), (6, 100, True)])
def test_functions_of_many_scores_are_trained_packed(
    heads: int, length: int, expected: bool, single_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    """By heads times the mean square of lengths; the functions are as long as can be."""
    student = TRANSFORMER.configure(
        **{**small_student.to_dict(), "num_attention_heads": heads, "max_sequence_length": length}
    )
    trainer = make_trainer(student, single_teacher, tmp_path)
    trainer.train.tokens.host_lengths[:] = length
    assert is_trained_packed(trainer.network, trainer.train.tokens) == expected


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
def test_an_interrupted_training_ends_with_the_same_bits(
    kind: str, single_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    """With dropout: its pools are drawn anew in each epoch."""
    student = TRANSFORMER.configure(**{**small_student.to_dict(), "position_embedding_type": kind})

    def trained(name: str, stops: bool) -> list[torch.Tensor]:
        def on_epoch(record: EpochRecord) -> None:
            if stops and record.epoch == 1:
                raise KeyboardInterrupt

        trainer = make_trainer(student, single_teacher, tmp_path / name, epochs=3)
        trainer.encoder.is_packed = True
        trainer.run(on_epoch)
        return [parameter.detach().clone() for parameter in trainer.parameters]

    whole = trained("whole", stops=False)
    with pytest.raises(KeyboardInterrupt):
        trained("parts", stops=True)
    again = trained("parts", stops=False)
    assert all(torch.equal(one, other) for one, other in zip(whole, again, strict=True))
