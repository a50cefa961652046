"""The scored configurations of one round of the search, as they stand in its trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.schema._attributes import GENERATION, PREDICTED_STD, ROUND
from avatar_optuna.space_union import StudySpace
from avatar_optuna.students import Configuration

_PAUSE = timedelta(seconds=1)
"""Between trials of one run less time passes than this: it is spent on storing them."""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The scored configurations of one round of the search.

    Args:
        numbers: Shape (trials,): trial numbers in the search study.
        students: The configurations.
        values: Shape (trials, objectives).
        predicted_std: Shape (trials,).
        generations: Shape (trials,): the generation that drew each.
        seconds: Time that the search took, all its runs together.
    """

    numbers: npt.NDArray[np.int64]
    students: tuple[Configuration, ...]
    values: npt.NDArray[np.float64]
    predicted_std: npt.NDArray[np.float64]
    generations: npt.NDArray[np.int64]
    seconds: float

    def __len__(self) -> int:
        return len(self.students)

    @classmethod
    def from_trials(
        cls, trials: Sequence[FrozenTrial], *, round_: int, space: StudySpace, num_objectives: int
    ) -> SearchResult:
        """Select a round's scored trials.

        Args:
            trials: Trials of the search study, in any state.
            round_: The round, from 0.
            space: From which the trials were drawn.
            num_objectives: How many values each scored trial has.
        """
        scored = [
            trial
            for trial in trials
            if trial.state is TrialState.COMPLETE
            and trial.user_attrs.get(ROUND) == round_
            and GENERATION in trial.user_attrs
        ]
        return cls(
            numbers=np.asarray([trial.number for trial in scored], dtype=np.int64),
            students=tuple(space.configuration(trial.params) for trial in scored),
            values=np.asarray([trial.values for trial in scored], dtype=np.float64).reshape(-1, num_objectives),
            predicted_std=np.asarray([trial.user_attrs[PREDICTED_STD] for trial in scored], dtype=np.float64),
            generations=np.asarray([trial.user_attrs[GENERATION] for trial in scored], dtype=np.int64),
            seconds=_seconds(scored),
        )


def _seconds(trials: Sequence[FrozenTrial]) -> float:
    """Time that trials took together, what ran at once counted once; pauses between the runs of a search left out."""
    spans = sorted((t.datetime_start, t.datetime_complete) for t in trials if t.datetime_start and t.datetime_complete)
    total, last = timedelta(), None
    for start, end in spans:
        begun = start if last is None or start - last > _PAUSE else last
        total += max(end - begun, timedelta())
        last = end if last is None else max(last, end)
    return total.total_seconds()
