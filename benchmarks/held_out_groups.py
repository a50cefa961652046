"""BigCloneBench with one connected group of clones held out: what is lost, and what learning from groups wins back.

    python -m benchmarks.held_out_groups --data DIR --out OUT --work WORK

The large groups of training are those of the audit: functions that pairs of clones connect. No function of validation
or test stands in training under its index, so a group of theirs belongs to each training group of which it holds a
copy, comments and blanks aside. For each of the three largest, everything is trained twice: on all pairs, and on those
of training and validation that touch no function of the group and no copy of one. Both answer for the test pairs that
touch the group.

The teacher of a hold-out, a small transformer, is trained on the remaining labels, from nothing: published ones have
seen every group. Hashed students of one shape learn from the labels of listed pairs, from the labels that groups give
to all pairs with the contrastive loss, or from the teacher, with and without that loss. Validation, without the group,
selects the epoch; test is read once. Prints figures with 95 % intervals over resampled functions, the lowest to the
highest end over seeds, and paired differences. Give the same command again to go on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.data_audit import large_groups
from avatar_optuna.distillation import Classifier
from avatar_optuna.metrics import Answers, figures, paired_difference
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, Task, baseline_logits, connected_groups, digests_of, load_task
from benchmarks.headline import SHARED, device_name
from benchmarks.trials import Bench, Outcome, Trial, add_run_options, over_seeds, run_trials

Mask = npt.NDArray[np.bool_]
Logits = npt.NDArray[np.floating[Any]]

KIND = "clone-detection"
EVERYTHING = "everything"
_SHAPE = {
    "grams": "token-bigrams",
    "buckets": 4096,
    "width": 32,
    "pooling": "mean",
    "num_hidden_layers": 1,
    "intermediate_size": 64,
    "hidden_dropout_prob": 0.0,
    "max_sequence_length": 512,
    "learning_rate": 1e-2,
    "batch_size": 64,
    "precision": "float32",
}
_HIDDEN = {"token_dropout_prob": 0.1}
_LISTED = {"hard_label_weight": 1.0, **_HIDDEN, "max_train_inputs": 20_000}
_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "labels, contrastive": {"hard_label_weight": 1.0, "contrastive_weight": 0.5, **_HIDDEN},
    "distilled": {"hard_label_weight": 0.0, **_HIDDEN},
    "distilled, contrastive": {"hard_label_weight": 0.0, "contrastive_weight": 0.5, **_HIDDEN},
}
_LABELS, _PLAIN = "labels", "TF-IDF"


TEACHER = {
    "architecture": {
        "vocab_size": 4000,
        "num_hidden_layers": 1,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_attention_heads": 4,
    },
    "epochs": 2,
    "learning_rate": 1e-3,
    "batch_size": 32,
    "max_sequence_length": 200,
}


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """What is left out of training and validation.

    Args:
        name: Of its folder.
        out: By split, functions of the group and copies of them, shape (functions,).
        touched: Test pairs with at least one of them, shape (pairs,).
    """

    name: str
    out: Mapping[str, Mask]
    touched: Mask


def main() -> None:
    """Hold out, train, evaluate, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    task = load_task(TaskSettings(kind=KIND, data=options.data))
    holdouts = list(hold_outs(task, options.groups))
    for holdout in holdouts:
        print(description(task, holdout), flush=True)
    left_out = {**{holdout.name: holdout.out for holdout in holdouts}, EVERYTHING: None}
    for name, out in left_out.items():
        answer(task, written(task, out, Path(options.data), options.work / name), name, options)
    text = table(task, holdouts, options.out)
    (options.out / "table.md").write_text(f"{device_name(options.device)}\n\n{text}")
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(SHARED / "data" / "bigclonebench"))
    parser.add_argument("--groups", type=int, default=3, help="the largest so many, each held out in turn")
    parser.add_argument("--epochs", type=int, default=15, help="over functions")
    parser.add_argument("--label-epochs", type=int, default=5, help="over 20,000 listed pairs")
    parser.add_argument("--teacher", type=json.loads, default=TEACHER, metavar="JSON", help="the section [teacher]")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    add_run_options(parser)
    return parser.parse_args()


