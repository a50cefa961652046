"""Students that were really distilled, as arrays: what the benchmarks of the landscape read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.indicator import LearningCurves
from avatar_optuna.pareto import hypervolume, non_dominated
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import FAMILIES

FOLDER = Path(__file__).parent / "data"
_REFERENCE = (-0.5, 1.0001, 1.0001)


@dataclass(frozen=True, kw_only=True, eq=False)
class Landscape:
    """Fully distilled students of one space.

    Args:
        name: As tables show it.
        task_shape: Of the task.
        space: That they were drawn from.
        columns: Their configurations; length n.
        figures: Balanced accuracy on validation after each epoch; shape (n, epochs).
        losses: On validation; the same shape.
        test: Balanced accuracy on test, NaN where nobody read it; shape (n,).
        sizes: Bytes; shape (n,).
        flops: Of one input; shape (n,).
    """

    name: str
    task_shape: TaskShape
    space: SearchSpace
    columns: ConfigurationTable
    figures: np.ndarray
    losses: np.ndarray
    test: np.ndarray
    sizes: np.ndarray
    flops: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def full(self) -> int:
        """Epochs of a full training."""
        return int(self.figures.shape[1])

    @cached_property
    def final(self) -> np.ndarray:
        """The best figure of a full training; shape (n,)."""
        return np.asarray(self.figures.max(axis=1))

    @cached_property
    def costs(self) -> np.ndarray:
        """Size and FLOPs as shares of the largest; shape (n, 2)."""
        return np.column_stack([self.sizes / self.sizes.max(), self.flops / self.flops.max()])

    def part(self, chosen: np.ndarray) -> ConfigurationTable:
        """Configurations of some of them."""
        values = {name: column[chosen] for name, column in self.columns.values.items()}
        return ConfigurationTable(family=self.columns.family, values=values)

    def curves(self, chosen: np.ndarray, epochs: np.ndarray) -> LearningCurves:
        """What is known of some of them after so many epochs of each."""
        known = np.arange(self.full) < np.asarray(epochs)[:, None]
        return LearningCurves(
            figures=np.where(known, self.figures[chosen], np.nan), losses=np.where(known, self.losses[chosen], np.nan)
        )

    def is_within(self, proposal: ConfigurationTable) -> bool:
        """Whether one configuration costs no more than the largest student, and no more than the slowest."""
        size = float(sum(self.columns.family.size_terms(proposal, self.task_shape).values())[0])
        return size <= self.sizes.max() and float(flops(proposal, self.task_shape)[0]) <= self.flops.max()

    def share(self, trained: list[int], *, by_test: bool = False) -> float:
        """Hypervolume of fully trained students in effectiveness, size and FLOPs, of what all of them would have.

        The front is chosen on validation, also where test figures are then read. The reference point is 50 %, the
        largest size and the most FLOPs.
        """
        if not trained:
            return 0.0
        return self._hypervolume(np.asarray(sorted(trained)), by_test) / self._whole[by_test]

    @cached_property
    def _whole(self) -> Mapping[bool, float]:
        return {by_test: self._hypervolume(np.arange(len(self)), by_test) for by_test in (False, True)}

    def _hypervolume(self, chosen: np.ndarray, by_test: bool) -> float:
        front = chosen[non_dominated(np.column_stack([-self.final, self.costs])[chosen])]
        figures = self.test if by_test else self.final
        return hypervolume(np.column_stack([-figures, self.costs])[front], np.asarray(_REFERENCE))


def read_landscapes(shared: Path | None = None, *, spaces: Sequence[str] | None = None) -> list[Landscape]:
    """The spaces of `landscape.jsonl`, or some of them, and that of another file with `broad.toml` beside it."""
    rows = [json.loads(line) for line in (FOLDER / "landscape.jsonl").read_text().splitlines()]
    names = sorted({row["space"] for row in rows}) if spaces is None else spaces
    tables = [
        _landscape(name, FOLDER / toml_name(name), [row for row in rows if row["space"] == name]) for name in names
    ]
    if shared is not None:
        other = [json.loads(line) for line in shared.read_text().splitlines()]
        tables.append(_landscape("another draw", shared.parent / "broad.toml", [_from_curve(row) for row in other]))
    return tables


def read_two_seeds() -> list[tuple[Landscape, Landscape]]:
    """The spaces of `two_seeds.jsonl`: the same students in the same order, distilled with the seeds 0 and 1."""
    rows = [json.loads(line) for line in (FOLDER / "two_seeds.jsonl").read_text().splitlines()]
    pairs = []
    for space in sorted({row["space"] for row in rows}):
        first, second = (
            sorted((row for row in rows if row["space"] == space and row["seed"] == seed), key=lambda row: row["name"])
            for seed in (0, 1)
        )
        if [row["hyperparameters"] for row in first] != [row["hyperparameters"] for row in second]:
            raise SystemExit(f"two_seeds.jsonl: {space} must hold the same students with both seeds")
        path = FOLDER / toml_name(space)
        pairs.append((_landscape(space, path, first), _landscape(space, path, second)))
    return pairs


def toml_name(space: str) -> str:
    """The file beside `landscape.jsonl` that describes a space; what follows a slash says what else was different."""
    return f"landscape_{space.partition('/')[0]}.toml"


def _from_curve(row: Mapping[str, Any]) -> dict[str, Any]:
    curve = row["curve"]
    keys = ("valid_balanced_accuracy", "valid_loss")
    return {**row, "family": "transformer", **{key: [entry[key] for entry in curve] for key in keys}}


def _landscape(name: str, space_path: Path, rows: list[dict[str, Any]]) -> Landscape:
    described = tomllib.loads(space_path.read_text())
    space = SearchSpace.from_mapping(described["space"])
    task_shape = TaskShape(arity=2 if described["task"]["kind"] == "clone-detection" else 1)
    students = [FAMILIES.get(row["family"]).configure(**row["hyperparameters"]) for row in rows]
    return Landscape(
        name=f"{name} ({len(rows)})",
        task_shape=task_shape,
        space=space,
        columns=ConfigurationTable.from_students(students),
        figures=np.asarray([row["valid_balanced_accuracy"] for row in rows]),
        losses=np.asarray([row["valid_loss"] for row in rows]),
        test=np.asarray([row["test"]["balanced_accuracy"] if "test" in row else np.nan for row in rows]),
        sizes=np.asarray([row["size_bytes"] for row in rows], dtype=np.float64),
        flops=np.asarray([float(flops(student, task_shape)) for student in students]),
    )
