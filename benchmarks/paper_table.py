"""The paper's table on a data set, in one run: a teacher of CodeBERT's size, and students of 3 MB to 12 KB.

    python -m benchmarks.paper_table --data DIR --device cuda --workers 8 --out OUT --work WORK

The teacher is trained here from nothing (`benchmarks.paper_teachers` says how well a device is used by that), or is
what `--teacher` says. Students are distilled from it with three seeds each, evaluated once on the test split, and
timed beside it, on one thread of the processor and on the GPU, with joules by counter where there is one. Beside them
stands what a user would try first: the teacher in int8 by torch, as an ONNX graph in float32 and int8, and with half
of its layers, as they are and trained again on the labels for `--half-epochs`. `OUT/table.md` and `OUT/results.json`
are written.

A difference is paired: of `--metric` on the same inputs, the mean over the seeds, with a 95 % interval over resampled
functions and seeds. Give the same command again to go on.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from avatar_optuna.distillation import Classifier, Examples, Judge, Recipe, SimilarityClassifier, Trainer
from avatar_optuna.measurement import CODEBERT_NAME, TEACHER, compare
from avatar_optuna.settings import MeasurementSettings, TeacherSettings
from avatar_optuna.tasks import Task, baseline_logits, known_groups
from avatar_optuna.view import metric_title
from benchmarks.bigclonebench import STUDENTS as TRANSFORMERS
from benchmarks.drawn_figures import METRICS, Drawn, drawn_figure, interval
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
INT8 = "teacher in int8"
ONNX = "teacher as an ONNX graph"
ONNX_INT8 = "teacher as an ONNX graph, int8"
HALF = "teacher, half of its layers"
HALF_TRAINED = "teacher, half of its layers, trained again"
ON_A_PROCESSOR = (INT8, ONNX, ONNX_INT8)


def main() -> None:
    """Train, distil, evaluate, time, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.json"
    document: dict[str, Any] = {"device": device_name(options.device), "torch": torch.__version__}
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
    print(f"teacher ready after {time.time() - began:.0f} s on {document['device']}", flush=True)
    outcomes = distilled(bench, options)
    answers: dict[str, list[Logits]] = {
        TEACHER: [teacher.logits("test")],
        BASELINE: [baseline_logits(task)["test"]],
    }
    for outcome in outcomes:
        logits = Classifier.load(outcome.directory).predict_logits(task.test.functions, task.test.inputs, batch_size=64)
        answers.setdefault(outcome.trial.name, []).append(logits)
    document["students"] = [asdict(outcome) for outcome in outcomes]
    results.write_text(json.dumps(document, default=str))  # whatever becomes of what follows
    assert teacher.classifier is not None
    models = {**students_of(outcomes), **first_tries(teacher.classifier, options.work / "onnx")}
    if options.half_epochs:
        models[HALF_TRAINED] = trained_again(models[HALF], task, options)
    torch.set_num_threads(os.cpu_count() or 1)
    for name in (name for name in models if name.startswith(TEACHER)):
        model = on_device(models[name], options.device if fits(name, options.device) else "cpu")
        if isinstance(model.network, OnnxNetwork):
            model = replace(model, network=model.network.with_threads(os.cpu_count() or 1))
        answers[name] = [model.predict_logits(task.test.functions, task.test.inputs)]
    document["answers"] = {name: [logits.tolist() for logits in seeds] for name, seeds in answers.items()}
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
    sizes |= {INT8: int8_bytes(teacher.classifier), **onnx_bytes(options.work / "onnx")}
    drawn = {name: [drawn_figure(task, one, options.metric) for one in seeds] for name, seeds in answers.items()}
    text = table(drawn, sizes, runs, options.metric)
    results.write_text(json.dumps(document, default=str))
    (options.out / "table.md").write_text(text)
    print(text)


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
    parser.add_argument("--times", type=int, default=3, help="times that all are timed beside each other")
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


def first_tries(teacher: Classifier, folder: Path) -> dict[str, Classifier]:
    """What a user would try first with a teacher, on a processor."""
    plain = on_device(teacher, "cpu")
    quantized = torch.ao.quantization.quantize_dynamic(plain.network, {nn.Linear}, dtype=torch.qint8)
    paths = onnx_graphs(plain, folder)
    return {
        INT8: replace(plain, network=quantized),
        **{name: replace(plain, network=OnnxNetwork(path, plain.network)) for name, path in paths.items()},
        HALF: replace(plain, network=halved(plain.network)),
    }


