"""How well the effectiveness indicator ranks students it has not seen: ours against the paper's regression.

    python benchmarks/indicator.py [--splits 200]

Reads `benchmarks/data/indicator_*.csv` (students really distilled, briefly; the space that they were drawn from stands
beside it), fits on a random part and predicts the rest, over and over. The paper's regression: a Bayesian ridge on raw
columns, categories as ordinal numbers.
"""

from __future__ import annotations

import argparse
import csv
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import BayesianRidge

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.indicator import Indicator
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER

FOLDER = Path(__file__).parent / "data"


def read(path: Path) -> tuple[list[Configuration], np.ndarray]:
    """Students and their balanced accuracy on validation."""
    students, measured = [], []
    for row in csv.DictReader(path.open()):
        values: dict[str, Any] = {}
        for name in (name for name in TRANSFORMER.names if name in row):
            kind = (
                str if TRANSFORMER.by_name[name].is_category else int if TRANSFORMER.by_name[name].is_whole else float
            )
            values[name] = kind(row[name])
        students.append(TRANSFORMER.configure(**values))
        measured.append(float(row["valid_balanced_accuracy"]))
    return students, np.asarray(measured)


def space_of(path: Path) -> SearchSpace:
    """The space that the students were drawn from: of the TOML file beside them, else the paper's."""
    beside = path.with_suffix(".toml")
    return SearchSpace.from_mapping(tomllib.loads(beside.read_text())["space"] if beside.is_file() else {})


def paper(train: list[Configuration], measured: np.ndarray, test: list[Configuration]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation by the paper's regression."""

    def raw(students: list[Configuration]) -> np.ndarray:
        columns = ConfigurationTable.from_students(students)
        ordinal = [
            [TRANSFORMER.by_name[name].choices.index(value) for value in columns.values[name]]
            if TRANSFORMER.by_name[name].is_category
            else columns.values[name]
            for name in TRANSFORMER.names
        ]
        return np.asarray(ordinal, dtype=np.float64).T

    model = BayesianRidge().fit(raw(train), measured)
    mean, std = model.predict(raw(test), return_std=True)
    return np.asarray(mean), np.asarray(std)


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=200)
    splits = parser.parse_args().splits
    print("| data | fitted on | indicator | rank correlation | error, points | 95 % coverage |")
    print("| --- | --- | --- | --- | --- | --- |")
    for path in sorted(FOLDER.glob("indicator_*.csv")):
        (students, measured), space = read(path), space_of(path)
        for count in (10, 20, 40, 60):
            if count + 8 > len(students):
                continue
            rows: dict[str, list[tuple[float, float, float]]] = {"paper's": [], "ours": []}
            for split in range(splits):
                order = np.random.default_rng(split).permutation(len(students))
                train, test = [students[i] for i in order[:count]], [students[i] for i in order[count:]]
                seen, hidden = measured[order[:count]], measured[order[count:]]
                ours = Indicator.fit(train, seen.tolist(), space=space)
                for key, (mean, std) in (("paper's", paper(train, seen, test)), ("ours", ours.predict(test))):
                    correlation = spearmanr(mean, hidden).statistic if np.ptp(mean) > 0 else 0.0
                    error = float(np.sqrt(np.mean((mean - hidden) ** 2)))
                    rows[key].append(
                        (float(correlation), 100 * error, float(np.mean(np.abs(mean - hidden) <= 1.96 * std)))
                    )
            for key, figures in rows.items():
                correlation, error, coverage = np.nanmedian(np.asarray(figures), axis=0)
                label = f"{path.stem.removeprefix('indicator_')} ({len(students)})"
                print(f"| {label} | {count} | {key} | {correlation:.2f} | {error:.1f} | {coverage:.0%} |", flush=True)


if __name__ == "__main__":
    main()
