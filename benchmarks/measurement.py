"""How repeatable each measured figure is, and the paper's ratio table: times smaller, faster, less energy.

    python -m benchmarks.measurement --study-name NAME --storage URL [--device cuda] [--times 5]
    python -m benchmarks.measurement --kind clone-detection --data DIR --teacher DIR --students NAME=DIR ...
    python -m benchmarks.measurement --study-name NAME --storage URL --twins [--device cuda] [--times 5]

Students, their teacher and the CodeBERT architecture take turns in one process, on real test inputs at their real
lengths, and all of it is done `--times` times over: the spread over these repeats is what a figure is worth. Energy is
there only where a counter can be read. Prints Markdown.

With `--twins` one student is timed under two names beside its teacher and CodeBERT, in a fixed order (first and last in
it), in one that is drawn anew for each turn, and in warm blocks: identical code should not be told apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Classifier
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.measurement import AUDITED_STUDENTS, CODEBERT_NAME, TEACHER, audit_stand_ins, compare
from avatar_optuna.measurement._latency import computing_threads, median_interval, timed_blocks, timed_turns
from avatar_optuna.measurement._models import CodebertArchitecture, classifier_runs
from avatar_optuna.schema import Comparison
from avatar_optuna.settings import MeasurementSettings, StudySettings, TaskSettings
from avatar_optuna.space import SearchSpace
from avatar_optuna.storage import artifact_store, download_directory, open_storage
from avatar_optuna.students import Configuration
from avatar_optuna.study import AvatarStudy
from avatar_optuna.tasks import Split, load_task, task_shape_of
from avatar_optuna.teachers import load_teacher
from avatar_optuna.view import read_view
from benchmarks.headline import device_name

Models = Mapping[str, Classifier]
Array = npt.NDArray[np.float64]


def main() -> None:
    """Read the command line, measure, print."""
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        models, split, space = studied(options, Path(folder)) if options.study_name else given(options)
        teacher = models.get(TEACHER)
        students = {name: model for name, model in models.items() if name != TEACHER}
        if options.twins:
            print(twins(students, teacher, split, options))
            return
        runs = []
        for turn in range(options.times):
            settings = MeasurementSettings(repeats=options.repeats, device=options.device)
            runs.append(compare(students, teacher, split, settings))
            seen = {name: dict(figures(runs[-1:], name)) for name in runs[-1].models}
            print(f"<!-- {turn + 1} of {options.times}: {json.dumps(seen)} -->", flush=True)
    print(f"{device_name(options.device)}; {options.times} times {options.repeats} passes\n")
    print(repeatability(runs))
    print(ratio_table(runs))
    if options.audit:
        print(audited(space, task_shape_of(TaskSettings(kind=options.kind)), options))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study-name", help="measure the distilled students of this study")
    parser.add_argument("--storage", help="URL of that study's database")
    parser.add_argument("--kind", default="clone-detection", help="of the task, where no study is named")
    parser.add_argument("--data", help="the task's data")
    parser.add_argument("--teacher", help="the teacher's directory")
    parser.add_argument("--students", nargs="*", default=[], metavar="NAME=DIR")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--times", type=int, default=5, help="the whole comparison, over and over")
    parser.add_argument("--repeats", type=int, default=50, help="timed passes of each model in one comparison")
    parser.add_argument(
        "--audit", type=int, nargs="?", const=AUDITED_STUDENTS, help="audit FLOPs over so many students"
    )
    parser.add_argument("--twins", action="store_true", help="time one student under two names")
    return parser.parse_args()


def studied(options: argparse.Namespace, folder: Path) -> tuple[Models, Split, SearchSpace]:
    """The front students of a finished study and its teacher."""
    study = AvatarStudy(open_storage(options.storage), options.study_name)
    settings: StudySettings = study.settings
    options.kind = settings.task.kind
    task = load_task(settings.task)
    models = {}
    for student in read_view(study.storage, study.name).students:
        directory = folder / str(student.job)
        download_directory(artifact_store(study.artifacts), student.result.files, directory)
        models[f"job {student.job}"] = Classifier.load(directory, task_shape=task.shape, device=options.device)
    teacher = load_teacher(settings.teacher, task, cache_dir=folder, device=options.device)
    if teacher.classifier is not None:
        models[TEACHER] = teacher.classifier
    return models, task.test, settings.space


def given(options: argparse.Namespace) -> tuple[Models, Split, SearchSpace]:
    """Students and a teacher by their directories; the space is the paper's."""
    task = load_task(TaskSettings(kind=options.kind, data=options.data))
    named = dict(entry.split("=", 1) for entry in options.students)
    directories = {**named, **({TEACHER: options.teacher} if options.teacher else {})}
    models = {
        name: Classifier.load(directory, task_shape=task.shape, device=options.device)
        for name, directory in directories.items()
    }
    return models, task.test, SearchSpace.paper()