def halved(network: nn.Module) -> nn.Module:
    """A copy with the first half of the layers."""
    copied = copy.deepcopy(network)
    layers = max((module for module in copied.modules() if isinstance(module, nn.ModuleList)), key=len)
    del layers[len(layers) // 2 :]
    return copied


def trained_again(classifier: Classifier, task: Task, options: argparse.Namespace) -> Classifier:
    """A copy that is trained on the labels, or on the groups of functions where the teacher compares vectors.

    At half of the teacher's rate.
    """
    settings = TeacherSettings(**teacher_section(options))
    network = copy.deepcopy(classifier.network).to(options.device)
    is_similarity = isinstance(network, SimilarityClassifier)
    tokenized = partial(
        Examples.of,
        tokenizer=classifier.tokenizer,
        max_sequence_length=classifier.max_sequence_length,
        device=options.device,
    )
    trainer = Trainer(
        network,
        recipe=Recipe(
            epochs=options.half_epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate / 2,
            hard_label_weight=1.0,
            contrastive_weight=float(is_similarity),
        ),
        train=tokenized(task.train, groups=known_groups(task.train) if is_similarity else None),
        valid=tokenized(task.valid),
        soft_labels=None,
        directory=options.work / "half",
        fingerprint="half",
        num_labels=task.shape.num_labels,
        judge=Judge(metric="roc_auc", split=task.valid) if is_similarity else None,
    )
    trainer.run(lambda record: print(HALF_TRAINED, record.epoch, dict(record.valid), flush=True))
    return on_device(replace(classifier, network=network.eval(), device=torch.device(options.device)), "cpu")


class _Encoder(nn.Module):
    """The half of a network that an ONNX graph holds."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors (n, k) of ids and mask (n, t)."""
        return self.network.encode(ids, mask)  # type: ignore[no-any-return]


class OnnxNetwork(nn.Module):
    """A network whose encoder is run by onnxruntime on threads of a processor, one or more; its head stays torch's."""

    def __init__(self, path: Path, network: Any, threads: int = 1) -> None:
        super().__init__()
        import onnxruntime

        self.path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.classify = network.classify

    def with_threads(self, threads: int) -> OnnxNetwork:
        """The same network on other threads."""
        return OnnxNetwork(self.path, self, threads)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, k) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        (vectors,) = self.session.run(None, {"ids": input_ids.long().numpy(), "mask": mask.numpy()})
        return torch.from_numpy(vectors)


def onnx_graphs(teacher: Classifier, folder: Path) -> dict[str, Path]:
    """Its encoder in float32 and in int8, made where they are missing; none where onnxruntime is."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        print("onnxruntime is missing: no ONNX graphs", flush=True)
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    paths = _graph_paths(folder)
    if not paths[ONNX].is_file():
        ids = torch.arange(5, 37)[None].repeat(2, 1)
        axes = {0: "functions", 1: "tokens"}
        torch.onnx.export(
            _Encoder(teacher.network).eval(),
            (ids, torch.ones_like(ids)),
            str(paths[ONNX]),
            input_names=["ids", "mask"],
            output_names=["vectors"],
            dynamic_axes={"ids": axes, "mask": axes, "vectors": {0: "functions"}},
            opset_version=17,
            dynamo=False,
        )
    if not paths[ONNX_INT8].is_file():
        quantize_dynamic(paths[ONNX], paths[ONNX_INT8], weight_type=QuantType.QInt8, per_channel=True)
    return paths


def onnx_bytes(folder: Path) -> dict[str, int]:
    """Of the graphs that are there."""
    return {name: path.stat().st_size for name, path in _graph_paths(folder).items() if path.is_file()}


def _graph_paths(folder: Path) -> dict[str, Path]:
    return {ONNX: folder / "encode.onnx", ONNX_INT8: folder / "encode-int8.onnx"}


def int8_bytes(teacher: Classifier) -> int:
    """Weights of linear layers in one byte, all others in four."""
    modules = [module for module in teacher.network.modules() if isinstance(module, nn.Linear)]
    return 4 * teacher.num_parameters - 3 * sum(module.weight.numel() for module in modules)


def fits(name: str, device: str) -> bool:
    """Dynamic int8 and the ONNX graphs are for processors."""
    return device == "cpu" or name not in ON_A_PROCESSOR


def on_device(classifier: Classifier, device: str) -> Classifier:
    """A classifier on a device, a copy of it where it is elsewhere."""
    if classifier.device == torch.device(device):
        return classifier
    network = copy.deepcopy(classifier.network).to(device).eval()
    return replace(classifier, network=network, device=torch.device(device))


def table(
    drawn: Mapping[str, Sequence[Drawn]], sizes: Mapping[str, int], runs: Mapping[str, Sequence[Any]], metric: str
) -> str:
    """A Markdown row a model."""
    devices = list(runs)
    head = ["model", "bytes", "smaller", f"test, {metric_title(metric)}, %", "to the teacher, points"]
    head += ["to TF-IDF, points"]
    for device in devices:
        head += [f"ms ({device})", "faster"]
    head += ["mJ above idle", "less", "mJ gross", "less"]
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
        lines.append(" | ".join(cells))
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
