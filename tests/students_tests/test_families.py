"""Families: the contract, held by the built-in one and by a stranger's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from avatar_optuna.exceptions import InputError
from avatar_optuna.schema import Job
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import FAMILIES, Hyperparameter
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.testing.students import check_declarations, check_family
from tests.stranger.bag_of_tokens import BAG_OF_TOKENS, BagOfTokens

SMALL_TRANSFORMERS = {
    "vocab_size": {"low": 200, "high": 500},
    "num_hidden_layers": [1, 2],
    "hidden_size": {"low": 8, "high": 24},
    "intermediate_size": {"low": 8, "high": 32},
    "num_attention_heads": [1, 2, 3],
    "max_sequence_length": {"low": 16, "high": 48},
    "pair_head": ["concatenation", "symmetric"],
}


@pytest.fixture
def bag_of_tokens() -> Iterator[BagOfTokens]:
    FAMILIES.register(BAG_OF_TOKENS.name, BAG_OF_TOKENS)
    yield BAG_OF_TOKENS
    FAMILIES.unregister(BAG_OF_TOKENS.name)


def test_the_transformer_family_keeps_the_contract(tmp_path: Path) -> None:
    check_family(TRANSFORMER, tmp_path, space=SearchSpace.from_mapping(SMALL_TRANSFORMERS), students=4)


def test_a_family_of_another_package_keeps_the_contract(bag_of_tokens: BagOfTokens, tmp_path: Path) -> None:
    check_family(bag_of_tokens, tmp_path)


def test_the_contract_finds_a_formula_that_is_not_that_of_the_network(
    bag_of_tokens: BagOfTokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BagOfTokens, "parameter_terms", lambda self, shape, task_shape: {"table": shape.vocab_size})
    with pytest.raises(AssertionError, match="num_parameters must be that of the network"):
        check_family(bag_of_tokens, tmp_path, students=1)


def test_the_contract_finds_what_distilling_reads_and_a_family_lacks(
    bag_of_tokens: BagOfTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(name: str) -> tuple[Hyperparameter, ...]:
        return tuple(spec for spec in BagOfTokens.hyperparameters if spec.name != name)

    class Lacking(BagOfTokens):
        name = "lacking"
        hyperparameters = without("learning_rate")

    FAMILIES.register("lacking", Lacking())
    try:
        with pytest.raises(AssertionError, match=r"must have \['learning_rate'\]"):
            check_declarations(FAMILIES.get("lacking"))
    finally:
        FAMILIES.unregister("lacking")


def test_a_space_of_another_family_is_stored_with_its_name(bag_of_tokens: BagOfTokens) -> None:
    space = SearchSpace.from_mapping({"family": "bag-of-tokens", "width": [4, 8]})
    stored = json.loads(json.dumps(space.to_dict()))
    assert stored["family"] == "bag-of-tokens"
    assert SearchSpace.from_dict(stored) == space
    with pytest.raises(InputError, match=r"space\.hidden_size: unknown hyperparameter, expected one of vocab_size, "):
        SearchSpace.from_mapping({"family": "bag-of-tokens", "hidden_size": 4})


def test_a_job_of_another_family_reads_back_equal(bag_of_tokens: BagOfTokens, student_values: dict[str, Any]) -> None:
    student = bag_of_tokens.configure(
        vocab_size=200, width=8, depth=1, max_sequence_length=64, learning_rate=1e-2, batch_size=8
    )
    job = Job(key="front/0/1", purpose="front", hyperparameters=student, epochs=2)
    trial = create_trial(
        state=TrialState.WAITING,
        params=student.to_dict(),
        distributions=dict(SearchSpace.default(bag_of_tokens).distributions),
        user_attrs=job.attributes(),
        system_attrs={"fixed_params": student.to_dict()},
    )
    assert Job.from_trial(trial) == job
    transformer = replace(job, hyperparameters=TRANSFORMER.configure(**student_values))
    assert "family" not in transformer.attributes(), "jobs of transformers are stored as before there were families"
