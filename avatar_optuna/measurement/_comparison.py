"""Students, their teacher and the CodeBERT architecture, timed by turns in one process: what ratios are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avatar_optuna.decision import Decision
from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement._energy import energy_of
from avatar_optuna.measurement._flips import count_flips
from avatar_optuna.measurement._latency import computing_threads, describe_device, interleaved_latencies
from avatar_optuna.measurement._models import CodebertArchitecture, classifier_runs
from avatar_optuna.measurement._student import split_logits
from avatar_optuna.metrics import Answers, fidelity
from avatar_optuna.schema import ComparedModel, Comparison, Fidelity
from avatar_optuna.settings import MeasurementSettings
from avatar_optuna.tasks import Split

TEACHER = "teacher"
CODEBERT_NAME = "codebert"


def compare(
    students: Mapping[str, Classifier],
    teacher: Classifier | None,
    split: Split,
    settings: MeasurementSettings,
    *,
    variants: Sequence[Sequence[str]] = (),
    decisions: Mapping[str, Decision] | None = None,
    fidelities: Mapping[str, Fidelity] | None = None,
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
        fidelities: How alike students and their teacher answer, by name, where that is known.
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
            parameters = (classifier or reference).num_parameters
            compared[name] = ComparedModel(
                parameters=parameters,
                size_bytes=4 * parameters,
                flops=forward_flops(classifier) if classifier is not None else None,
                latency=latencies[name],
                energy=energy_of(make(1), device),
                flips=count_flips(classifier, split, variants, (decisions or {}).get(name))
                if classifier is not None and variants
                else None,
                fidelity=(fidelities or {}).get(name),
            )
        return Comparison(device=describe_device(device), repeats=settings.repeats, models=compared)


def measure_fidelity(
    student: Classifier,
    decision: Decision,
    split: Split,
    *,
    teacher_logits: npt.NDArray[np.float32],
    teacher_decision: Decision,
) -> Fidelity:
    """How alike a student and its teacher answer the inputs of a split, each by its own decision.

    Args:
        student: Loaded from its files.
        decision: Its own.
        split: The test split.
        teacher_logits: Of its inputs, shape (n, labels).
        teacher_decision: The teacher's.
    """
    found = fidelity(
        Answers(split=split, logits=split_logits(student, split), decision=decision),
        Answers(split=split, logits=teacher_logits, decision=teacher_decision),
    )
    return Fidelity.from_dict(found)


def forward_flops(classifier: Classifier) -> int:
    """FLOPs of the matrix products of one input at full length, counted by torch as they happen.

    Attention is computed from its single products meanwhile: torch counts nothing of its fused kernel for CPUs.
    """
    full = classifier.full_input()
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        classifier.forward(*full)
    return int(counter.get_total_flops())
