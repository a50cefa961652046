"""How many configurations of a study came how far."""

from __future__ import annotations

from avatar_optuna.students import Configuration
from avatar_optuna.verdict import better_than, chance_of, floor_of
from avatar_optuna.view import StudyView


def funnel_of(view: StudyView, *, scored: int, on_predicted_front: int) -> list[tuple[str, int]]:
    """From all that were scored to those worth taking; what none came to is left out.

    Args:
        scored: Configurations that the indicator scored, in all rounds.
        on_predicted_front: Of the last round.
    """
    epochs: dict[Configuration, int] = {}
    for student in [*view.indicator_samples, *view.students]:
        epochs[student.hyperparameters] = max(student.epochs, epochs.get(student.hyperparameters, 0))
    brief = {student.hyperparameters for student in view.indicator_samples}
    least = min((student.epochs for student in view.indicator_samples), default=0)
    is_rung_by_rung = view.settings.search.policy != "paper"
    promoted = [student for student in brief if epochs[student] > least] if is_rung_by_rung else []
    better = better_than(view.students, chance=chance_of(view), baseline=floor_of(view))
    stages = [
        ("feasible configurations scored by the indicator", scored),
        ("on the predicted front of the last round", on_predicted_front),
        ("briefly trained", len(brief)),
        ("of these promoted to a longer training", len(promoted)),
        ("distilled to the end and measured", len(view.students)),
        ("of these not dominated in what was measured", sum(student.on_front for student in view.students)),
        ("better than chance and baseline beyond noise, on validation", len(better)),
    ]
    last = "better" if view.students else "briefly"
    return [(title, number) for title, number in stages if number or title.startswith(last)]
