"""Oracle: torch's FlopCounterMode over transformers' own RoBERTa."""

from __future__ import annotations

from typing import Any

import pytest

from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER


@pytest.mark.parametrize(("layers", "length"), [(1, 16), (3, 40)])
def test_absolute_students_count_as_torch_counts(student_values: dict[str, Any], layers: int, length: int) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import RobertaConfig, RobertaForSequenceClassification

    student = TRANSFORMER.configure(**{**student_values, "num_hidden_layers": layers, "max_sequence_length": length})
    config = RobertaConfig(
        vocab_size=student.vocab_size,
        hidden_size=student.hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=student.num_attention_heads,
        intermediate_size=student.intermediate_size,
        max_position_embeddings=length + 2,
        type_vocab_size=1,
        num_labels=2,
        attn_implementation="eager",
    )
    model = RobertaForSequenceClassification(config).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.full((1, length), 5))
    assert flops(student, TaskShape(arity=1)) == counter.get_total_flops()


def test_a_pair_encodes_two_functions(student: Configuration) -> None:
    single, pair = (
        TRANSFORMER.flops_terms(student, task_shape) for task_shape in (TaskShape(arity=1), TaskShape(arity=2))
    )
    assert single.pop("head_output") == pair.pop("head_output")
    assert {name: 2 * term for name, term in single.items()} == pair
