"""A study's state, its settings, and where it ran, for the report's templates."""

from __future__ import annotations

from avatar_optuna.objectives import OBJECTIVES
from avatar_optuna.report._content import Content
from avatar_optuna.report._words import count, listed


def scored(content: Content) -> dict[int, int]:
    """By round that has begun: how many configurations it scored."""
    return {round_.number: len(round_.scored) for round_ in content.rounds}


def uncompared(content: Content) -> list[str]:
    """Students that have not been timed side by side with the teacher."""
    return [str(student.job) for student in content.students if content.model(str(student.job)) is None]


def objectives(content: Content) -> str:
    """What the search improves, and in which direction."""
    kinds = [OBJECTIVES.get(name) for name in content.settings.search.objectives]
    return listed([f"{kind.title} {'up' if kind.direction == 'maximize' else 'down'}" for kind in kinds])


def constraints(content: Content) -> list[str]:
    """Of the study and of its family, as expressions."""
    family = content.settings.space.family
    return [*content.settings.constraints, *(rule.text for rule in family.divides), *family.constraints]


def devices(content: Content) -> str:
    """Where the students were distilled."""
    places = []
    for result in (student.result for student in content.students):
        threads = result.device.get("threads")
        place = f"{result.device.get('model', result.device.get('name'))} of {result.host}"
        places.append(f"{place}, {count(threads, 'thread')}" if threads else place)
    return "; ".join(dict.fromkeys(places)) or "nothing yet"
