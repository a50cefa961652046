"""What a study costs: added up over its runs, jobs by their own records, energy only where all of it was counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState

from avatar_optuna.pipeline._cost import Meter, add, counted
from avatar_optuna.schema import COST, PhaseCost, StudyCost
from avatar_optuna.settings import load_study_file
from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy, create_study
from avatar_optuna.testing.counters import ReplayedCounter
from tests.finished_study import FinishedStudy

STUDY = """
name = "cost"
[task]
kind = "python-clones"
[teacher]
soft_labels = "nowhere"
"""


@pytest.fixture
def study(tmp_path: Path) -> AvatarStudy:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return create_study(load_study_file(path), open_storage(f"sqlite:///{tmp_path}/s.db"), artifacts="nowhere")


def _phase(study: AvatarStudy, name: str) -> PhaseCost:
    return StudyCost.from_dict(study.read_attributes()[COST]).phases[name]


def test_phases_add_up_over_runs(study: AvatarStudy) -> None:
    add(study, "search", PhaseCost(seconds=2.0, energy_j=30.0, energy_source="nvml"))
    add(study, "search", PhaseCost(seconds=3.0, energy_j=12.0, energy_source="nvml"))
    add(study, "audit", PhaseCost(seconds=1.0))
    assert _phase(study, "search") == PhaseCost(seconds=5.0, energy_j=42.0, energy_source="nvml")
    assert _phase(study, "audit") == PhaseCost(seconds=1.0)


def test_energy_that_was_not_counted_once_is_not_known(study: AvatarStudy) -> None:
    add(study, "search", PhaseCost(seconds=2.0, energy_j=30.0, energy_source="nvml"))
    add(study, "search", PhaseCost(seconds=3.0))
    assert _phase(study, "search") == PhaseCost(seconds=5.0)
    add(study, "search", PhaseCost(seconds=1.0, energy_j=1.0, energy_source="nvml"))
    assert _phase(study, "search").energy_j is None


def test_a_block_that_fails_costs_nothing_and_one_that_ends_does(study: AvatarStudy) -> None:
    with pytest.raises(ValueError, match="lost"), counted(study, "audit", "cpu"):
        raise ValueError("lost")
    assert COST not in study.read_attributes()
    with counted(study, "audit", "cpu"):
        pass
    assert _phase(study, "audit").seconds >= 0


def test_a_replayed_counter_gives_the_joules_it_recorded() -> None:
    counter = ReplayedCounter([100.0, 142.5])
    meter = Meter(begun_s=0.0, counters=(counter,), begun_j=counter.read_j())
    spent = meter.spent()
    assert spent.energy_j == 42.5
    assert spent.energy_source == counter.source


def test_a_counter_that_fails_gives_no_number() -> None:
    counter = ReplayedCounter([100.0])  # and nothing after
    meter = Meter(begun_s=0.0, counters=(counter,), begun_j=counter.read_j())
    assert meter.spent().energy_j is None


def test_jobs_cost_what_their_own_records_say(finished_study: FinishedStudy) -> None:
    study = finished_study.open()
    trials = study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for phase, purpose in (("samples", "indicator"), ("distillation", "front")):
        seconds = [trial.user_attrs["seconds"] for trial in trials if trial.user_attrs["purpose"] == purpose]
        found = _phase(study, phase)
        assert found.jobs == len(seconds) > 0
        assert found.seconds == pytest.approx(sum(seconds))
    assert {"teacher", "search", "comparison"} <= set(StudyCost.from_dict(study.read_attributes()[COST]).phases)
