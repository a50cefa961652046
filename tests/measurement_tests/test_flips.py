"""Flips of a classifier, held to asking it for one input at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Classifier
from avatar_optuna.edits import edited, label_flips, num_unedited
from avatar_optuna.measurement import count_flips
from avatar_optuna.metrics import share_interval, wilson
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.students.transformer.tokenizers import train_tokenizer
from avatar_optuna.tasks import Split

FUNCTIONS = tuple(f"int f{n}(int first, int *second) {{ int total = {n}; return total + first; }}" for n in range(8))


@pytest.mark.parametrize("arity", [1, 2])
def test_an_input_is_flipped_where_any_edit_changes_its_label(student_values: dict[str, Any], arity: int) -> None:
    """Oracle: each input and each of its variants asked for alone."""
    values = {**student_values, "num_hidden_layers": 1, "hidden_size": 16, "max_sequence_length": 64}
    student, task_shape = TRANSFORMER.configure(**values), TaskShape(arity=arity)
    torch.manual_seed(0)
    network = TRANSFORMER.build_network(student, task_shape).eval()
    for parameter in network.classifier.parameters():
        parameter.data.mul_(50)  # so that small changes of a text change labels
    classifier = Classifier(
        network=network,
        tokenizer=train_tokenizer("BPE", student.vocab_size, FUNCTIONS),
        task_shape=task_shape,
        label_names=("a", "b"),
        max_sequence_length=64,
        device=torch.device("cpu"),
    )
    inputs = np.random.default_rng(0).integers(len(FUNCTIONS), size=(30, arity)).astype(np.int32)
    split = Split(functions=FUNCTIONS, inputs=inputs, labels=np.zeros(30, dtype=np.int64))
    variants = edited(FUNCTIONS, "c", count=3)

    def label(texts: tuple[str, ...], row: Any) -> int:
        asked = [texts[place] for place in row]
        return int(classifier.predict_logits(asked, np.arange(arity)[None].astype(np.int32)).argmax())

    # A median of the margins as bias: some inputs are near to it.
    margins = np.diff(classifier.predict_logits(FUNCTIONS, inputs), axis=1)
    network.classifier.out_proj.bias.data[1] -= float(np.median(margins))
    expected = sum(any(label(texts, row) != label(FUNCTIONS, row) for texts in variants) for row in inputs)
    flips = count_flips(classifier, split, variants)
    assert (flips.flipped, flips.inputs, flips.edits) == (expected, 30, 3)
    assert 0 < flips.share == expected / 30 < 1
    assert flips.interval[0] <= flips.share <= flips.interval[1]


def test_the_interval_is_wilson_s_and_for_pairs_not_narrower() -> None:
    rng = np.random.default_rng(0)
    is_counted = rng.random(200) < 0.1
    alone = np.arange(200)[:, None]
    assert share_interval(is_counted, alone) == wilson(int(is_counted.sum()), 200)
    pairs = rng.integers(12, size=(200, 2))  # few functions: those of resampled functions are far wider
    low, high = share_interval(pairs[:, 0] == 3, pairs)
    own_low, own_high = wilson(int((pairs[:, 0] == 3).sum()), 200)
    assert low <= own_low
    assert high > own_high


def test_functions_that_no_edit_changes_are_counted() -> None:
    functions = (*FUNCTIONS[:3], "((((", "int f(void);")
    variants = edited(functions, "c", count=2)
    assert num_unedited(functions, variants) == 2
    labels = np.zeros(5, dtype=np.int64)
    is_flipped = label_flips(
        lambda texts: np.array([t != f for t, f in zip(texts, functions, strict=True)]), labels, variants
    )
    assert is_flipped.tolist() == [True, True, True, False, False]
