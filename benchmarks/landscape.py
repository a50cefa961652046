"""How well final effectiveness is predicted, and what policies find, on students that were really distilled.

    OMP_NUM_THREADS=1 python -m benchmarks.landscape [--parts predictions ceiling noise replay] [--shared FILE.jsonl]

Reads `benchmarks/data/landscape.jsonl`, and `two_seeds.jsonl` for the ceiling; trains nothing. `--shared` adds a file
of another draw, whose test figures nobody has. Prints markdown.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
from scipy.special import logit
from scipy.stats import spearmanr

from avatar_optuna.indicator import CurveModel, Indicator
from benchmarks.landscape_policies import POLICIES, Budget
from benchmarks.landscape_table import Landscape, read_landscapes, read_two_seeds

SPENT = (0, 5, 10, 15, 20, 40)
"""Percent of a student's own full training."""
BUDGETS = (100, 150, 200, 300, 400)
"""Student-epochs."""


def predictions(tables: list[Landscape], options: argparse.Namespace) -> None:
    """Rank correlation with, and coverage of, the final figure of held-out students."""
    head = " | ".join(f"{spent} %" for spent in SPENT)
    print(f"\n### Rank correlation with the final figure, of its own training spent\n\n| students | by | {head} |")
    print("| --- | --- |" + " ---: |" * len(SPENT))
    coverage = []
    for table in tables:
        for label, of in ROWS.items():
            runs = np.asarray([of(table, np.random.default_rng(seed)) for seed in range(options.splits)])
            correlations, covered = runs.mean(axis=0)
            print(f"| {table.name} | {label} | {' | '.join(_figure(value) for value in correlations)} |", flush=True)
            if np.isfinite(covered).any():
                cells = " | ".join("" if np.isnan(value) else f"{value:.1%}" for value in covered)
                coverage.append(f"| {table.name} | {label} | {cells} |")
    print(f"\n### Held-out students in their 95 % interval\n\n| students | by | {head} |")
    print("| --- | --- |" + " ---: |" * len(SPENT))
    print("\n".join(coverage))