def twins(students: Models, teacher: Classifier | None, split: Split, options: argparse.Namespace) -> str:
    """One student under two names: what each is timed at, and how often the two are told apart."""
    name, student = next(iter(students.items()))
    reference = CodebertArchitecture(options.device)
    makers = {
        "first": classifier_runs(student, split),
        **({TEACHER: classifier_runs(teacher, split)} if teacher is not None else {}),
        "second": classifier_runs(student, split),
        CODEBERT_NAME: reference.runs(student, split),
    }
    places = [list(makers).index(twin) for twin in ("first", "second")]
    found: dict[str, list[tuple[Array, Array]]] = {}
    with computing_threads(options.device, None):
        for time in range(options.times):
            runs = [make(1) for make in makers.values()]
            for order, seed in (("fixed order: after CodeBERT, after the teacher", None), ("random order", time)):
                turns = timed_turns(runs, repeats=options.repeats, device=options.device, seed=seed)
                add_times(found, order, [turns.times_ms[place] for place in places])
                if turns.computed_ms is not None:
                    add_times(found, f"{order}, thread time", [turns.computed_ms[place] for place in places])
            blocks = timed_blocks(runs, repeats=options.repeats, device=options.device, seed=time)
            add_times(found, "warm blocks", [blocks[place].times_ms[0] for place in places])
    lines = [
        f"### {name} under two names, {options.times} times {options.repeats} passes, {device_name(options.device)}\n",
        "| order | first, ms | second, ms | second / first, lowest to highest | told apart |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for order, pairs in found.items():
        first, second = (np.asarray([np.median(pair[index]) for pair in pairs]) for index in (0, 1))
        ratios = second / first
        apart = sum(are_apart(*pair) for pair in pairs)
        cells = [f"{np.median(first):.3f}", f"{np.median(second):.3f}"]
        cells += [f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})", f"{apart} of {len(pairs)}"]
        lines.append(f"| {order} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def add_times(found: dict[str, list[tuple[Array, Array]]], order: str, pair: Sequence[Array]) -> None:
    """Keep the times of both twins."""
    found.setdefault(order, []).append((pair[0], pair[1]))


def are_apart(first: Array, second: Array) -> bool:
    """Whether the 95 % intervals of two medians do not overlap."""
    (low, high), (other_low, other_high) = median_interval(first), median_interval(second)
    return high < other_low or other_high < low


def figures(runs: Sequence[Comparison], name: str) -> Iterator[tuple[str, list[float]]]:
    """Each figure of a model, in every run: median and 95th percentile of its latency in ms, energy in J."""
    models = [run.models[name] for run in runs]
    for key in ("median_ms", "p95_ms"):
        yield key, [getattr(model.latency[0], key) for model in models]
    for key in ("joules", "gross_joules", "idle_watts"):
        if all(model.energy for model in models):
            yield key, [getattr(model.energy, key) for model in models]


def repeatability(runs: Sequence[Comparison]) -> str:
    """A row a figure: its median over the runs, its range, and the spread as a share of the median."""
    lines = [
        "### How repeatable a figure is\n",
        "| model | figure | median | lowest | highest | spread |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name in runs[0].models:
        for key, values in figures(runs, name):
            middle = float(np.median(values))
            spread = f"{np.ptp(values) / middle:.1%}" if middle else ""
            lines.append(f"| {name} | {key} | {middle:.4g} | {min(values):.4g} | {max(values):.4g} | {spread} |")
    return "\n".join(lines) + "\n"


def ratio_table(runs: Sequence[Comparison]) -> str:
    """The paper's table: how many times less a student takes than its teacher and than CodeBERT, medians over runs."""
    models = runs[0].models
    references = [name for name in (TEACHER, CODEBERT_NAME) if name in models]
    lines = [
        "### Times less than the teacher and than CodeBERT\n",
        "| student | than | smaller | faster | less energy |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name in models:
        if name in references:
            continue
        for other in references:
            smaller = models[other].size_bytes / models[name].size_bytes
            faster = quotient(runs, other, name, "median_ms")
            energy = quotient(runs, other, name, "joules")
            cells = [f"{smaller:,.0f}x", faster, energy or "no counter"]
            lines.append(f"| {name} | {other} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def quotient(runs: Sequence[Comparison], more: str, less: str, figure: str) -> str:
    """Median over the runs of a quotient, with its range; each of figures of one run."""
    upper, lower = dict(figures(runs, more)).get(figure), dict(figures(runs, less)).get(figure)
    if upper is None or lower is None or min(lower) <= 0:
        return ""
    times = np.asarray(upper) / np.asarray(lower)
    return f"{np.median(times):,.1f}x ({times.min():,.1f} to {times.max():,.1f})"


def audited(space: SearchSpace, task_shape: TaskShape, options: argparse.Namespace) -> str:
    """What FLOPs and parameters say of latency over random students of the space under 3 MB."""
    feasibility = Feasibility(space=space, constraints=["size_mb <= 3"], task_shape=task_shape)
    students: Sequence[Configuration] = draw(feasibility, options.audit, seed=0)
    found = audit_stand_ins(students, task_shape, device=options.device)
    lines = [
        f"### The audit, over {len(students)} random students of at most 3 MB\n",
        found.verdict + "\n",
        "| stand-in | for | Spearman [95 %] | Kendall [95 %] |",
        "| --- | --- | ---: | ---: |",
    ]
    for row in found.correlations:
        cells = [
            f"{value:.2f} [{low:.2f}, {high:.2f}]"
            for value, (low, high) in ((row.spearman, row.spearman_interval), (row.kendall, row.kendall_interval))
        ]
        lines.append(f"| {row.stand_in} | {row.figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
