"""Students, their teacher and the CodeBERT architecture, timed by turns in one process: what ratios are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avatar_optuna.decision import Decision
from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement._energy import energy_of
from avatar_optuna.measurement._flips import count_flips
from avatar_optuna.measurement._latency import computing_threads, describe_device, interleaved_latencies
from avatar_optuna.measurement._models import CodebertArchitecture, classifier_runs
from avatar_optuna.measurement._student import split_logits
from avatar_optuna.metrics import Answers, fidelity, paired_difference, resampled_figures
from avatar_optuna.schema import ComparedModel, Comparison, Difference, Disagreement, Fidelity, ResampledFigure
from avatar_optuna.settings import MeasurementSettings
from avatar_optuna.tasks import Split, Task

TEACHER = "teacher"
CODEBERT_NAME = "codebert"

_DISAGREEMENTS = 6
_SHOWN_CHARACTERS = 700


def compare(
    students: Mapping[str, Classifier],
    teacher: Classifier | None,
    split: Split,
    settings: MeasurementSettings,
    *,
    variants: Sequence[Sequence[str]] = (),
    decisions: Mapping[str, Decision] | None = None,
    answered: Mapping[str, Answered] | None = None,
    sizes_bytes: Mapping[str, int] | None = None,
) -> Comparison:
    """Latency (and energy, where a counter is readable) of all of them, on the same inputs, on a quiet machine; then
    how often edits change the labels that students and teacher give.

    Args:
        students: By name.
        teacher: None where only its soft labels are known.
        split: Whose inputs are timed, at their real lengths; CodeBERT reads as many tokens as the teacher (or, without
            one, the first student) does.
        settings: Batch sizes and passes, and the device where all of them are.
        variants: Edited texts of all functions of the split, in their order, one edit after another; none are counted
            where there are none.
        decisions: How logits become labels, by name; of whom there is none, the likeliest labels count.
        answered: How students answer beside their teacher and the baseline, by name, where that is known.
        sizes_bytes: Of weights on disk, by name; of whom there is none, four bytes a parameter count.
    """
    device = settings.device
    with computing_threads(device, settings.threads):
        models = {**students, **({TEACHER: teacher} if teacher is not None else {})}
        makers = {name: classifier_runs(classifier, split) for name, classifier in models.items()}
        reference = CodebertArchitecture(device)
        makers[CODEBERT_NAME] = reference.runs(teacher or next(iter(students.values())), split)
        latencies = interleaved_latencies(makers, settings, device=device)
        compared = {}
        for name, make in makers.items():
            classifier = models.get(name)
            beside = (answered or {}).get(name, Answered())
            parameters = (classifier or reference).num_parameters
            compared[name] = ComparedModel(
                parameters=parameters,
                size_bytes=(sizes_bytes or {}).get(name, 4 * parameters),
                flops=forward_flops(classifier) if classifier is not None else None,
                latency=latencies[name],
                energy=energy_of(make(1), device),
                flips=count_flips(classifier, split, variants, (decisions or {}).get(name))
                if classifier is not None and variants
                else None,
                fidelity=beside.fidelity,
                differences=beside.differences,
                disagreements=beside.disagreements,
                resampled=beside.resampled,
            )
        return Comparison(device=describe_device(device), repeats=settings.repeats, models=compared)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How a student answers beside others: fields of `ComparedModel`, which says what they are."""

    fidelity: Fidelity | None = None
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()
    resampled: tuple[ResampledFigure, ...] = ()


def measure_answers(
    student: Classifier,
    decision: Decision,
    task: Task,
    metric: str,
    *,
    others: Mapping[str, Mapping[str, Answers]],
) -> Answered:
    """How a student answers the inputs of validation and test beside others, each by its own decision.

    Args:
        student: Loaded from its files.
        decision: Its own.
        task: Whose splits.
        metric: Whose figures are compared (see `metrics.paired_difference`).
        others: Answers to the same inputs, by name of the other ("teacher", "baseline") and by split, where known.
    """
    asked = sorted({name for answers in others.values() for name in answers})
    own = {
        name: Answers(split=task.splits[name], logits=split_logits(student, task.splits[name]), decision=decision)
        for name in asked
    }
    differences = {
        split: {
            name: Difference(**paired_difference(own[split], answers[split], metric))
            for name, answers in others.items()
            if split in answers
        }
        for split in asked
    }
    figures = resampled_figures(own["test"], metric) if "test" in own else []
    drawn = tuple(ResampledFigure(**{**figure, "draws": tuple(figure["draws"])}) for figure in figures)
    teacher = others.get(TEACHER, {}).get("test")
    if teacher is None:
        return Answered(differences=differences, resampled=drawn)
    return Answered(
        fidelity=Fidelity.from_dict(fidelity(own["test"], teacher)),
        differences=differences,
        disagreements=disagreements(own["test"], teacher, task.label_names),
        resampled=drawn,
    )


def disagreements(
    student: Answers, teacher: Answers, label_names: Sequence[str], *, most: int = _DISAGREEMENTS
) -> tuple[Disagreement, ...]:
    """The inputs that two classifiers give different labels, those first in which the less sure of the two is surest.

    Args:
        student: Its answers to a split.
        teacher: The other's.
        label_names: Of the task.
        most: How many are given.
    """
    split, labels = student.split, (teacher.predictions, student.predictions)
    rows = np.flatnonzero(labels[0] != labels[1])
    probabilities = [
        answers.decision.probabilities(answers.logits)[rows, own[rows]]
        for answers, own in zip((teacher, student), labels, strict=True)
    ]
    order = np.argsort(-np.minimum(*probabilities), kind="stable")[:most]
    return tuple(
        Disagreement(
            row=int(rows[place]),
            texts=tuple(_cut(split.functions[function]) for function in split.inputs[rows[place]].tolist()),
            label=label_names[split.labels[rows[place]]],
            teacher_label=label_names[labels[0][rows[place]]],
            student_label=label_names[labels[1][rows[place]]],
            teacher_probability=float(probabilities[0][place]),
            student_probability=float(probabilities[1][place]),
        )
        for place in order.tolist()
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS].rstrip()} ..."


def forward_flops(classifier: Classifier) -> int:
    """FLOPs of the matrix products of one input at full length, counted by torch as they happen.

    Attention is computed from its single products meanwhile: torch counts nothing of its fused kernel for CPUs.
    """
    full = classifier.full_input()
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        classifier.forward(*full)
    return int(counter.get_total_flops())
