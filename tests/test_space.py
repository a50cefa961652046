from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from avatar_optuna.exceptions import InputError
from avatar_optuna.hyperparameters import NAMES, Hyperparameters
from avatar_optuna.space import SearchSpace, contains_value, values_of


def test_the_papers_space() -> None:
    space = SearchSpace.paper()
    assert tuple(space.distributions) == NAMES
    assert space.distributions["vocab_size"] == IntDistribution(1000, 50265)
    assert values_of(space.distributions["hidden_dropout_prob"]) == (0.2, 0.3, 0.4, 0.5)
    # 4*49266*12*753*4*4*3057*12*4*257*3*3*3: table 1, multiplied out.
    expected = 4 * 49266 * 12 * 753 * 4 * 4 * 3057 * 12 * 4 * 257 * 3 * 3 * 3
    assert space.num_configurations() == expected


def test_entries_narrow_and_widen() -> None:
    space = SearchSpace.from_mapping(
        {
            "vocab_size": {"low": 500, "high": 4700, "step": 1000},
            "num_hidden_layers": 3,
            "batch_size": [8, 16],
            "hidden_dropout_prob": {"low": 0.0, "high": 0.25, "step": 0.1},
            "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        }
    )
    assert space.distributions["vocab_size"] == IntDistribution(500, 4500, step=1000)
    assert space.distributions["num_hidden_layers"] == CategoricalDistribution((3,))
    assert space.distributions["batch_size"] == CategoricalDistribution((8, 16))
    assert values_of(space.distributions["hidden_dropout_prob"]) == (0.0, 0.1, 0.2)
    assert space.distributions["learning_rate"] == FloatDistribution(1e-5, 1e-2, log=True)
    assert space.num_configurations() is None


@pytest.mark.parametrize(
    ("name", "entry", "rule"),
    [
        ("vocab", 5, "unknown hyperparameter"),
        ("vocab_size", [], "at least one value"),
        ("vocab_size", [1000, 1000], "may not repeat"),
        ("vocab_size", "1000", "whole number"),
        ("vocab_size", {"low": 10}, "low, high"),
        ("vocab_size", {"low": 2000, "high": 1000}, "must not exceed"),
        ("vocab_size", {"low": 1000, "high": 2000, "step": 0}, "step"),
        ("vocab_size", {"low": 1000, "high": 2000, "step": 5, "log": True}, "excludes"),
        ("tokenizer", {"low": 1, "high": 2}, "take a list"),
        ("tokenizer", ["bpe"], "one of BPE"),
        ("hidden_dropout_prob", {"low": 0.2, "high": float("nan")}, "must lie in"),
        ("hidden_dropout_prob", {"low": 0.2, "high": 0.3, "step": float("nan")}, "positive number"),
    ],
)
def test_bad_entries_name_the_key_and_the_rule(name: str, entry: Any, rule: str) -> None:
    with pytest.raises(InputError, match=rf"space\.{name}.*{rule}"):
        SearchSpace.from_mapping({name: entry})


def test_all_faults_at_once() -> None:
    with pytest.raises(InputError, match=r"space\.nope.*; space\.vocab_size"):
        SearchSpace.from_mapping({"nope": 1, "vocab_size": -1})


def test_suggest_draws_the_thirteen_within_the_space(student_values: dict[str, Any]) -> None:
    space = SearchSpace.paper()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        values = space.suggest(trial)
        assert set(values) == set(NAMES)
        assert all(contains_value(space.distributions[name], value) for name, value in values.items())
    assert space.contains(Hyperparameters(**student_values))
    assert not space.contains(Hyperparameters(**{**student_values, "vocab_size": 999}))
