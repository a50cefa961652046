"""The exact front of small spaces, against looking at every configuration."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape, size_bytes
from avatar_optuna.feasibility import Feasibility
from avatar_optuna.pareto import non_dominated
from avatar_optuna.pareto.exact import exact_front
from avatar_optuna.space import SearchSpace
from avatar_optuna.students.transformer import TRANSFORMER
from tests.test_cost_model import make_cost_model

SPACE = {
    "tokenizer": ["BPE"],
    "vocab_size": [1000, 2000],
    "num_hidden_layers": [1, 3],
    "hidden_size": [16, 32],
    "hidden_act": ["gelu", "gelu_new"],
    "hidden_dropout_prob": [0.2],
    "intermediate_size": [32, 512],
    "num_attention_heads": [1, 4],
    "attention_probs_dropout_prob": [0.2],
    "max_sequence_length": [256, 512],
    "learning_rate": [1e-3],
    "batch_size": [16],
}
COST_MODEL = make_cost_model()


def _effectiveness(columns: ConfigurationTable) -> npt.NDArray[np.float64]:
    """Adds up over hyperparameters; gelu_new is better, and slower."""
    better = np.log(columns.hidden_size) + np.log(columns.num_hidden_layers) + 0.1 * np.log(columns.vocab_size)
    return np.asarray(better + 0.3 * (columns.hidden_act == "gelu_new") + 0.2 * columns.num_distance_products)


def _size(columns: ConfigurationTable) -> npt.NDArray[np.float64]:
    return np.asarray(size_bytes(columns, TaskShape(arity=2)), dtype=np.float64)[:, None]


def _size_and_latency(columns: ConfigurationTable) -> npt.NDArray[np.float64]:
    return np.column_stack([_size(columns), COST_MODEL(columns)])


@pytest.mark.parametrize(
    ("constraint", "costs", "names"),
    [
        ("position_embedding_type == 'relative_key'", _size, None),
        ("size_mb >= 0.3", _size, None),
        ("latency_ms <= 12", _size_and_latency, TRANSFORMER.device_names | {"vocab_size"}),
    ],
)
def test_it_is_the_front_of_all_configurations(
    constraint: str, costs: Callable[[ConfigurationTable], npt.NDArray[np.float64]], names: frozenset[str] | None
) -> None:
    space = SearchSpace.from_mapping(SPACE)
    feasibility = Feasibility(
        space=space, constraints=[constraint], task_shape=TaskShape(arity=2), predicted={"latency_ms": COST_MODEL}
    )
    options: dict[str, Any] = {} if names is None else {"cost_names": names}
    found = exact_front(feasibility, _effectiveness, costs, **options)
    axes = [np.arange(size) for size in feasibility.lattice.sizes]
    everything = feasibility.lattice.decode(np.asarray(list(product(*axes))))
    held = feasibility.holds(everything)
    columns = ConfigurationTable(
        family=TRANSFORMER, values={name: column[held] for name, column in everything.values.items()}
    )
    values = np.column_stack([-_effectiveness(columns), costs(columns)])
    expected = values[non_dominated(values)]
    assert len(expected) > 0
    assert np.unique(found.values, axis=0) == pytest.approx(np.unique(expected, axis=0))
