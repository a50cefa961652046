"""Oracles: brute force over pairs, closed forms, and a network made to fail."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Teacher, build_student, distil, train_tokenizer
from avatar_optuna.distillation._batches import plan_functions, plan_inputs
from avatar_optuna.distillation._classifier import classify_all, encode_all
from avatar_optuna.distillation._lesson import UNKNOWN, ListedPairs, all_pairs
from avatar_optuna.distillation._recipe import EpochRecord, Examples
from avatar_optuna.distillation._similarity import start_as_similarity
from avatar_optuna.distillation._tokens import CACHED_SCORES, Tokens, chunks_by_length
from avatar_optuna.distillation._training import Trainer, validation_figures
from avatar_optuna.exceptions import AvatarError, DivergenceError
from avatar_optuna.settings import DistillationSettings
from avatar_optuna.students import Configuration
from tests.distillation_tests.trainers import make_trainer, mixed_loss, one_step, without_dropout


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(2, 20), st.integers(0, 10))
def test_each_function_is_encoded_once_an_epoch(count: int, batch_size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, count, (3 * count, 2)).astype(np.int32)
    labels = rng.integers(0, 2, 3 * count)
    plan = plan_functions(inputs, labels, batch_size=batch_size, rng=np.random.default_rng([seed, 1]))
    assert sorted(np.concatenate(plan).tolist()) == np.unique(inputs).tolist()
    assert max(map(len, plan)) < 1.5 * batch_size or len(plan) == 1
    again = plan_functions(inputs, labels, batch_size=batch_size, rng=np.random.default_rng([seed, 1]))
    assert [part.tolist() for part in plan] == [part.tolist() for part in again]


def test_partners_of_listed_pairs_share_a_batch() -> None:
    inputs = np.arange(40, dtype=np.int32).reshape(20, 2)
    plan = plan_functions(inputs, np.arange(20) % 2, batch_size=8, rng=np.random.default_rng(0))
    assert [len(part) for part in plan] == [8] * 5
    assert all({function ^ 1 for function in part.tolist()} == set(part.tolist()) for part in plan)


def test_inputs_are_passed_over_once_up_to_a_limit() -> None:
    plan = plan_inputs(50, batch_size=8, limit=None, rng=np.random.default_rng(0))
    assert sorted(np.concatenate(plan).tolist()) == list(range(50))
    assert sum(map(len, plan_inputs(50, batch_size=8, limit=20, rng=np.random.default_rng(0)))) == 20


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 16), st.sampled_from([0, 1, 4, 12]))
def test_chunks_hold_each_function_once_and_scores_that_stay_in_the_cache(
    lengths: list[int], size: int, heads: int
) -> None:
    found = list(chunks_by_length(np.array(lengths, dtype=np.int64), size, heads=heads))
    order = [int(place) for chunk in found for place in chunk]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[place] for place in order] == sorted(lengths)
    for chunk, following in itertools.zip_longest(found, found[1:]):
        assert 1 <= len(chunk) <= size
        if heads:
            assert len(chunk) == 1 or heads * len(chunk) * lengths[chunk[-1]] ** 2 <= CACHED_SCORES
        if following is not None and len(chunk) < size:  # one more would not have fitted
            assert heads * (len(chunk) + 1) * lengths[following[0]] ** 2 > CACHED_SCORES


def test_listed_pairs_are_found_in_both_orders() -> None:
    listed = ListedPairs(np.array([[0, 3], [2, 1]], dtype=np.int32), np.array([1, 0]), 4, torch.device("cpu"))
    pairs = all_pairs(torch.arange(4)[:, None])
    labels = {tuple(pair): label for pair, label in zip(pairs.tolist(), listed.of(pairs).tolist(), strict=True)}
    assert len(labels) == 16
    assert {pair: label for pair, label in labels.items() if label != UNKNOWN} == {
        (0, 3): 1,
        (3, 0): 1,
        (2, 1): 0,
        (1, 2): 0,
    }


def _softmax(values: Any) -> Any:
    return np.exp(values) / np.exp(values).sum(-1, keepdims=True)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_loss_by_hand(weight: float) -> None:
    rng = np.random.default_rng(0)
    logits, teacher = rng.normal(size=(2, 6, 2))
    teacher[:3] = teacher[:3, ::-1]
    labels = np.array([1, 0, UNKNOWN, 1, UNKNOWN, 1])
    temperature = 3.0
    p, q = _softmax(teacher / temperature), _softmax(logits / temperature)
    divergence = (p * np.log(p / q)).sum(1)
    positive = teacher[:, 1] > teacher[:, 0]
    assert 0 < positive.sum() < 6
    soft = temperature**2 * (divergence[positive].mean() + divergence[~positive].mean()) / 2
    log_likelihood = -np.log(_softmax(logits))
    hard = (log_likelihood[[0, 3, 5], 1].mean() + log_likelihood[1, 0]) / 2
    loss = mixed_loss(
        torch.tensor(logits),
        labels=torch.tensor(labels),
        teacher=torch.tensor(teacher),
        temperature=temperature,
        hard_label_weight=weight,
    )
    assert loss.item() == pytest.approx((1 - weight) * soft + weight * hard, rel=1e-5)
    alone = mixed_loss(
        torch.tensor(logits), labels=torch.tensor(labels), teacher=None, temperature=1.0, hard_label_weight=0.0
    )
    assert alone.item() == pytest.approx(hard, rel=1e-5)


def test_the_loss_of_four_labels_weighs_each_that_occurs_alike() -> None:
    logits, teacher = np.random.default_rng(1).normal(size=(2, 7, 4))
    labels = np.array([0, 0, 0, 1, 3, UNKNOWN, 3])
    p, q = _softmax(teacher / 2), _softmax(logits / 2)
    divergence, likeliest = (p * np.log(p / q)).sum(1), teacher.argmax(1)
    soft = 4 * np.mean([divergence[likeliest == label].mean() for label in np.unique(likeliest)])
    log_likelihood = -np.log(_softmax(logits))
    hard = np.mean([log_likelihood[labels == label, label].mean() for label in (0, 1, 3)])
    loss = mixed_loss(
        torch.tensor(logits),
        labels=torch.tensor(labels),
        teacher=torch.tensor(teacher),
        temperature=2.0,
        hard_label_weight=0.25,
    )
    assert loss.item() == pytest.approx(0.75 * soft + 0.25 * hard, rel=1e-5)


def test_functions_of_pairs_of_three_labels_share_a_batch() -> None:
    inputs = np.arange(24, dtype=np.int32).reshape(12, 2)
    plan = plan_functions(inputs, np.arange(12) % 3, batch_size=6, rng=np.random.default_rng(0))
    assert sorted(np.concatenate(plan).tolist()) == list(range(24))
    assert all({function ^ 1 for function in part.tolist()} == set(part.tolist()) for part in plan)


@pytest.mark.parametrize("pair_head", ["concatenation", "symmetric"])
@pytest.mark.parametrize("num_labels", [2, 3])
def test_a_pair_head_starts_as_a_similarity(small_student: Configuration, num_labels: int, pair_head: str) -> None:
    """Pairs of equal functions have the last label, others one of the rest: the head tells them apart untrained."""
    functions = [
        f"def f{i}(x): return {'+'.join(map(str, np.random.default_rng(i).integers(0, 99, 9)))}" for i in range(40)
    ]
    tokenizer = train_tokenizer("BPE", 300, functions)
    tokens = Tokens.tokenize(tokenizer, functions, max_sequence_length=small_student.max_sequence_length)
    rng = np.random.default_rng(0)
    alike = np.repeat(np.arange(40)[:, None], 2, axis=1)
    other = np.stack([np.arange(40), (np.arange(40) + rng.integers(1, 40, 40)) % 40], axis=1)
    labels = np.concatenate([np.full(40, num_labels - 1), np.arange(40) % (num_labels - 1)])
    train = Examples(tokens=tokens, inputs=np.concatenate([alike, other]).astype(np.int32), labels=labels)
    student = small_student.replace(pair_head=pair_head)
    network = build_student(student, TaskShape(arity=2, num_labels=num_labels)).eval()
    start_as_similarity(network, train, seed=0)
    vectors = encode_all(network, tokens, batch_size=16)
    predicted = classify_all(network, vectors, train.inputs).argmax(1).numpy() == num_labels - 1
    assert (predicted == (labels == num_labels - 1)).mean() > 0.9


def test_one_class_alone_takes_the_whole_weight() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    loss = mixed_loss(logits, labels=torch.tensor([1, 1]), teacher=None, temperature=1.0, hard_label_weight=1.0)
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2)


def test_all_pairs_agree_with_pairs_one_by_one(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    trainer = make_trainer(without_dropout(small_student), pair_teacher, tmp_path, hard_label_weight=0.5)
    chosen = np.array([3, 8, 20, 41, 11])
    dealt = torch.from_numpy(chosen)
    texts = trainer.lesson.texts(dealt)
    assert texts.tolist() == chosen.tolist()
    vectors = trainer.encoder(texts)
    places = trainer.lesson.joined(torch.arange(5)[:, None])
    assert places.tolist() == [[first, second] for first in range(5) for second in range(5)]
    targets = trainer.lesson.targets(dealt[None])
    assert targets.counted is not None
    assert targets.counted.tolist() == [first != second for first, second in places.tolist()]
    task, classifier = pair_teacher.task, pair_teacher.classifier
    assert classifier is not None
    assert targets.teacher is not None
    listed = {
        frozenset(row): int(label) for row, label in zip(task.train.inputs.tolist(), task.train.labels, strict=True)
    }
    for (first, second), label, logits in zip(places.tolist(), targets.labels[0], targets.teacher[0], strict=True):
        a, b = int(chosen[first]), int(chosen[second])
        assert label == listed.get(frozenset((a, b)), UNKNOWN)
        pair = [task.train.functions[a], task.train.functions[b]]
        np.testing.assert_allclose(
            logits.numpy(), classifier.predict_logits(pair, np.array([[0, 1]]))[0], rtol=1e-3, atol=1e-4
        )
    ids, mask = trainer.train.tokens.batch(chosen[[2]])
    torch.testing.assert_close(trainer.network.encode(ids, mask)[0], vectors[2], rtol=1e-4, atol=1e-5)


def test_a_diverging_training_says_so(single_teacher: Teacher, small_student: Configuration, tmp_path: Path) -> None:
    trainer = make_trainer(small_student, single_teacher, tmp_path)
    with torch.no_grad():
        trainer.network.classifier.out_proj.bias[0] = math.nan
    with pytest.raises(DivergenceError, match=r"the loss was nan by step 0 of epoch 1, at a learning rate of 0\.01"):
        trainer.run()


@pytest.mark.parametrize("which", ["pair_teacher", "single_teacher"])
def test_out_of_memory_halves_the_chunk_and_changes_nothing_else(
    which: str, request: pytest.FixtureRequest, small_student: Configuration, tmp_path: Path
) -> None:
    teacher: Teacher = request.getfixturevalue(which)
    student = without_dropout(small_student)
    plenty = make_trainer(student, teacher, tmp_path / "plenty")
    scarce = make_trainer(student, teacher, tmp_path / "scarce")
    encode = scarce.network.encode

    def failing(ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if len(ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(ids, mask)  # type: ignore[no-any-return]

    scarce.encoder.encode = failing
    plenty.encoder.is_packed = scarce.encoder.is_packed = False  # as on a GPU without Triton
    indices = plenty._plan(0)[0]
    expected, got = one_step(plenty, indices), one_step(scarce, indices)
    assert (scarce.encoder.size, scarce.encoder.is_recomputing) == (2, True)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    for first, second in zip(plenty.parameters, scarce.parameters, strict=True):
        assert (first - second).abs().max() < 3e-3  # AdamW's first step is the sign of a gradient, near 0 any


def test_memory_for_not_even_one_function(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    trainer = make_trainer(small_student, single_teacher, tmp_path)

    def failing(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    trainer.encoder.encode, trainer.encoder.is_packed = failing, False
    with pytest.raises(AvatarError, match="must hold the training step of one function"):
        trainer.run()


def test_patience_ends_a_training_with_a_fall_of_the_learning_rate_from_the_best_epoch(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    learnt = make_trainer(small_student, single_teacher, tmp_path / "learnt", epochs=20)
    assert learnt.run().valid["balanced_accuracy"] > 0.9
    started_from_best: list[int] = []

    def learns_no_more(name: str) -> Trainer:
        trainer = make_trainer(
            small_student, single_teacher, tmp_path / name, epochs=50, learning_rate=1e-4, patience=2
        )
        trainer.network.load_state_dict(learnt.network.state_dict())
        trainer.average = [parameter.detach().clone() for parameter in trainer.parameters]
        train_epoch = trainer.train_epoch

        def watched(epoch: int) -> torch.Tensor:
            if epoch and all(torch.equal(p, best) for p, best in zip(trainer.parameters, trainer.best, strict=True)):
                started_from_best.append(epoch)
            return train_epoch(epoch)

        trainer.train_epoch = watched  # type: ignore[method-assign]
        return trainer

    trainer = learns_no_more("whole")
    trainer.run()
    (done,) = started_from_best
    assert len(trainer.history) == done + math.ceil(done / 2) < 50
    assert not any(record.is_best for record in trainer.history[done - 2 : done])
    steps = trainer.steps_per_epoch
    assert trainer.schedule.rate_at(done * steps) > 0 == trainer.schedule.rate_at(len(trainer.history) * steps)

    for last in (done, done + 1):

        def interrupted(record: EpochRecord, last: int = last) -> None:
            if record.epoch == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            learns_no_more(f"twice-{last}").run(interrupted)
        again = learns_no_more(f"twice-{last}")
        again.run()
        assert [record.loss for record in again.history] == [record.loss for record in trainer.history]
        assert all(torch.equal(one, other) for one, other in zip(again.average, trainer.average, strict=True))


def test_patience_waits_for_a_network_that_has_not_begun_to_learn(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    trainer = make_trainer(small_student, single_teacher, tmp_path, epochs=8, learning_rate=1e-12, patience=2)
    assert trainer.run().valid["balanced_accuracy"] < 0.7
    assert len(trainer.history) == 8


def test_the_average_follows_the_weights(single_teacher: Teacher, small_student: Configuration, tmp_path: Path) -> None:
    trainer = make_trainer(small_student, single_teacher, tmp_path)
    start = trainer.average[0].clone()
    one_step(trainer, trainer._plan(0)[0])
    expected = start + (1 - 0.1) * (trainer.parameters[0].detach() - start)
    torch.testing.assert_close(trainer.average[0], expected)


def test_validation_figures_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    figures = validation_figures(logits, np.array([0, 0, 1, 0]))
    assert figures["accuracy"] == 0.75
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)


def test_listed_inputs_alone_teach_too(pair_teacher: Teacher, small_student: Configuration, tmp_path: Path) -> None:
    labels = {name: pair_teacher.logits(name) for name in ("train", "valid")}
    teacher = Teacher(source="soft", fingerprint="x", task=pair_teacher.task, classifier=None, soft_labels=labels)
    done = distil(
        hyperparameters=small_student,
        task=teacher.task,
        teacher=teacher,
        settings=DistillationSettings(epochs=4, max_train_inputs=64),
        out_dir=tmp_path,
    )
    assert done.history[-1].loss < done.history[0].loss


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9])
def test_token_dropout_hides_its_share_but_neither_padding_nor_the_first_token(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path, probability: float
) -> None:
    tokens = make_trainer(small_student, pair_teacher, tmp_path).train.tokens
    functions = np.arange(len(tokens))
    ids, _ = tokens.batch(functions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        given = tokens.with_dropout(ids, torch.arange(ids.shape[1]) == 0, probability)
    is_hidden = given != ids
    assert not is_hidden[:, 0].any()
    assert not is_hidden[ids == tokens.pad_token_id].any()
    assert (given[is_hidden] == tokens.mask_token_id).all()
    words = int((ids != tokens.pad_token_id).sum()) - len(tokens)
    assert abs(int(is_hidden.sum()) / words - probability) < 4 * math.sqrt(0.25 / words)
