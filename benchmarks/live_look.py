"""What a look of the live page takes: `python -m benchmarks.live_look --storage URL --study-name NAME --trials 1000`.

A study is searched anew in a temporary database, and its jobs are given the results of the students of a study that is
there, since what a look takes is mostly reading these. A look is what a refresh of the page asks the server for.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from avatar_optuna.costs import TaskShape
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.live._look import Looks
from avatar_optuna.pool import Pool
from avatar_optuna.schema import Job, JobResult, distilled_name
from avatar_optuna.storage import JobQueue, open_for_reading, open_storage
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import read_view
from tests.study_tests.test_search import make_settings, run_search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--study-name", required=True)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--looks", type=int, default=15)
    options = parser.parse_args()
    students = read_view(open_for_reading(options.storage), options.study_name).students
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = make_settings(folder, ("n_trials = 60", f"n_trials = {options.trials}"))
        study = run_search(f"sqlite:///{folder}/studies.db", settings)
        finish_jobs(study, [student.result for student in students], options.jobs)
        looks = Looks(open_storage(f"sqlite:///{folder}/studies.db").engine)
        first, *others = [time_look(looks, study.name) for _ in range(options.looks + 1)]
        size_kb = len(json.dumps(looks.study(study.name), separators=(",", ":"))) / 1e3
    wall_ms, cpu_ms = (1e3 * statistics.median(span[place] for span in others) for place in (0, 1))
    print(
        f"{options.trials:,} scored, {options.jobs} jobs: the first look {1e3 * first[0]:.0f} ms; "
        f"then in the median {wall_ms:.0f} ms, {cpu_ms:.0f} ms of the processor; {size_kb:.0f} KB"
    )


def finish_jobs(study: AvatarStudy, results: Sequence[JobResult], count: int) -> None:
    """Queue so many feasible students, and finish them with the results, by turns."""
    feasibility = Feasibility(
        space=study.settings.space, constraints=study.settings.constraints, task_shape=TaskShape(arity=2)
    )
    jobs = [
        Job(key=f"front/0/{number}", purpose="front", hyperparameters=student, epochs=10)
        for number, student in enumerate(draw(feasibility, count, seed=1))
    ]
    Pool(study.storage, study.name).enqueue(jobs)
    queue = JobQueue(study.storage, distilled_name(study.name))
    for number in range(count):
        claim, result = queue.claim(), results[number % len(results)]
        assert claim is not None, "as many are queued"
        queue.finish(claim, result.values(), user_attributes=result.attributes(), system_attributes={})


def time_look(looks: Looks, name: str) -> tuple[float, float]:
    """Wall time and time of the processor of one look, in seconds."""
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    looks._read(name)
    return time.perf_counter() - begun_s, time.process_time() - begun_cpu_s


if __name__ == "__main__":
    main()
