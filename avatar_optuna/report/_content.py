"""What a report shows: the view of a study, how its search went, and which student it recommends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from avatar_optuna.objectives import signs
from avatar_optuna.pareto import hypervolume, non_dominated
from avatar_optuna.report._recommendation import Recommendation, recommend
from avatar_optuna.schema import SearchResult
from avatar_optuna.view import StudyView

_VOLUMES = 50
_VOLUMES_OF_MANY_OBJECTIVES = 15


@dataclass(frozen=True, kw_only=True)
class Content(StudyView):
    """A study's view, and what the report derives from it.

    Args:
        volumes: By round: (configurations scored so far, share of the round's final hypervolume) as the search went on.
        recommendation: One of the students, with the reason.
    """

    volumes: Mapping[int, tuple[tuple[int, float], ...]]
    recommendation: Recommendation | None


def content_of(view: StudyView) -> Content:
    """All that a report shows of a study, finished or not."""
    objectives = view.settings.search.searched_objectives
    return Content(
        **{field.name: getattr(view, field.name) for field in fields(StudyView)},
        volumes={round_.number: volumes(round_.scored, objectives) for round_ in view.rounds},
        recommendation=recommend(view.students, view.metric),
    )


def volumes(scored: SearchResult, objectives: tuple[str, ...]) -> tuple[tuple[int, float], ...]:
    """How the hypervolume grew: (configurations scored, share of the final volume), at the ends of generations.

    Each objective is scaled to [0, 1] over the final front; the volume is taken below the point (1.1, 1.1, ...).
    """
    values = scored.values * signs(objectives)
    front = values[non_dominated(values)]
    low, span = front.min(axis=0), np.ptp(front, axis=0)
    scaled = (values - low) / np.where(span > 0, span, 1.0)
    corner = np.full(len(objectives), 1.1)
    ends = np.flatnonzero(np.diff(scored.generations, append=scored.generations[-1] + 1)) + 1
    most = _VOLUMES if len(objectives) <= 3 else _VOLUMES_OF_MANY_OBJECTIVES
    if len(ends) > most:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, most).round().astype(np.int64))]
    final = hypervolume(scaled, corner)
    return tuple((int(end), hypervolume(scaled[:end], corner) / final) for end in ends)
