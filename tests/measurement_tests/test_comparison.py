"""The FLOPs that a comparison states, against the formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement import forward_flops
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.students.transformer.tokenizers import train_tokenizer

_DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", _DEVICES)
@pytest.mark.parametrize("arity", [1, 2])
def test_the_flops_of_a_teacher_hold_its_attention(student_values: dict[str, Any], arity: int, device: str) -> None:
    """At 120 tokens and a width of 32 attention is most of them: torch does not count its own fused kernel's."""
    values = {**student_values, "num_hidden_layers": 2, "hidden_size": 32, "max_sequence_length": 120}
    student, task_shape = TRANSFORMER.configure(**values), TaskShape(arity=arity)
    classifier = Classifier(
        network=TRANSFORMER.build_network(student, task_shape).to(device).eval(),
        tokenizer=train_tokenizer("BPE", student.vocab_size, ["int f() { return 0; }"]),
        task_shape=task_shape,
        label_names=("a", "b"),
        max_sequence_length=student.max_sequence_length,
        device=torch.device(device),
    )
    assert forward_flops(classifier) == flops(student, task_shape)
    without_attention = flops(student, task_shape) - arity * 2 * 2 * 2 * 120 * 120 * 32
    assert forward_flops(classifier) > 1.3 * without_attention
