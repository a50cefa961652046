"""What a report shows: the view of a study, how its search went, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from avatar_optuna.data_audit import findings, mend
from avatar_optuna.objectives import OBJECTIVES, signs
from avatar_optuna.pareto import hypervolume, non_dominated
from avatar_optuna.report._funnel import funnel_of
from avatar_optuna.schema import SearchResult
from avatar_optuna.verdict import Recommendation, Verdict, proposal, verdict_of
from avatar_optuna.view import DistilledStudent, StudyView
from avatar_optuna.words import count

_VOLUMES = 50
_VOLUMES_OF_MANY_OBJECTIVES = 15


@dataclass(frozen=True, kw_only=True)
class Content(StudyView):
    """A study's view, and what the report derives from it.

    Args:
        volumes: By round: (configurations scored so far, share of the round's final hypervolume) as the search went on.
        verdict: Whether its students are any good, and which one to take.
    """

    volumes: Mapping[int, tuple[tuple[int, float], ...]]
    verdict: Verdict

    @property
    def recommendation(self) -> Recommendation | None:
        """One of the students that are better than chance and the baseline beyond noise, with the reason."""
        return self.verdict.recommendation

    @property
    def scored(self) -> dict[int, int]:
        """By round that has begun: how many configurations it scored."""
        return {round_.number: len(round_.scored) for round_ in self.rounds}

    @property
    def funnel(self) -> list[tuple[str, int]]:
        """How many configurations came how far."""
        return funnel_of(self, scored=sum(self.scored.values()), on_predicted_front=len(self.predicted_front))

    @property
    def shown_student(self) -> DistilledStudent | None:
        """The one that is recommended, else the most effective; None where none is distilled."""
        if self.recommendation is not None:
            return self.recommendation.student
        return self.students[0] if self.students else None

    @property
    def proposal(self) -> str | None:
        """How to search by latency where FLOPs do not stand in for it."""
        return proposal(self.settings, self.audit) if self.audit is not None else None

    @property
    def label_names(self) -> Sequence[str]:
        """Of the task, as its figures name them; "the second label" where an earlier version measured them."""
        figures = self.students[0].result.test if self.students else {}
        return list(figures.get("by_class", ("the first label", "the second label")))

    @property
    def uncompared(self) -> list[str]:
        """Students that have not been timed side by side with the teacher."""
        return [str(student.job) for student in self.students if not student.is_compared]

    @property
    def data_findings(self) -> list[str]:
        """What is to be known of the data, one sentence each."""
        return findings(self.data_audit) if self.data_audit is not None else []

    @property
    def data_advice(self) -> str | None:
        """What to write into the study file, or None where nothing is to be mended."""
        return mend(self.data_audit) if self.data_audit is not None else None

    @property
    def objectives(self) -> list[str]:
        """What the search improves, and in which direction."""
        kinds = [OBJECTIVES.get(name) for name in self.settings.search.objectives]
        return [f"{kind.title} {'up' if kind.direction == 'maximize' else 'down'}" for kind in kinds]

    @property
    def constraints(self) -> list[str]:
        """Of the study and of its family, as expressions."""
        implied = [
            text
            for family in self.settings.families
            for text in (*(rule.text for rule in family.divides), *family.constraints)
        ]
        return [*self.settings.constraints, *dict.fromkeys(implied)]

    @property
    def devices(self) -> list[str]:
        """Where the students were distilled."""
        places = []
        for result in (student.result for student in self.students):
            threads = result.device.get("threads")
            place = f"{result.device.get('model', result.device.get('name'))} of {result.host}"
            places.append(f"{place}, {count(threads, 'thread')}" if threads else place)
        return list(dict.fromkeys(places))


def content_of(view: StudyView) -> Content:
    """All that a report shows of a study, finished or not."""
    objectives = view.settings.search.searched_objectives
    return Content(
        **{field.name: getattr(view, field.name) for field in fields(StudyView)},
        volumes={round_.number: volumes(round_.scored, objectives) for round_ in view.rounds},
        verdict=verdict_of(view),
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
