"""Students, their teacher and the CodeBERT architecture, timed by turns in one process: what ratios are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avatar_optuna.distillation import Classifier
from avatar_optuna.measurement._energy import energy_of
from avatar_optuna.measurement._flips import count_flips
from avatar_optuna.measurement._latency import computing_threads, describe_device, interleaved_latencies
from avatar_optuna.measurement._models import CodebertArchitecture, classifier_runs
from avatar_optuna.schema import ComparedModel, Comparison
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
                flips=count_flips(classifier, split, variants) if classifier is not None and variants else None,
            )
        return Comparison(device=describe_device(device), repeats=settings.repeats, models=compared)


def forward_flops(classifier: Classifier) -> int:
    """FLOPs of the matrix products of one input at full length, counted by torch as they happen.

    Attention is computed from its single products meanwhile: torch counts nothing of its fused kernel for CPUs.
    """
    full = classifier.full_input()
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        classifier.forward(*full)
    return int(counter.get_total_flops())
