"""The paper's table on a data set, in one run: a teacher of CodeBERT's size, and students of 3 MB to 12 KB.

    python -m benchmarks.paper_table --data DIR --device cuda --workers 8 --out OUT --work WORK

The teacher is trained here from nothing (`benchmarks.paper_teachers` says how well a device is used by that), or is
what `--teacher` says. Students are distilled from it with three seeds each, evaluated once on the test split, and
timed beside it, on one thread of the processor and on the GPU, with joules by counter where there is one. Beside them
stands what a user would try first: the teacher in int8 by torch, as an ONNX graph in float32 and int8, and with half
of its layers, as they are and trained again on the labels for `--half-epochs`. `OUT/table.md` and `OUT/results.json`
are written.

A difference is paired: of `--metric` on the same inputs, the mean over the seeds, with a 95 % interval over resampled
functions and seeds. Give the same command again to go on; `--times 0` ends before anything is timed, so that what needs
all of a machine and what needs a quiet one can be run apart.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avatar_optuna.carbon import carbon_g, grid_intensity_g_per_kwh
from avatar_optuna.distillation import Classifier
from avatar_optuna.files import write_text
from avatar_optuna.measurement import CODEBERT_NAME, TEACHER, compare, computing_threads
from avatar_optuna.schema import Comparison
from avatar_optuna.settings import MeasurementSettings, TeacherSettings
from avatar_optuna.tasks import Split, Task, baseline_logits
from avatar_optuna.view import metric_title
from benchmarks.bigclonebench import STUDENTS as TRANSFORMERS
from benchmarks.drawn_figures import METRICS, Drawn, drawn_figure, interval
from benchmarks.first_tries import (
    HALF,
    HALF_TRAINED,
    INT8,
    OnnxNetwork,
    first_tries,
    fits,
    int8_bytes,
    on_device,
    onnx_bytes,
    trained_again,
)
from benchmarks.headline import device_name
from benchmarks.paper_teachers import CODEBERT
from benchmarks.trials import Bench, Outcome, Trial, add_run_options, over_seeds, read_trials, run_trials

_RECIPE = {"hard_label_weight": 0.3, "token_dropout_prob": 0.1}
_KINDS = ("precision", "grams", "buckets", "width", "pooling", "num_hidden_layers", "intermediate_size")
# Those in float32 were each the best by validation of their size among the 90 of benchmarks/data/landscape.jsonl; those
# of fewer bits are wider at the same bytes.
_HASHED = {
    "hashed 925 KB": ("float32", "token-bigrams", 5123, 44, "mean", 1, 16, 336, 1e-2, 64),
    "hashed 91 KB, int8": ("int8", "token-bigrams", 1800, 44, "mean", 1, 16, 540, 3e-2, 64),
    "hashed 82 KB": ("float32", "token-bigrams", 4925, 4, "mean", 2, 16, 539, 3e-2, 32),
    "hashed 32 KB": ("float32", "tokens", 1138, 5, "mean+max", 1, 87, 540, 3e-2, 64),
    "hashed 32 KB, int4": ("int4", "token-bigrams", 1536, 32, "mean", 1, 16, 540, 3e-2, 64),
    "hashed 12 KB, int4": ("int4", "token-bigrams", 512, 31, "mean", 0, 16, 540, 3e-2, 64),
}
HASHED = tuple(
    Trial(
        name=name.replace(",", "").replace(" ", "-"),
        family="hashed",
        epochs=20,
        settings=_RECIPE,
        hyperparameters={
            **dict(zip(_KINDS, shape[:7], strict=True)),
            "hidden_dropout_prob": 0.0,
            **dict(zip(("max_sequence_length", "learning_rate", "batch_size"), shape[7:], strict=True)),
        },
    )
    for name, shape in _HASHED.items()
)
Logits = npt.NDArray[Any]
BASELINE = "TF-IDF"
MAY_CHANGE = ("times", "workers", "budget_s", "country")
"""Options that may differ when a command is given again: they change nothing that it has already made."""


def main() -> None:
    """Train, distil, evaluate, time, print."""
    options = arguments()
    grid_intensity_g_per_kwh(options.country)  # one that is not known is refused before hours of work
    devices = dict.fromkeys((options.device, "cpu"))
    timed = {name: MeasurementSettings(device=name, threads=1, repeats=options.repeats) for name in devices}
    kept = Kept.of(options)
    bench = Bench(
        task=task_section(options),
        teacher=teacher_section(options),
        device=options.device,
        work=options.work / "students",
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
        metric="balanced_accuracy" if options.metric == "accuracy" else options.metric,
    )
    began = time.time()
    task, teacher = bench.load()
    print(f"teacher ready after {time.time() - began:.0f} s on {kept.document['device']}", flush=True)
    outcomes = distilled(bench, options)
    assert teacher.classifier is not None
    models = models_of(outcomes, teacher.classifier, task, TeacherSettings(**bench.teacher), options)
    answers = {
        TEACHER: kept.answers(TEACHER, 1, lambda: [teacher.logits("test")]),
        BASELINE: kept.answers(BASELINE, 1, lambda: [baseline_logits(task)["test"]]),
    }
    for name, model in models.items():
        seeds = [Classifier.load(outcome.directory) for outcome in outcomes if outcome.trial.name == name] or [model]
        answers[name] = kept.answers(name, len(seeds), partial(answered, name, seeds, task.test, options.device))
    if not options.times:
        print(f"{len(answers)} models have answered; to time them, give the same command with --times 1 or more")
        return
    for device, settings in timed.items():
        ours = {name: on_device(model, device) for name, model in models.items() if fits(name, device)}
        beside = on_device(teacher.classifier, device)
        kept.time(device, options.times, partial(compare, ours, beside, task.test, settings))
    sizes = {outcome.trial.name: outcome.size_bytes for outcome in outcomes}
    sizes |= {INT8: int8_bytes(teacher.classifier), **onnx_bytes(options.work / "onnx")}
    drawn = {name: [drawn_figure(task, one, options.metric) for one in seeds] for name, seeds in answers.items()}
    runs = {device: kept.runs(device) for device in ("cpu", *devices)}
    text = table(drawn, sizes, runs, options.metric, options.country)
    (options.out / "table.md").write_text(text)
    print(text)


def models_of(
    outcomes: Sequence[Outcome], teacher: Classifier, task: Task, settings: TeacherSettings, options: argparse.Namespace
) -> dict[str, Classifier]:
    """What stands beside the teacher, by name: a seed of each student, and what a user would try first."""
    models = {**students_of(outcomes), **first_tries(teacher, options.work / "onnx")}
    if options.half_epochs:
        models[HALF_TRAINED] = trained_again(
            models[HALF],
            task,
            settings,
            epochs=options.half_epochs,
            device=options.device,
            directory=options.work / "half",
        )
    return models


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a table is made of, in a file that is written after each part: the same command goes on from there."""

    path: Path
    document: dict[str, Any]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Kept:
        """What the same command left, or nothing."""
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / "results.json"
        said = {name: str(value) for name, value in sorted(vars(options).items()) if name not in MAY_CHANGE}
        new: dict[str, Any] = {"command": said}
        new |= {"device": device_name(options.device), "torch": torch.__version__}
        found = json.loads(path.read_text()) if path.is_file() else {}
        is_same = all(found.get(key) == value for key, value in new.items())
        return cls(path=path, document=found if is_same else {**new, "answers": {}, "compared": {}})

    def answers(self, name: str, seeds: int, ask: Callable[[], Sequence[Logits]]) -> list[Logits]:
        """Logits of each of so many seeds of a model on the test split."""
        known = self.document["answers"]
        if len(known.get(name, ())) != seeds:
            known[name] = [logits.tolist() for logits in ask()]
            self._write()
        return [np.array(logits, dtype=np.float32) for logits in known[name]]

    def time(self, device: str, times: int, measure: Callable[[], Comparison]) -> None:
        """Time all models beside each other on a device, until they have been so many times."""
        known = self.document["compared"].setdefault(device, [])
        while len(known) < times:
            began = time.time()
            known.append(measure().to_dict())
            self._write()
            print(f"timed on {device}, {len(known)} of {times}: {time.time() - began:.0f} s", flush=True)

    def runs(self, device: str) -> list[Comparison]:
        """Each time that all models were timed on a device."""
        return [Comparison.from_dict(known) for known in self.document["compared"][device]]

    def _write(self) -> None:
        write_text(self.path, json.dumps(self.document, default=str))


