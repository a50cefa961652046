"""The section `[search]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from avatar_optuna.objectives import BUILT_IN, EFFECTIVENESS, OBJECTIVES, searched
from avatar_optuna.settings._rules import each, one_of, optional, real_number, truth, whole_number
from avatar_optuna.settings._section import Section, setting

POLICIES = ("paper", "random", "successive_halving", "rounds")


def _objective(value: Any) -> str | None:
    is_known = isinstance(value, str) and (value in BUILT_IN or value in OBJECTIVES.names())
    return None if is_known else f"must be one of {', '.join(OBJECTIVES.names())}"


@dataclass(frozen=True, kw_only=True)
class SearchSettings(Section):
    """`[search]`: the evolutionary search. `n_trials` counts feasible evaluations of a round; `policy` says which
    students are distilled, and how far, before the next are chosen: with `budget_minutes` "rounds" by default, and
    without it "paper". It is never None once the object is made."""

    n_trials: int = setting(whole_number(1, 10**7), 1000)
    population_size: int = setting(whole_number(4, 10_000), 50)
    rounds: int = setting(whole_number(1, 100), 1)
    seed: int = setting(whole_number(0), 0)
    objectives: tuple[str, ...] = setting(each(_objective), ("effectiveness", "size_bytes", "flops"))
    policy: str | None = setting(optional(one_of(*POLICIES)), None)
    rungs: tuple[int, ...] | None = setting(optional(each(whole_number(1, 10_000))), None)
    at_once: int = setting(whole_number(1, 10_000), 4)
    asynchronous: bool = setting(truth, False)
    budget_minutes: float | None = setting(optional(real_number(0.01, 1e6)), None)

    def __post_init__(self) -> None:
        if self.policy is None:
            object.__setattr__(self, "policy", "paper" if self.budget_minutes is None else "rounds")
        super().__post_init__()

    def _cross_faults(self) -> list[str]:
        if self.policy == "paper" and self.budget_minutes is not None:
            others = ", ".join(name for name in POLICIES if name != "paper")
            return [
                f"policy must be one of {others} where budget_minutes is given, since the paper's way has fixed "
                "numbers of samples and students, got 'paper'"
            ]
        if self.asynchronous and self.policy not in ("rounds", "successive_halving"):
            return [f"asynchronous is for the policies rounds and successive_halving, got policy {self.policy!r}"]
        if self.objectives[0] != EFFECTIVENESS or len(self.searched_objectives) < 2:
            return [
                "objectives must be effectiveness and at least one cost that needs no distilled student, got "
                f"{list(self.objectives)}"
            ]
        return []

    @property
    def searched_objectives(self) -> tuple[str, ...]:
        """What the search optimises: all objectives but those that are only measured on a distilled student."""
        return searched(self.objectives)
