"""Final effectiveness from curves, on made curves whose law is known and on students that were really distilled."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import StudyError
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.indicator import CurveModel, LearningCurves
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import FAMILIES

DATA = Path(__file__).parents[2] / "benchmarks" / "data"
SPACE = SearchSpace.paper()
EPOCHS = 20


def _made(count: int, seed: int = 0) -> tuple[ConfigurationTable, np.ndarray, np.ndarray]:
    """Students whose final logit adds up over their configuration and a part of their own, and whole curves."""
    feasibility = Feasibility(space=SPACE, constraints=["size_mb <= 3"], task_shape=TaskShape(arity=2))
    columns = ConfigurationTable.from_students(draw(feasibility, count, seed=seed, pool=4_000))
    rng = np.random.default_rng(seed)
    final = 1.5 + 0.8 * (columns.learning_rate == 1e-3) + 0.5 * rng.normal(size=count)
    share = np.arange(1, EPOCHS + 1) / EPOCHS
    logits = 1.0 + (1 - np.exp(-6 * share)) * (final[:, None] - 1.0) + 0.1 * rng.normal(size=(count, EPOCHS))
    figures = 1 / (1 + np.exp(-logits))
    return columns, figures, 1.2 * (1 - figures)


def _known(values: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    return np.where(np.arange(values.shape[1]) < epochs[:, None], values, np.nan)


def _part(columns: ConfigurationTable, chosen: np.ndarray) -> ConfigurationTable:
    values = {name: column[chosen] for name, column in columns.values.items()}
    return ConfigurationTable(family=columns.family, values=values)


def _curves(figures: np.ndarray, losses: np.ndarray, epochs: np.ndarray) -> LearningCurves:
    return LearningCurves(figures=_known(figures, epochs), losses=_known(losses, epochs))


def test_the_more_of_a_curve_is_known_the_surer_and_the_better() -> None:
    columns, figures, losses = _made(120)
    train, test = np.arange(60), np.arange(60, 120)
    seen = np.where(np.arange(60) < 15, EPOCHS, 4)
    model = CurveModel.fit(_part(columns, train), _curves(figures[train], losses[train], seen), space=SPACE)
    final = np.log(figures.max(axis=1) / (1 - figures.max(axis=1)))
    errors, widths = [], []
    for epochs in (0, 1, 4, 8, 16):
        curves = _curves(figures[test], losses[test], np.full(60, epochs))
        mean, std = model.predict(_part(columns, test), curves)
        errors.append(np.sqrt(np.mean((mean - final[test]) ** 2)))
        widths.append(np.mean(std))
        assert np.mean(np.abs(mean - final[test]) <= 1.96 * std) >= 0.85
    assert widths == sorted(widths, reverse=True)
    assert errors[0] > errors[2] > errors[4]


def test_partial_curves_teach_what_the_indicator_says_of_the_untrained() -> None:
    columns, figures, losses = _made(160)
    final, test = figures.max(axis=1), np.arange(80, 160)

    def ranked(train: np.ndarray, seen: np.ndarray) -> float:
        model = CurveModel.fit(_part(columns, train), _curves(figures[train], losses[train], seen), space=SPACE)
        return float(spearmanr(model.indicator.rank_columns(_part(columns, test)), final[test]).statistic)

    few = ranked(np.arange(8), np.full(8, EPOCHS))
    many = ranked(np.arange(80), np.where(np.arange(80) < 8, EPOCHS, 4))
    assert many > few


def test_what_is_trained_to_the_end_is_known() -> None:
    columns, figures, losses = _made(12)
    curves = _curves(figures, losses, np.full(12, EPOCHS))
    mean, std = CurveModel.fit(columns, curves, space=SPACE).predict(columns, curves)
    assert 1 / (1 + np.exp(-mean)) == pytest.approx(figures.max(axis=1))
    assert std.tolist() == [0.0] * 12


def test_the_mean_is_never_below_what_was_reached() -> None:
    columns, figures, losses = _made(30)
    seen = np.where(np.arange(30) < 10, EPOCHS, 10)
    figures[20, 3] = 0.97
    curves = _curves(figures, losses, seen)
    mean, _ = CurveModel.fit(columns, curves, space=SPACE).predict(columns, curves)
    assert (mean >= np.nanmax(curves.best, axis=1)).all()


def test_the_indicator_is_the_same_whether_asked_by_columns_or_by_curves_without_an_epoch() -> None:
    columns, figures, losses = _made(40)
    seen = np.where(np.arange(40) < 10, EPOCHS, 2)
    model = CurveModel.fit(columns, _curves(figures, losses, seen), space=SPACE)
    mean, _ = model.predict(columns, _curves(figures, losses, np.zeros(40, dtype=int)))
    assert 1 / (1 + np.exp(-mean)) == pytest.approx(model.indicator.rank_columns(columns))


def test_too_little_is_refused() -> None:
    columns, figures, losses = _made(6)
    with pytest.raises(StudyError, match="needs a student that is fully trained"):
        CurveModel.fit(columns, _curves(figures, losses, np.full(6, 5)), space=SPACE)
    with pytest.raises(StudyError, match="at least 4 students with a curve, got 1"):
        CurveModel.fit(columns, _curves(figures, losses, np.asarray([EPOCHS, 0, 0, 0, 0, 0])), space=SPACE)
    gap = figures.copy()
    gap[0, 3] = np.nan
    with pytest.raises(ValueError, match="every epoch before one that is known"):
        LearningCurves(figures=gap, losses=gap)
    with pytest.raises(ValueError, match="a figure and a loss of each epoch"):
        LearningCurves(figures=figures, losses=gap)


@pytest.mark.parametrize("name", ["broad", "hashed"])
def test_students_that_were_really_distilled_lie_in_their_intervals(name: str) -> None:
    """`python -m benchmarks.landscape` has the figures over many splits, which are 93 to 97 % in the mean."""
    lines = [json.loads(line) for line in (DATA / "landscape.jsonl").read_text().splitlines()]
    rows = [row for row in lines if row["space"] == name]
    space = SearchSpace.from_mapping(tomllib.loads((DATA / f"landscape_{name}.toml").read_text())["space"])
    family = FAMILIES.get(rows[0]["family"])
    columns = ConfigurationTable.from_students([family.configure(**row["hyperparameters"]) for row in rows])
    figures = np.asarray([row["valid_balanced_accuracy"] for row in rows])
    losses = np.asarray([row["valid_loss"] for row in rows])
    order = np.random.default_rng(0).permutation(len(rows))
    train, test = order[:40], order[40:]
    curves = _curves(figures[train], losses[train], np.full(40, EPOCHS))
    model = CurveModel.fit(_part(columns, train), curves, space=space)
    best = figures[test].max(axis=1)
    final = np.log(best / (1 - best))
    for epochs, correlation in ((0, 0.3), (3, 0.6), (8, 0.8)):
        part = _curves(figures[test], losses[test], np.full(len(test), epochs))
        mean, std = model.predict(_part(columns, test), part)
        assert spearmanr(mean, final).statistic > correlation
        assert 0.85 <= np.mean(np.abs(mean - final) <= 1.96 * std) <= 1.0