def _figure(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def _own(table: Landscape, rng: np.random.Generator) -> np.ndarray:
    held_out = rng.permutation(len(table))[40:]
    epochs = [round(spent * table.full / 100) for spent in SPENT]
    own = [table.figures[held_out, :count].max(axis=1) if count else np.zeros(len(held_out)) for count in epochs]
    return np.stack([[_correlation(one, table.final[held_out]) for one in own], np.full(len(SPENT), np.nan)])


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(spearmanr(first, second).statistic) if np.ptp(first) > 0 else float("nan")


def _fitted(
    table: Landscape, rng: np.random.Generator, epochs: np.ndarray, *, final: np.ndarray | None = None
) -> np.ndarray:
    """Fit on the first students of a random order, as many as there are epochs; predict the others.

    They are held to `final`, their own figures unless others are given.
    """
    order = rng.permutation(len(table))
    train, held_out = order[: len(epochs)], order[len(epochs) :]
    curves = table.curves(train, epochs)
    model = CurveModel.fit(table.part(train), curves, space=table.space)
    final, correlations, covered = logit((table.final if final is None else final)[held_out]), [], []
    for spent in SPENT:
        known = np.full(len(held_out), round(spent * table.full / 100))
        mean, std = model.predict(table.part(held_out), table.curves(held_out, known))
        correlations.append(_correlation(mean, final))
        covered.append(np.mean(np.abs(mean - final) <= 1.96 * std))
    return np.asarray([correlations, covered])


def _promoted(table: Landscape, rng: np.random.Generator) -> np.ndarray:
    """60 students of which the best third goes on after 1, and again after 4 of 20 epochs: 60 + 60 + 112 epochs."""
    state = rng.bit_generator.state
    order = rng.permutation(len(table))[:60]
    rng.bit_generator.state = state
    epochs = np.full(60, 1)
    after = table.figures[order]
    second = np.argsort(-after[:, 0])[:20]
    epochs[second] = 4
    epochs[second[np.argsort(-after[second, :4].max(axis=1))[:7]]] = table.full
    return _fitted(table, rng, epochs)


ROWS = {
    "own best figure so far": _own,
    "20 fully trained others": lambda table, rng: _fitted(table, rng, np.full(20, table.full)),
    "40 fully trained others": lambda table, rng: _fitted(table, rng, np.full(40, table.full)),
    "60 others, the best third promoted after 5 and after 20 %": _promoted,
}


def ceiling(tables: list[Landscape], options: argparse.Namespace) -> None:
    """What any prediction can reach: how one full training ranks students that another seed trains anew."""
    print("\n### Rank correlation with the final figure of another seed\n")
    print(
        "| students | figure | of the full training | 95 % | points apart, mean |\n| --- | --- | ---: | ---: | ---: |"
    )
    pairs = read_two_seeds()
    for first, second in pairs:
        for label, one, other in (
            ("validation", first.final, second.final),
            ("test", first.test, second.test),
        ):
            low, high = _resampled(one, other)
            apart = 100 * np.abs(one - other).mean()
            figure = f"{_correlation(one, other):.2f} | {low:.2f} to {high:.2f} | {apart:.2f}"
            print(f"| {first.name} | {label} | {figure} |")
    print(f"\n| students | predicted by | {' | '.join(f'{spent} %' for spent in SPENT)} |")
    print("| --- | --- |" + " ---: |" * len(SPENT))
    for first, second in pairs:
        for label in ("20 fully trained others", "40 fully trained others"):
            for seed, of in (("its own training", first), ("the other seed", replace(first, figures=second.figures))):
                runs = [
                    _fitted(first, np.random.default_rng(split), np.full(int(label[:2]), first.full), final=of.final)
                    for split in range(options.splits)
                ]
                cells = [_figure(value) for value in np.asarray(runs)[:, 0].mean(axis=0)]
                print(f"| {first.name} | {label}, of {seed} | {' | '.join(cells)} |", flush=True)


def _resampled(one: np.ndarray, other: np.ndarray, times: int = 2000) -> tuple[float, float]:
    """A 95 % interval of the rank correlation over students drawn anew."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(one), size=len(one)) for _ in range(times)]
    low, high = np.percentile([_correlation(one[rows], other[rows]) for rows in drawn], [2.5, 97.5])
    return float(low), float(high)


def noise(tables: list[Landscape], options: argparse.Namespace) -> None:
    """How often students whose effectiveness is dealt out at random are said to be ranked."""
    print("\n### Noise that an indicator says it can rank, nominally 2.5 %\n\n| students | samples | share |")
    print("| --- | ---: | ---: |")
    for table in tables:
        students = table.columns.students()
        for count in (8, 20, 40):
            rng, wrong = np.random.default_rng(0), 0
            for _ in range(options.noise):
                chosen = [students[one] for one in rng.permutation(len(students))[:count]]
                dealt = rng.permutation(table.final)[:count]
                wrong += Indicator.fit(chosen, dealt.tolist(), space=table.space).ranks
            print(f"| {table.name} | {count} | {wrong / options.noise:.1%} |", flush=True)


def replay(tables: list[Landscape], options: argparse.Namespace) -> None:
    """Share of the true hypervolume by policy and budget."""
    for by_test in (False, True):
        print(f"\n### Share of the hypervolume by {'test' if by_test else 'validation'}, %, median and quartiles\n")
        print(f"| students | policy | {' | '.join(f'{budget} epochs' for budget in BUDGETS)} |")
        print("| --- | --- |" + " ---: |" * len(BUDGETS))
        for table in tables:
            if by_test and np.isnan(table.test).any():
                continue
            for name in options.policies:
                shares = _shares(table, name, options, by_test)
                cells = []
                for column in shares.T:
                    low, middle, high = np.percentile(100 * column, [25, 50, 75])
                    cells.append(f"{middle:.1f} ({low:.1f} to {high:.1f})")
                print(f"| {table.name} | {name} | {' | '.join(cells)} |", flush=True)


_TRAINED: dict[tuple[str, str, int, int], list[int]] = {}


def _shares(table: Landscape, policy: str, options: argparse.Namespace, by_test: bool) -> np.ndarray:
    """Shape (seeds, budgets); what was trained is kept for the other figure."""
    shares = np.zeros((options.seeds, len(BUDGETS)))
    for seed in range(options.seeds):
        for place, budget in enumerate(BUDGETS):
            key = (table.name, policy, seed, budget)
            if key not in _TRAINED:
                left = budget * (1 + options.step / table.full)
                run = Budget(table=table, left=left, rng=np.random.default_rng(seed), step=options.step)
                POLICIES[policy](run)
                _TRAINED[key] = run.trained
            shares[seed, place] = table.share(_TRAINED[key], by_test=by_test)
    return shares


PARTS = {"predictions": predictions, "ceiling": ceiling, "noise": noise, "replay": replay}


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--noise", type=int, default=400, help="times that noise is dealt out")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument(
        "--step",
        type=float,
        default=0.0,
        help="what each training costs besides its epochs, in epochs; budgets grow by it",
    )
    parser.add_argument("--spaces", nargs="+", help="of landscape.jsonl; left out: all")
    parser.add_argument("--shared", type=Path, help="JSON lines of another draw, with its broad.toml beside it")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tables = read_landscapes(options.shared, spaces=options.spaces)
    for part in options.parts:
        PARTS[part](tables, options)


if __name__ == "__main__":
    main()
