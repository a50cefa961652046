"""Spaces of several families: read, stored, drawn from by any sampler, judged, tightened, predicted and searched."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FixedTrial, TrialState

from avatar_optuna.cost_model import CostModel
from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.exceptions import InfeasibleSpaceError, InputError, StoredValueError, StudyError
from avatar_optuna.feasibility import FeasibilityUnion, draw, feasibility_of, tighten
from avatar_optuna.indicator import IndicatorUnion
from avatar_optuna.objective import Objective
from avatar_optuna.pipeline._run import drawn_samples
from avatar_optuna.sampler import FeasibleNSGAIISampler
from avatar_optuna.schema import Job
from avatar_optuna.settings import IndicatorSettings, StudySettings, TaskSettings, TeacherSettings
from avatar_optuna.space import SearchSpace
from avatar_optuna.space_union import SpaceUnion, space_from_dict, space_from_mapping
from avatar_optuna.students import Configuration
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.students.transformer import TRANSFORMER

ENTRIES: dict[str, Any] = {
    "family": ["transformer", "hashed"],
    "precision": ["float32", "int8", "int4"],
    "hidden_dropout_prob": 0.1,
    "transformer": {
        "vocab_size": {"low": 200, "high": 2_000},
        "num_hidden_layers": [1, 2],
        "hidden_size": {"low": 8, "high": 64},
        "intermediate_size": {"low": 8, "high": 64},
        "precision": "float16",
    },
    "hashed": {"buckets": {"low": 64, "high": 4_096}, "width": {"low": 4, "high": 32}},
}
SHAPE = TaskShape(arity=2)
CONSTRAINTS = ("size_mb <= 0.1", "hidden_size % 8 == 0", "num_hidden_layers <= 1")


@pytest.fixture(scope="module")
def space() -> SpaceUnion:
    read = space_from_mapping(ENTRIES)
    assert isinstance(read, SpaceUnion)
    return read


@pytest.fixture(scope="module")
def feasibility(space: SpaceUnion) -> FeasibilityUnion:
    judge = feasibility_of(space, constraints=CONSTRAINTS, task_shape=SHAPE)
    assert isinstance(judge, FeasibilityUnion)
    return judge


@pytest.fixture(scope="module")
def students(feasibility: FeasibilityUnion) -> list[Configuration]:
    return draw(feasibility, 41, seed=0, pool=2_000)


def _effectiveness(student: Configuration) -> float:
    """Larger is better, and hashed students of one size are better than transformers."""
    bonus = 0.1 if student.family is HASHED else 0.0
    return float(0.5 + bonus + 0.03 * np.log2(size_bytes(student, SHAPE) / 1_000))


@pytest.fixture(scope="module")
def indicator(space: SpaceUnion, students: list[Configuration]) -> IndicatorUnion:
    return IndicatorUnion.fit(students, [_effectiveness(student) for student in students], space=space)


def test_a_key_of_the_space_holds_for_all_families_that_have_it_and_a_table_goes_before(space: SpaceUnion) -> None:
    transformer, hashed = space.members
    assert (transformer.family, hashed.family) == (TRANSFORMER, HASHED)
    assert [member.distributions["hidden_dropout_prob"].choices for member in space.members] == [(0.1,), (0.1,)]  # type: ignore[attr-defined]
    assert transformer.distributions["precision"].choices == ("float16",)  # type: ignore[attr-defined]
    assert hashed.distributions["precision"].choices == ("float32", "int8", "int4")  # type: ignore[attr-defined]
    assert hashed.distributions["width"].high == 32  # type: ignore[attr-defined]


def test_one_family_may_have_its_table(space: SpaceUnion) -> None:
    flat = SearchSpace.from_mapping({"family": "hashed", **ENTRIES["hashed"]})
    assert space_from_mapping({"family": "hashed", "hashed": ENTRIES["hashed"]}) == flat
    assert space_from_mapping({"family": ["hashed"], **ENTRIES["hashed"]}) == flat
    plain = space_from_mapping({"transformer": {"hidden_size": 16}})
    assert plain == SearchSpace.from_mapping({"hidden_size": 16})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"family": ["hashed", "hashed"]}, r"^space\.family: a list must name each family once, got \["),
        ({"family": ["hashed", "mamba"]}, r"^space\.family: must be one of hashed, transformer, got 'mamba'"),
        ({"nope": 1}, r"^space\.nope: must be a hyperparameter of transformer or hashed, or the table of one of them$"),
        ({"hashed": 3}, r"^space\.hashed: must be a table of its hyperparameters, got 3"),
        ({"hashed": {"hidden_size": 3}}, r"^space\.hashed\.hidden_size: unknown hyperparameter, expected one of grams"),
        (
            {"hashed": {"width": -1}, "batch_size": 0},
            r"^space\.batch_size: must lie .*; space\.hashed\.width: must lie",
        ),
        ({"hashed": {"family": "hashed"}}, r"^space\.hashed: must be a table of its hyperparameters, got \{"),
    ],
)
def test_faults_are_named_with_their_place(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        space_from_mapping({**ENTRIES, **change})


def test_it_reads_back_equal(space: SpaceUnion) -> None:
    assert space_from_dict(json.loads(json.dumps(space.to_dict()))) == space


def test_a_trial_has_the_parameters_of_its_family_alone(space: SpaceUnion) -> None:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=5))
    families = set()
    for number in range(20):
        trial = study.ask()
        params = space.suggest(trial)
        name = params["family"]
        families.add(name)
        assert trial.params == params
        assert list(params) == ["family", *(f"{name}.{key}" for key in space.member(name).names)]
        if space.is_student(params):
            student = space.configuration(params)
            assert space.contains(student)
            assert space.params(student) == params
        study.tell(trial, float(number))
    assert families == {"transformer", "hashed"}


def test_a_constraint_binds_the_families_that_have_its_names(feasibility: FeasibilityUnion) -> None:
    texts = [[constraint.text for constraint in judge.constraints] for judge in feasibility.members]
    assert texts == [
        ["hidden_size % num_attention_heads == 0", *CONSTRAINTS],
        ["size_mb <= 0.1", "num_hidden_layers <= 1"],
    ]


def test_what_no_member_of_a_family_satisfies_is_refused_with_its_name(space: SpaceUnion) -> None:
    with pytest.raises(InfeasibleSpaceError, match=r"no configuration of the family hashed satisfies .*'buckets < 64'"):
        feasibility_of(space, constraints=["buckets < 64"], task_shape=SHAPE)


def test_students_are_drawn_by_turns_and_are_feasible(
    students: list[Configuration], feasibility: FeasibilityUnion, space: SpaceUnion
) -> None:
    names = [student.family.name for student in students]
    assert names == (["transformer", "hashed"] * 21)[:41]
    assert len(set(students)) == len(students)
    for student in students:
        assert space.contains(student)
        assert feasibility.check(space.params(student)).feasible
        assert size_bytes(student, SHAPE) <= 100_000
    broken = space.params(
        next(s for s in students if s.family is HASHED).replace(buckets=4_096, width=32, precision="float32")
    )
    assert "size_mb <= 0.1 is broken" in str(feasibility.check(broken).reason)


def test_ranges_have_the_names_of_parameters(feasibility: FeasibilityUnion, space: SpaceUnion) -> None:
    tightened = tighten(feasibility, draws=4_000)
    assert set(tightened.ranges) == set(tightened.asked) == set(space.distributions)
    assert tightened.ranges["family"] == ("transformer", "hashed")
    assert tightened.asked["transformer.hidden_size"] == (8, 64)
    assert tightened.ranges["hashed.num_hidden_layers"] == (0, 1)
    alone = [tighten(judge, draws=2_000) for judge in feasibility.members]
    assert tightened.share == pytest.approx(np.mean([one.share for one in alone]))
    assert tightened.exact


def test_each_family_has_its_own_regression(indicator: IndicatorUnion, students: list[Configuration]) -> None:
    means, stds = indicator.predict(students)
    for name, own in indicator.members.items():
        rows = [index for index, student in enumerate(students) if student.family.name == name]
        expected = own.predict([students[index] for index in rows])
        assert np.allclose([means[rows], stds[rows]], expected)
    assert indicator.num_samples == 41
    told = indicator.rankable(students)
    assert (told == told.T).all()
    assert (indicator.can_rank_neighbours(students) == np.diag(told, 1)).all()
    smallest, largest = min(students, key=_effectiveness), max(students, key=_effectiveness)
    assert smallest.family is not largest.family
    assert indicator.rankable([smallest, largest])[0, 1]
    low, high = indicator.rank_correlation_interval
    assert low <= indicator.rank_correlation <= high


def test_it_is_stored_by_family(indicator: IndicatorUnion, students: list[Configuration]) -> None:
    read = IndicatorUnion.from_dict(json.loads(json.dumps(indicator.to_dict())))
    assert np.array_equal(read.predict(students), indicator.predict(students))
    with pytest.raises(StoredValueError):
        IndicatorUnion.from_dict({"members": 3})


def test_a_family_with_too_few_samples_is_named(space: SpaceUnion, students: list[Configuration]) -> None:
    few = [student for student in students if student.family is TRANSFORMER] + students[1:4:2]
    with pytest.raises(StudyError, match="of the family hashed: the indicator needs at least 4"):
        IndicatorUnion.fit(few, [0.5] * len(few), space=space)


def test_one_cost_model_predicts_students_of_all_families(students: list[Configuration]) -> None:
    measured = [flops(student, SHAPE) / (1e6 if student.family is HASHED else 2e6) + 0.5 for student in students]
    model = CostModel.fit("latency_ms", students, measured, SHAPE, device={"name": "cpu", "model": "x", "threads": 1})
    assert model.family == "transformer,hashed"
    read = CostModel.from_dict(json.loads(json.dumps(model.to_dict())))
    predicted = [float(read(student)) for student in students]
    assert np.median(np.abs(np.log(np.asarray(predicted) / measured))) < 0.1
    bound = (max(measured) + min(measured)) / 2
    space = space_from_mapping(ENTRIES)
    judge = feasibility_of(
        space, constraints=[f"latency_ms <= {bound!r}"], task_shape=SHAPE, predicted={"latency_ms": read}
    )
    for student, value in zip(students, predicted, strict=True):
        assert judge.check(space.params(student)).feasible == (value <= bound)


def _search(study: optuna.Study, objective: Objective, sampler: FeasibleNSGAIISampler, count: int) -> None:
    study.sampler = sampler
    study.optimize(objective, n_trials=count)


def test_a_search_proposes_all_families_and_goes_on_where_it_was_stopped(
    space: SpaceUnion, feasibility: FeasibilityUnion, indicator: IndicatorUnion
) -> None:
    objective = Objective(
        space=space,
        task_shape=SHAPE,
        objectives=("effectiveness", "size_bytes"),
        feasibility=feasibility,
        indicator=indicator,
    )

    def sampler() -> FeasibleNSGAIISampler:
        return FeasibleNSGAIISampler(
            feasibility=feasibility, population_size=15, seed=1, costs=objective.costs, cost_names=objective.cost_names
        )

    whole, parts = (optuna.create_study(directions=["maximize", "minimize"]) for _ in range(2))
    _search(whole, objective, sampler(), 70)
    for count in (16, 23, 31):
        _search(parts, objective, sampler(), count)
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]
    assert {trial.state for trial in whole.trials} == {TrialState.COMPLETE}
    found = [space.configuration(trial.params) for trial in whole.trials]
    assert len(set(found)) == 70
    counts = [sum(student.family is family for student in found) for family in (TRANSFORMER, HASHED)]
    assert min(counts) >= 30
    for trial, student in zip(whole.trials, found, strict=True):
        assert trial.values[1] == size_bytes(student, SHAPE)
        assert objective(FixedTrial(trial.params)) == tuple(trial.values)


def test_a_job_reads_back_equal(space: SpaceUnion, students: list[Configuration]) -> None:
    for student in students[:2]:
        job = Job(key="front/0/1", purpose="front", hyperparameters=student, epochs=2)
        params = space.params(student)
        trial = optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=params,
            distributions={name: space.distributions[name] for name in params},
            user_attrs=job.attributes(),
            system_attrs={"fixed_params": params},
        )
        assert Job.from_trial(trial) == job


def test_too_few_samples_for_each_family_are_refused(feasibility: FeasibilityUnion, space: SpaceUnion) -> None:
    settings = StudySettings(
        name="few",
        task=TaskSettings(kind="python-clones"),
        teacher=TeacherSettings(pretrained="nowhere"),
        space=space,
        indicator=IndicatorSettings(samples=7),
    )
    with pytest.raises(InputError, match=r"^indicator\.samples must be at least 4 for each of 2 families, got 7$"):
        drawn_samples(feasibility, settings)
    assert StudySettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