def hold_outs(task: Task, count: int) -> Iterator[HoldOut]:
    """The largest groups of training, the one with most clones first."""
    codes = {name: _codes(split, task.language) for name, split in task.splits.items()}
    large, pairs = large_groups(task.train), task.train.inputs[task.train.labels == 1]
    sizes = np.bincount(large[pairs[:, 0]])
    sizes[0] = 0
    for place, group in enumerate(np.argsort(-sizes)[:count].tolist(), start=1):
        out = members(task, codes, codes["train"][large == group])
        yield HoldOut(name=f"group-{place}", out=out, touched=out["test"][task.test.inputs].any(axis=1))


def _codes(split: Split, language: str) -> npt.NDArray[np.bytes_]:
    return np.array([digests_of(function, language)["code"] for function in split.functions])


def members(task: Task, codes: Mapping[str, npt.NDArray[np.bytes_]], group: npt.NDArray[np.bytes_]) -> dict[str, Mask]:
    """Functions of test whose own group holds a copy of one of a training group; of training and validation, copies of
    these and of the training group, and of validation those that are connected with such a copy.

    Args:
        codes: Digest of each function, comments and blanks aside, by split.
        group: Those of the training group.
    """
    connected: dict[str, Mask] = {}
    for name in ("valid", "test"):
        own = connected_groups(task.splits[name])
        connected[name] = np.isin(own, own[np.isin(codes[name], group)])
    copied = np.concatenate([group, codes["test"][connected["test"]]])
    return {
        "train": np.isin(codes["train"], copied),
        "valid": np.isin(codes["valid"], copied) | connected["valid"],
        "test": connected["test"],
    }


def description(task: Task, holdout: HoldOut) -> str:
    """What is held out, in numbers."""
    parts = []
    for name, split in task.splits.items():
        touched = holdout.out[name][split.inputs].any(axis=1)
        clones = int((touched & (split.labels == 1)).sum())
        parts.append(f"{name} {holdout.out[name].sum():,} functions, {touched.sum():,} pairs, {clones:,} clones")
    return f"{holdout.name}: {'; '.join(parts)}"


def written(task: Task, out: Mapping[str, Mask] | None, data: Path, folder: Path) -> Path:
    """A folder of the data in which training and validation hold no pair of the functions that are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / "data.jsonl", folder / "data.jsonl")
    shutil.copyfile(data / "test.txt", folder / "test.txt")
    for name in ("train", "valid"):
        split = task.splits[name]
        kept = np.ones(len(split), dtype=np.bool_) if out is None else ~out[name][split.inputs].any(axis=1)
        rows = zip(split.inputs[kept].tolist(), split.labels[kept].tolist(), strict=True)
        lines = [f"{split.ids[first]}\t{split.ids[second]}\t{label}\n" for (first, second), label in rows]
        (folder / f"{name}.txt").write_text("".join(lines))
        truth = np.eye(2, dtype=np.float32)[split.labels[kept]]
        np.save(folder / f"soft_labels_{name}.npy", truth)  # a student of labels alone needs a teacher in name
    return folder


def answer(task: Task, data: Path, name: str, options: argparse.Namespace) -> None:
    """Train each model on a folder, and keep its logits for the test pairs of the whole task."""
    benches = {
        "teacher": _bench(data, options.teacher, options),
        _LABELS: _bench(data, {"soft_labels": str(data)}, options),
    }
    began = time.time()
    rest, teacher = benches["teacher"].load()
    assert rest.test.ids == task.test.ids
    assert (rest.test.inputs == task.test.inputs).all()
    keep(options.out, name, "teacher", 0, teacher.logits("test"))
    if not _place(options.out, name, _PLAIN, 0).is_file():
        keep(options.out, name, _PLAIN, 0, baseline_logits(rest)["test"])
    print(f"{name}: {len(rest.train):,} pairs; teacher ready after {time.time() - began:.0f} s", flush=True)
    distilled = [_trial(model, options.epochs, settings) for model, settings in _RECIPES.items()]
    listed = [_trial(_LABELS, options.label_epochs, _LISTED)]
    for bench, trials in ((benches["teacher"], distilled), (benches[_LABELS], listed)):
        for outcome in run_trials(bench, over_seeds(trials, options.seeds), options.workers):
            record(outcome, rest, name, options.out)


def _bench(data: Path, teacher: Mapping[str, Any], options: argparse.Namespace) -> Bench:
    return Bench(
        task={"kind": KIND, "data": str(data)},
        teacher=teacher,
        device=options.device,
        work=data / "students",
        cache=data / "cache",
        deadline=time.time() + options.budget_s,
    )


def _trial(name: str, epochs: int, settings: Mapping[str, Any]) -> Trial:
    return Trial(name=name, family="hashed", epochs=epochs, settings=settings, hyperparameters=_SHAPE)


def record(outcome: Outcome, rest: Task, name: str, out: Path) -> None:
    """Keep a student's answers for the test pairs, and print how it went."""
    trial = outcome.trial
    valid = {key: round(value, 4) for key, value in outcome.valid.items() if isinstance(value, float)}
    print(name, trial.name, trial.seed, outcome.state, outcome.reason, outcome.size_bytes, valid, flush=True)
    if outcome.state == "done" and not _place(out, name, trial.name, trial.seed).is_file():
        classifier = Classifier.load(Path(outcome.directory))
        logits = classifier.predict_logits(rest.test.functions, rest.test.inputs, batch_size=64)
        keep(out, name, trial.name, trial.seed, logits)


