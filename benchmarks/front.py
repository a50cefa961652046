"""How long `avatar-optuna front -f json` takes of a study of many trials, its start included, and how many statements.

    python -m benchmarks.front --trials 1000

The study is searched anew in a temporary database; the command runs in processes of its own, one after another.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import event
from sqlalchemy.engine import Engine

from avatar_optuna.schema import INDICATOR
from avatar_optuna.storage import open_for_reading
from avatar_optuna.view import read_view
from tests.study_tests.test_search import make_objective, make_settings, run_search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/studies.db"
        settings = make_settings(folder, ("n_trials = 60", f"n_trials = {options.trials}"))
        study = run_search(url, settings)
        study.set_attribute(f"{INDICATOR}:0", make_objective(settings)[0].indicator.to_dict())
        seconds = [seconds_of_command(url) for _ in range(options.times)]
        print(
            f"front -f json of {options.trials:,} trials: "
            f"median {np.median(seconds):.2f} s, fastest {min(seconds):.2f} s "
            f"of {options.times}; {statements(url)} statements"
        )


def seconds_of_command(url: str) -> float:
    """Wall time of one process."""
    words = [sys.executable, "-m", "avatar_optuna", "front", "--study-name", "clones", "--storage", url, "-f", "json"]
    begun = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def statements(url: str) -> int:
    """SQL statements of opening the database and reading the view."""
    count = 0

    def add_one(*_: object) -> None:
        nonlocal count
        count += 1

    event.listen(Engine, "before_cursor_execute", add_one)
    read_view(open_for_reading(url), "clones")
    event.remove(Engine, "before_cursor_execute", add_one)
    return count


if __name__ == "__main__":
    main()
