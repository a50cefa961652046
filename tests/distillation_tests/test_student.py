"""Oracles: transformers' own RoBERTa on the same weights, a brute-force formula, and the cost formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSequenceClassification, RobertaForSequenceClassification

from avatar_optuna.costs import TaskShape, flops, num_parameters, size_bytes
from avatar_optuna.distillation import StudentConfig, StudentForSequenceClassification
from avatar_optuna.exceptions import InputError
from avatar_optuna.students import Configuration
from avatar_optuna.students.dropout import Dropout
from avatar_optuna.students.transformer import ACTIVATIONS, POSITION_EMBEDDING_TYPES, TRANSFORMER
from avatar_optuna.students.transformer._encoder import SelfAttention, skew
from tests.strategies import small_students

FORMS = st.builds(TaskShape, arity=st.sampled_from([1, 2]), num_labels=st.sampled_from([2, 5]))


def _build(student: Configuration, task_shape: TaskShape) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    model = StudentForSequenceClassification(StudentConfig.from_hyperparameters(student, task_shape)).eval()
    for parameter in model.parameters():  # larger than at the start, so that a wrong path shows in the logits
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def _functions(count: int, length: int, vocab_size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, vocab_size, (count, length), generator=generator)
    ids[:, 0], ids[:, -1] = 0, 2
    return ids


def _padded(ids: Tensor, by: int) -> Tensor:
    return torch.cat([ids, torch.ones(ids.shape[0], by, dtype=ids.dtype)], dim=1)


@settings(max_examples=30, deadline=None)
@given(small_students(), FORMS)
def test_the_built_student_has_the_parameters_that_the_formula_counts(
    student: Configuration, task_shape: TaskShape
) -> None:
    model = _build(student, task_shape)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(student, task_shape)
    assert len(model.state_dict()) == TRANSFORMER.num_tensors(student)


def test_a_symmetric_head_does_not_depend_on_the_order_of_a_pair(small_student: Configuration) -> None:
    ids = _functions(6, 12, small_student.vocab_size)
    swapped = ids.reshape(3, 2, -1).flip(1).reshape(6, -1)
    for pair_head, is_same in (("symmetric", True), ("concatenation", False)):
        model = _build(small_student.replace(pair_head=pair_head), TaskShape(arity=2))
        assert torch.equal(model(ids).logits, model(swapped).logits) == is_same
    single = _build(small_student.replace(pair_head="symmetric"), TaskShape(arity=1))
    assert not single.config.is_symmetric, "single functions have the head of RoBERTa"


@settings(max_examples=15, deadline=None)
@given(small_students(), FORMS)
def test_the_flops_are_what_torch_counts(student: Configuration, task_shape: TaskShape) -> None:
    model = _build(student, task_shape)
    ids = _functions(task_shape.arity, student.max_sequence_length, student.vocab_size)
    # The fused CPU kernel hides its products from the counter; the plain one shows them.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(ids)
    assert counter.get_total_flops() == flops(student, task_shape)


@settings(max_examples=15, deadline=None)
@given(student=small_students(), task_shape=FORMS)
def test_the_file_weighs_at_most_what_was_predicted(
    student: Configuration, task_shape: TaskShape, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("student")
    _build(student, task_shape).save_pretrained(folder)
    size = (folder / "model.safetensors").stat().st_size
    assert TRANSFORMER.size_terms(student, task_shape)["weights"] < size <= size_bytes(student, task_shape)


def test_the_largest_names_still_fit_the_predicted_header(tmp_path: Path, student_values: dict[str, Any]) -> None:
    values = {**student_values, "position_embedding_type": "relative_key", "vocab_size": 50_265, "hidden_size": 192}
    student = TRANSFORMER.configure(**values)
    _build(student, TaskShape(arity=2)).save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size <= size_bytes(student, TaskShape(arity=2))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_plain_student_is_stock_roberta(tmp_path: Path, student_values: dict[str, Any], activation: str) -> None:
    values = {**student_values, "num_hidden_layers": 2, "max_sequence_length": 40, "hidden_act": activation}
    model = _build(TRANSFORMER.configure(**values), TaskShape(arity=1))
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "roberta"
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(stock) is RobertaForSequenceClassification
    ids = torch.cat([_functions(2, 40, 1000), _padded(_functions(2, 25, 1000), 15)])
    with torch.no_grad():
        torch.testing.assert_close(
            stock.eval()(ids, attention_mask=ids != 1).logits, model(ids).logits, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
@pytest.mark.parametrize("task_shape", [TaskShape(arity=1), TaskShape(arity=2)])
def test_saved_and_loaded_by_the_auto_classes(
    tmp_path: Path, student_values: dict[str, Any], kind: str, task_shape: TaskShape
) -> None:
    values = {**student_values, "num_hidden_layers": 2, "max_sequence_length": 30, "position_embedding_type": kind}
    model = _build(TRANSFORMER.configure(**values), task_shape)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = _functions(4, 30, 1000)
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids, attention_mask=ids != 1).logits, model(ids).logits, rtol=0, atol=1e-6)
    if task_shape.is_pair or kind != "absolute":
        assert isinstance(loaded, StudentForSequenceClassification)
        config = AutoConfig.from_pretrained(tmp_path)
        assert (config.position_embedding_type, config.num_functions) == (kind, task_shape.arity)
        assert config.max_sequence_length == 30


def _brute_force_attention(attention: SelfAttention, vectors: Tensor, real: Tensor) -> Tensor:
    """Scores one by one, as the formula reads: (q_l . k_r + q_l . e(l-r) [+ k_r . e(l-r)]) / sqrt(d)."""
    query, key, value = (
        attention._split(project(vectors)) for project in (attention.query, attention.key, attention.value)
    )
    functions, heads, tokens, size = query.shape
    table = attention.distance_embedding.weight
    mixed = torch.zeros_like(value)
    for n in range(functions):
        for h in range(heads):
            for left in range(tokens):
                scores = []
                for right in range(tokens):
                    distance = table[left - right + attention.longest - 1]
                    score = query[n, h, left] @ key[n, h, right] + query[n, h, left] @ distance
                    if attention.num_distance_products == 2:
                        score = score + key[n, h, right] @ distance
                    scores.append(score / math.sqrt(size) if real[n, right] else torch.tensor(-math.inf))
                mixed[n, h, left] = torch.softmax(torch.stack(scores), dim=0) @ value[n, h]
    return mixed.transpose(1, 2).reshape(vectors.shape)


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
@pytest.mark.parametrize("length", [1, 2, 7, 9])
def test_relative_positions_by_brute_force(student_values: dict[str, Any], kind: str, length: int) -> None:
    values = {**student_values, "hidden_size": 12, "num_attention_heads": 3, "max_sequence_length": 9}
    model = _build(TRANSFORMER.configure(**{**values, "position_embedding_type": kind}), TaskShape(arity=1))
    attention = model.roberta.encoder["layer"][0].attention.self
    vectors = torch.randn(2, length, 12, generator=torch.Generator().manual_seed(1))
    real = torch.ones(2, length, dtype=torch.bool)
    real[1, (length + 1) // 2 :] = False
    bias = torch.zeros(2, 1, 1, length).masked_fill(~real[:, None, None], torch.finfo(torch.float32).min)
    with torch.no_grad():
        expected = _brute_force_attention(attention, vectors, real)
        torch.testing.assert_close(attention(vectors, bias), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_skew_reads_the_anti_diagonals(tokens: int) -> None:
    table = torch.arange(tokens * (2 * tokens - 1)).reshape(1, tokens, 2 * tokens - 1)
    expected = [[table[0, r, tokens - 1 - r + c].item() for c in range(tokens)] for r in range(tokens)]
    assert skew(table)[0].tolist() == expected


@settings(max_examples=15, deadline=None)
@given(small_students(), FORMS, st.integers(1, 6))
def test_padding_never_changes_a_logit(student: Configuration, task_shape: TaskShape, by: int) -> None:
    model = _build(student, task_shape)
    length = student.max_sequence_length - by
    ids = _functions(2, length, student.vocab_size)
    with torch.no_grad():
        torch.testing.assert_close(model(_padded(ids, by)).logits, model(ids).logits, rtol=1e-4, atol=1e-4)


def test_a_pair_is_two_rows(student: Configuration) -> None:
    model = _build(student, TaskShape(arity=2))
    ids = _functions(4, 20, 1000)
    with torch.no_grad():
        vectors = model.encode(ids)
        by_hand = model.classify(torch.cat([vectors[[0, 2]], vectors[[1, 3]]], dim=1))
        torch.testing.assert_close(model(ids).logits, by_hand)
        loss = model(ids, labels=torch.tensor([0, 1])).loss
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(by_hand, torch.tensor([0, 1])))


def test_gradients_reach_every_parameter_but_padding(student_values: dict[str, Any]) -> None:
    values = {**student_values, "num_hidden_layers": 2, "position_embedding_type": "relative_key_query"}
    model = _build(TRANSFORMER.configure(**values), TaskShape(arity=2)).train()
    model(_padded(_functions(2, 30, 1000), 4), labels=torch.tensor([1])).loss.backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "key.bias" not in n
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [({"position_embedding_type": "rotary"}, "must be one of absolute"), ({"num_attention_heads": 7}, "must divide")],
)
def test_a_student_that_cannot_be_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StudentConfig(**values)


def test_a_sequence_beyond_the_table_is_refused(student_values: dict[str, Any]) -> None:
    values = {**student_values, "position_embedding_type": "relative_key", "max_sequence_length": 8}
    with pytest.raises(InputError, match="at most 8 tokens, got 9"):
        _build(TRANSFORMER.configure(**values), TaskShape(arity=1))(_functions(1, 9, 1000))


@pytest.mark.parametrize("probability", [0.1, 0.2, 0.5])
def test_dropout_keeps_the_mean_and_drops_its_share(probability: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(probability).train()(torch.ones(1000, 1001))
    assert (dropped == 0).float().mean().item() == pytest.approx(probability, abs=0.004)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.003)
    assert len(dropped.unique()) == 2
    columns = (dropped == 0).float().mean(dim=0)  # every element is dropped alike, wherever it lies in a draw
    assert (columns.max() - columns.min()).item() < 0.2
    assert Dropout(probability).eval()(dropped) is dropped


def test_attention_in_training_is_scaled_dot_product_attention(student_values: dict[str, Any]) -> None:
    values = {**student_values, "hidden_size": 12, "num_attention_heads": 3, "max_sequence_length": 9}
    model = _build(
        TRANSFORMER.configure(**{**values, "position_embedding_type": "relative_key"}), TaskShape(arity=1)
    ).train()
    attention = model.roberta.encoder["layer"][0].attention.self
    attention.dropout.probability = 1e-9  # active, and drops nothing
    vectors = torch.randn(2, 9, 12)
    bias = torch.zeros(2, 1, 1, 9)
    bias[1, ..., 5:] = torch.finfo(torch.float32).min
    torch.testing.assert_close(attention(vectors, bias), attention.eval()(vectors, bias))