def keep(out: Path, name: str, model: str, seed: int, logits: Any) -> None:
    """Write the logits (pairs, 2) of the test pairs."""
    np.save(_place(out, name, model, seed), np.asarray(logits, dtype=np.float32))


def _place(out: Path, name: str, model: str, seed: int) -> Path:
    return out / f"{name}.{model.replace(',', '').replace(' ', '-')}.{seed}.npy"


def answers(out: Path, name: str, model: str, split: Split, rows: Mask) -> list[Answers]:
    """What a model says of some test pairs, one for each seed that is there."""
    places = _place(out, name, model, 0).parent.glob(_place(out, name, model, 0).name.replace(".0.npy", ".*.npy"))
    kept = np.flatnonzero(rows)
    return [Answers(split=split.take(kept), logits=np.load(place)[kept]) for place in sorted(places)]


def table(task: Task, holdouts: Sequence[HoldOut], out: Path) -> str:
    """Markdown: for each hold-out a row a model, its figures with everything and without the group, in percent."""
    names = {"f1": "F1", "balanced_accuracy": "balanced accuracy", "roc_auc": "ROC-AUC"}
    heads = ["model", "seeds", *(f"{name}, {what}" for name in names.values() for what in ("held out", "change"))]
    lines: list[str] = []
    for holdout in holdouts:
        lines += [description(task, holdout), "", f"| {' | '.join([*heads, 'F1 beside labels'])} |"]
        lines.append(f"| --- | ---: |{' ---: |' * (2 * len(names) + 1)}")
        beside = answers(out, holdout.name, _LABELS, task.test, holdout.touched)
        for model in (_PLAIN, "teacher", _LABELS, *_RECIPES):
            whole, left = (answers(out, name, model, task.test, holdout.touched) for name in (EVERYTHING, holdout.name))
            if whole and left:
                lines.append(row(model, list(names), whole, left, beside))
        lines.append("")
    return "\n".join(lines)


def row(
    model: str,
    metrics: Sequence[str],
    whole: Sequence[Answers],
    left: Sequence[Answers],
    beside: Sequence[Answers],
) -> str:
    """A model without the group, what it lost by that, and how far its F1 lies above that of students of labels."""
    cells = [model, str(len(left)) if len(left) == len(whole) else f"{len(left)}, {len(whole)}"]
    for metric in metrics:
        cells += [_figure(left, metric), _difference(left, whole, metric)]
    cells.append("" if model == _LABELS or not beside else _difference(left, beside, "f1"))
    return f"| {' | '.join(cells)} |"


def _figure(each: Sequence[Answers], metric: str) -> str:
    found = [figures(one, ("0", "1")) for one in each]
    ends = [end for one in found for end in one[f"{metric}_interval"]]
    return _cell([one[metric] for one in found], ends, sign="")


def _difference(own: Sequence[Answers], other: Sequence[Answers], metric: str) -> str:
    """Seed by seed; one that has a single seed stands beside each of the other's."""
    count = max(len(own), len(other))
    pairs = [(own[seed % len(own)], other[seed % len(other)]) for seed in range(count)]
    found = [paired_difference(*pair, metric) for pair in pairs]
    return _cell([one["value"] for one in found], [end for one in found for end in one["interval"]], sign="+")


def _cell(values: Sequence[float], ends: Sequence[float], *, sign: str) -> str:
    mean, low, high = (100 * float(value) for value in (np.mean(values), min(ends), max(ends)))
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


if __name__ == "__main__":
    main()