def answered(name: str, seeds: Sequence[Classifier], split: Split, device: str) -> list[Logits]:
    """Logits of each seed of a model, on a device, or on all threads of the processor."""
    threads, found = len(os.sched_getaffinity(0)), []
    with computing_threads("cpu", threads):
        for seed in seeds:
            model = on_device(seed, device if fits(name, device) else "cpu")
            if isinstance(model.network, OnnxNetwork):
                model = replace(model, network=model.network.with_threads(threads))
            found.append(model.predict_logits(split.functions, split.inputs))
    return found


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="clone-detection")
    parser.add_argument("--data", required=True)
    parser.add_argument("--max-train", type=int, help="inputs to train on (20,000 for pairs of clone detection)")
    parser.add_argument("--task", type=json.loads, default={}, metavar="JSON", help="further keys of [task]")
    parser.add_argument("--sizes", type=json.loads, default={}, help="in place of CodeBERT's, for a quick try")
    parser.add_argument("--teacher-epochs", type=int, default=4)
    parser.add_argument("--half-epochs", type=int, default=2, help="of the teacher's first half; 0 leaves that row out")
    parser.add_argument("--teacher", type=json.loads, default={}, metavar="JSON", help="further keys of [teacher]")
    parser.add_argument("--metric", default="accuracy", choices=METRICS, help="that is reported and chooses epochs")
    parser.add_argument("--trials", type=Path, help="JSON lines of students, in place of the built-in ones")
    parser.add_argument(
        "--settings", type=json.loads, default={}, metavar="JSON", help="further keys of [distillation]"
    )
    parser.add_argument("--student-epochs", type=int)
    parser.add_argument(
        "--hashed-device",
        help="where hashed students are trained, in place of --device",
    )
    parser.add_argument("--only", nargs="*", help="names of students")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--times", type=int, default=3, help="times that all are timed beside each other; 0: not yet")
    parser.add_argument("--country", default="USA", help="ISO 3166 code of the grid, for grams of carbon")
    add_run_options(parser)
    return parser.parse_args()


