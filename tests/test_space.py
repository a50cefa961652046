from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from avatar_optuna.exceptions import InputError
from avatar_optuna.space import SearchSpace, contains_value, values_of
from avatar_optuna.students.transformer import TRANSFORMER


def test_the_papers_space() -> None:
    space = SearchSpace.paper()
    assert tuple(space.distributions) == TRANSFORMER.names[:13]
    assert space.distributions["vocab_size"] == IntDistribution(1000, 50265)
    assert values_of(space.distributions["hidden_dropout_prob"]) == (0.2, 0.3, 0.4, 0.5)


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
        assert set(values) == set(space.names)
        assert all(contains_value(space.distributions[name], value) for name, value in values.items())
    assert space.contains(TRANSFORMER.configure(**student_values))
    assert not space.contains(TRANSFORMER.configure(**{**student_values, "vocab_size": 999}))


def test_a_space_names_its_family_or_is_of_transformers() -> None:
    assert SearchSpace.from_mapping({}).family is TRANSFORMER
    for entry in ("transformer", ["transformer"]):
        assert SearchSpace.from_mapping({"family": entry, "vocab_size": 500}).family is TRANSFORMER


@pytest.mark.parametrize("entry", ["mamba", 3, [], ["transformer", "hashed"]])
def test_a_family_that_is_unknown_or_not_alone_is_refused(entry: Any) -> None:
    with pytest.raises(InputError, match=r"^space\.family: must be one of hashed, transformer, got"):
        SearchSpace.from_mapping({"family": entry})


def test_a_stored_space_reads_back_equal_and_is_what_it_was_before_there_were_families() -> None:
    space = SearchSpace.from_mapping({"vocab_size": [1000, 2000]})
    assert tuple(space.to_dict()) == space.names == TRANSFORMER.names[:13]
    assert SearchSpace.from_dict(space.to_dict()) == space
