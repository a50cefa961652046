"""The paper's table on BigCloneBench, in one run: a teacher of CodeBERT's size, and students of 3 MB to 12 KB.

    python -m benchmarks.paper_table --data DIR --device cuda --workers 8 --out OUT --work WORK

The teacher is trained here from nothing (`benchmarks.paper_teachers` says how well a device is used by that), students
are distilled from it with three seeds each, evaluated once on `test.txt`, and timed beside it, on one thread of the
processor and on the GPU, with joules by counter where there is one. `OUT/table.md` and `OUT/results.json` are written.

A difference is paired: of the accuracies on the same pairs, the mean over the seeds, with a 95 % interval over
resampled functions (a pair counts as often as both of its functions together) and resampled seeds. Give the same
command again to go on.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement import CODEBERT_NAME, TEACHER, compare
from avatar_optuna.settings import MeasurementSettings
from avatar_optuna.tasks import Task, baseline_predictions
from benchmarks.bigclonebench import STUDENTS as TRANSFORMERS
from benchmarks.headline import device_name
from benchmarks.paper_teachers import CODEBERT
from benchmarks.trials import Bench, Outcome, Trial, over_seeds, run_trials

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
Right = npt.NDArray[np.bool_]


def main() -> None:
    """Train, distil, evaluate, time, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.json"
    document: dict[str, Any] = {"device": device_name(options.device), "torch": torch.__version__}
    bench = Bench(
        task={"kind": "clone-detection", "data": options.data, "max_train": options.max_train},
        teacher={
            "architecture": {**CODEBERT, **options.sizes},
            "epochs": options.teacher_epochs,
            "learning_rate": 1e-4,
            "batch_size": 32,
        },
        device=options.device,
        work=options.work / "students",
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
    )
    began = time.time()
    task, teacher = bench.load()
    print(f"teacher ready after {time.time() - began:.0f} s on {document['device']}", flush=True)
    outcomes = distilled(bench, options)
    right = {TEACHER: [teacher.logits("test").argmax(1) == task.test.labels]}
    right["TF-IDF"] = [baseline_predictions(task)["test"] == task.test.labels]
    for outcome in outcomes:
        classifier = Classifier.load(outcome.directory)
        logits = classifier.predict_logits(task.test.functions, task.test.inputs, batch_size=64)
        right.setdefault(outcome.trial.name, []).append(logits.argmax(1) == task.test.labels)
    models = timed_models(teacher.classifier, outcomes)
    torch.set_num_threads(os.cpu_count() or 1)
    for name in (name for name in models if name.startswith(TEACHER)):
        logits = models[name].predict_logits(task.test.functions, task.test.inputs)
        right[name] = [logits.argmax(1) == task.test.labels]
    document["students"] = [asdict(outcome) for outcome in outcomes]
    document["right"] = {name: np.array(seeds).astype(int).tolist() for name, seeds in right.items()}
    results.write_text(json.dumps(document, default=str))
    runs = {
        device: [
            compare(
                {name: on_device(model, device) for name, model in models.items() if fits(name, device)},
                on_device(teacher.classifier, device),
                task.test,
                MeasurementSettings(device=device, threads=1, repeats=options.repeats),
            )
            for _ in range(options.times)
        ]
        for device in dict.fromkeys(("cpu", options.device))
    }
    document["compared"] = {device: [run.to_dict() for run in each] for device, each in runs.items()}
    sizes = {outcome.trial.name: outcome.size_bytes for outcome in outcomes}
    sizes["teacher in int8"] = int8_bytes(teacher.classifier)
    text = table(task, right, sizes, runs)
    results.write_text(json.dumps(document, default=str))
    (options.out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--max-train", type=int, default=20_000)
    parser.add_argument("--sizes", type=json.loads, default={}, help="in place of CodeBERT's, for a quick try")
    parser.add_argument("--teacher-epochs", type=int, default=4)
    parser.add_argument("--student-epochs", type=int)
    parser.add_argument("--only", nargs="*", help="names of students")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that distil at once")
    parser.add_argument("--budget-s", type=float, default=1e9, help="begin no epoch after so many seconds")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--times", type=int, default=3, help="times that all are timed beside each other")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    return parser.parse_args()


def distilled(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    """Students that were finished; hashed ones on the processor, where they are trained faster than on a GPU."""
    outcomes: list[Outcome] = []
    for trials, device in ((HASHED, "cpu"), (TRANSFORMERS[:1], bench.device)):
        named = [trial for trial in trials if not options.only or trial.name in options.only]
        named = [replace(trial, epochs=options.student_epochs or trial.epochs) for trial in named]
        queued = over_seeds(named, options.seeds)
        workers = min(options.workers, len(queued))
        for outcome in run_trials(replace(bench, device=device), queued, workers) if queued else ():
            print(
                outcome.trial.name, outcome.trial.seed, outcome.state, outcome.reason, dict(outcome.valid), flush=True
            )
            if outcome.state == "done":
                outcomes.append(outcome)
    return sorted(outcomes, key=lambda outcome: (outcome.trial.name, outcome.trial.seed))


def timed_models(teacher: Classifier | None, outcomes: Sequence[Outcome]) -> dict[str, Classifier]:
    """One seed of each student, and what a user would try first: the teacher in int8 and with half of its layers."""
    assert teacher is not None
    models = {outcome.trial.name: Classifier.load(outcome.directory) for outcome in reversed(outcomes)}
    int8 = on_device(teacher, "cpu")
    quantized = torch.ao.quantization.quantize_dynamic(int8.network, {nn.Linear}, dtype=torch.qint8)
    halved = copy.deepcopy(int8.network)
    halved.roberta.encoder["layer"] = halved.roberta.encoder["layer"][:6]
    return {
        **dict(sorted(models.items())),
        "teacher in int8": replace(int8, network=quantized),
        "teacher, 6 layers": replace(int8, network=halved),
    }


def int8_bytes(teacher: Classifier | None) -> int:
    """Weights of linear layers in one byte, all others in four."""
    assert teacher is not None
    modules = [module for module in teacher.network.modules() if isinstance(module, nn.Linear)]
    return 4 * teacher.num_parameters - 3 * sum(module.weight.numel() for module in modules)


def fits(name: str, device: str) -> bool:
    """torch's dynamic int8 is for processors."""
    return device == "cpu" or name != "teacher in int8"


def on_device(classifier: Classifier | None, device: str) -> Classifier:
    """A copy of a classifier on a device."""
    assert classifier is not None
    network = copy.deepcopy(classifier.network).to(device).eval()
    return replace(classifier, network=network, device=torch.device(device))


def resampled(task: Task, count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Weights (count, inputs) of the test inputs when functions are drawn anew with replacement."""
    generator = np.random.default_rng(seed)
    functions, inputs = np.unique(task.test.inputs, return_inverse=True)
    inputs = inputs.reshape(task.test.inputs.shape)
    draws = generator.multinomial(len(functions), np.full(len(functions), 1 / len(functions)), size=count)
    weights = draws[:, inputs].prod(axis=2).astype(np.float64)  # (count, inputs)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def mean_with_interval(
    rights: Sequence[Right], beside: Sequence[Right] | None, weights: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """Mean accuracy over seeds, or its difference to another model's, in points, with a 95 % interval."""
    generator = np.random.default_rng(1)
    own = np.array(rights, dtype=np.float64)  # (seeds, inputs)
    values = own if beside is None else own - np.mean(np.array(beside, dtype=np.float64), axis=0)
    draws = generator.integers(len(values), size=(len(weights), len(values)))
    means = np.einsum("ri,rsi->r", weights, values[draws]) / len(values)
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(values.mean()), 100 * float(low), 100 * float(high)


def table(
    task: Task, right: Mapping[str, Sequence[Right]], sizes: Mapping[str, int], runs: Mapping[str, Sequence[Any]]
) -> str:
    """A Markdown row a model."""
    weights = resampled(task, 500)
    devices = list(runs)
    head = ["model", "bytes", "smaller", "test, %", "to the teacher, points", "to TF-IDF, points"]
    for device in devices:
        head += [f"ms ({device})", "faster"]
    head += ["mJ above idle", "less", "mJ gross", "less"]
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    compared = list(runs[devices[0]][0].models)
    for name in [TEACHER, "TF-IDF", *[n for n in compared if n not in (TEACHER, CODEBERT_NAME)], CODEBERT_NAME]:
        cells = [name, *size_cells(name, sizes, runs[devices[0]][0])]
        cells += accuracy_cells(name, right, weights)
        for device in devices:
            cells += ratio_cells(name, runs[device], lambda model: model.latency_ms, "{:.3g}")
        for read in (
            lambda m: m.energy and 1000 * m.energy.joules,
            lambda m: m.energy and 1000 * m.energy.gross_joules,
        ):
            cells += ratio_cells(name, runs[devices[-1]], read, "{:.3g}")
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def size_cells(name: str, sizes: Mapping[str, int], run: Any) -> list[str]:
    """Bytes, and how many times fewer than the teacher's."""
    own = sizes.get(name) or (run.models[name].size_bytes if name in run.models else None)
    return [f"{own:,}", f"{run.models[TEACHER].size_bytes / own:,.0f}x"] if own else ["", ""]


def accuracy_cells(name: str, right: Mapping[str, Sequence[Right]], weights: npt.NDArray[np.float64]) -> list[str]:
    """Accuracy and its paired differences."""
    if name not in right:
        return ["", "", ""]
    cells = []
    for beside in (None, right[TEACHER], right["TF-IDF"]):
        mean, low, high = mean_with_interval(right[name], beside, weights)
        sign = "" if beside is None else "+"
        cells.append(f"{mean:{sign}.2f} [{low:{sign}.1f}, {high:{sign}.1f}]")
    return cells


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
