"""One configuration to its values, or PRUNED with the reason. Z3 is asked about every single one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import StudyError
from avatar_optuna.feasibility import StudyFeasibility
from avatar_optuna.indicator import StudyIndicator
from avatar_optuna.objectives import EFFECTIVENESS, CostFormula, formulas, reads
from avatar_optuna.schema import INFEASIBLE, PREDICTED_STD
from avatar_optuna.space_union import StudySpace


class Objective:
    """Scores configurations by the indicator and the cost formulas; feasibility is judged first.

    Args:
        space: Where a plain Optuna trial draws from.
        task_shape: Single functions or pairs.
        objectives: What is optimised, "effectiveness" first.
        feasibility: The judge.
        indicator: Predicts effectiveness from the configuration alone.
        cost_models: A calibrated cost model for each objective that no formula gives (`latency_ms`, `energy_j`).

    Raises:
        StudyError: An objective has neither a formula nor a cost model.
    """

    def __init__(
        self,
        *,
        space: StudySpace,
        task_shape: TaskShape,
        objectives: Sequence[str],
        feasibility: StudyFeasibility,
        indicator: StudyIndicator,
        cost_models: Mapping[str, CostFormula] | None = None,
    ) -> None:
        costs: dict[str, CostFormula] = {**formulas(objectives, task_shape), **(cost_models or {})}
        if unknown := [name for name in objectives if name != EFFECTIVENESS and name not in costs]:
            raise StudyError(
                f"the objective {unknown[0]} needs a cost model calibrated on this device, and there is none"
            )
        self._space = space
        self._formulas = [costs[name] for name in objectives if name != EFFECTIVENESS]
        families, is_calibrated = (
            [member.family for member in space.members],
            bool(set(cost_models or ()) & set(objectives)),
        )
        read = (reads(objectives, family) for family in families)
        timed = (family.device_names for family in families if is_calibrated)
        self.cost_names: frozenset[str] = frozenset().union(*read, *timed)
        self._feasibility = feasibility
        self.indicator = indicator

    def costs(self, columns: ConfigurationTable) -> npt.NDArray[np.float64]:
        """Every objective but effectiveness, by formula; shape (n, objectives - 1)."""
        values = [
            np.broadcast_to(np.asarray(formula(columns), dtype=np.float64), len(columns)) for formula in self._formulas
        ]
        return np.column_stack(values)

    def __call__(self, trial: optuna.trial.BaseTrial) -> tuple[float, ...]:
        """The values of what a trial draws; the standard deviation of its effectiveness is an attribute of the trial.

        Raises:
            optuna.TrialPruned: The drawn configuration is infeasible; the trial tells which constraints it breaks.
        """
        drawn = self._space.suggest(trial)
        verdict = self._feasibility.check(drawn)
        for constraint, violation in verdict.violated.items():
            _set_constraint(trial, constraint, violation)
        if not verdict.feasible:
            trial.set_user_attr(INFEASIBLE, verdict.reason)
            raise optuna.TrialPruned(verdict.reason)
        student = self._space.configuration(drawn)
        mean, std = self.indicator.predict([student])
        trial.set_user_attr(PREDICTED_STD, float(std[0]))
        return (float(mean[0]), *(float(formula(student)) for formula in self._formulas))


def _set_constraint(trial: Any, constraint: str, violation: float) -> None:
    if hasattr(trial, "set_constraint"):  # a FixedTrial has none
        trial.set_constraint(constraint, violation)