def task_section(options: argparse.Namespace) -> dict[str, Any]:
    """The section `[task]`."""
    max_train = options.max_train or (20_000 if options.kind == "clone-detection" else None)
    return {"kind": options.kind, "data": options.data, "max_train": max_train, **options.task}


def teacher_section(options: argparse.Namespace) -> dict[str, Any]:
    """The section `[teacher]`: a network of CodeBERT's size, unless another source is named."""
    if options.teacher.keys() & {"checkpoint", "pretrained"}:
        return dict(options.teacher)
    own = {"architecture": {**CODEBERT, **options.sizes}, "epochs": options.teacher_epochs}
    return {**own, "learning_rate": 1e-4, "batch_size": 32, **options.teacher}


def distilled(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    """Students that were finished; hashed ones on a device of their own where it is said."""
    given = read_trials(options.trials) if options.trials else [*HASHED, TRANSFORMERS[0]]
    trials = [
        replace(
            trial,
            epochs=options.student_epochs or trial.epochs,
            settings={**trial.settings, **options.settings},
        )
        for trial in given
        if not options.only or trial.name in options.only
    ]
    outcomes: list[Outcome] = []
    for is_hashed, device in ((True, options.hashed_device or bench.device), (False, bench.device)):
        queued = over_seeds([trial for trial in trials if (trial.family == "hashed") == is_hashed], options.seeds)
        workers = min(options.workers, len(queued))
        for outcome in run_trials(replace(bench, device=device), queued, workers) if queued else ():
            print(
                outcome.trial.name, outcome.trial.seed, outcome.state, outcome.reason, dict(outcome.valid), flush=True
            )
            if outcome.state == "done":
                outcomes.append(outcome)
    return sorted(outcomes, key=lambda outcome: (outcome.trial.name, outcome.trial.seed))


def students_of(outcomes: Sequence[Outcome]) -> dict[str, Classifier]:
    """One seed of each student, by name."""
    models = {outcome.trial.name: Classifier.load(outcome.directory) for outcome in reversed(outcomes)}
    return dict(sorted(models.items()))


def table(
    drawn: Mapping[str, Sequence[Drawn]],
    sizes: Mapping[str, int],
    runs: Mapping[str, Sequence[Any]],
    metric: str,
    country: str,
) -> str:
    """A Markdown row a model; grams are those of the energy above idle, on the mean grid of a country."""
    devices = list(runs)
    head = ["model", "bytes", "smaller", f"test, {metric_title(metric)}, %", "to the teacher, points"]
    head += ["to TF-IDF, points"]
    for device in devices:
        head += [f"ms ({device})", "faster"]
    head += ["mJ above idle", "less", "mJ gross", "less", f"g CO2e a million ({country})"]
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    compared = list(runs[devices[0]][0].models)
    for name in [TEACHER, BASELINE, *[n for n in compared if n not in (TEACHER, CODEBERT_NAME)], CODEBERT_NAME]:
        cells = [name, *size_cells(name, sizes, runs[devices[0]][0])]
        cells += figure_cells(name, drawn)
        for device in devices:
            cells += ratio_cells(name, runs[device], lambda model: model.latency_ms, "{:.3g}")
        for read in (
            lambda m: m.energy and 1000 * m.energy.joules,
            lambda m: m.energy and 1000 * m.energy.gross_joules,
        ):
            cells += ratio_cells(name, runs[devices[-1]], read, "{:.3g}")
        grams = ratio_cells(
            name, runs[devices[-1]], lambda m: m.energy and carbon_g(1e6 * m.energy.joules, country), "{:.3g}"
        )
        lines.append(" | ".join([*cells, grams[0]]))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def size_cells(name: str, sizes: Mapping[str, int], run: Any) -> list[str]:
    """Bytes, and how many times fewer than the teacher's."""
    own = sizes.get(name) or (run.models[name].size_bytes if name in run.models else None)
    return [f"{own:,}", f"{run.models[TEACHER].size_bytes / own:,.0f}x"] if own else ["", ""]


def figure_cells(name: str, drawn: Mapping[str, Sequence[Drawn]]) -> list[str]:
    """The figure on test and its paired differences."""
    if name not in drawn:
        return ["", "", ""]
    besides: Iterable[Sequence[Drawn]] = ((), drawn[TEACHER], drawn[BASELINE])
    return ["" if drawn[name] is beside else interval(drawn[name], beside) for beside in besides]


def ratio_cells(name: str, runs: Sequence[Any], read: Callable[[Any], float | None], style: str) -> list[str]:
    """A figure, median over the repetitions, and how many times less than the teacher's, from least to most."""
    pairs = [(read(run.models[name]), read(run.models[TEACHER])) for run in runs if name in run.models]
    known = [(own, reference) for own, reference in pairs if own and reference]
    if not known:
        return ["", ""]
    ratios = sorted(reference / own for own, reference in known)
    return [style.format(np.median([own for own, _ in known])), f"{ratios[0]:.3g} to {ratios[-1]:.3g}x"]


if __name__ == "__main__":
    main()
