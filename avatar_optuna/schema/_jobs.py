"""Distillation jobs, what they measured, and the teacher they learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial

from avatar_optuna.codec import Stored
from avatar_optuna.decision import Decision
from avatar_optuna.exceptions import StudyError
from avatar_optuna.schema._attributes import CONTINUES, FAMILY, KEY, Purpose
from avatar_optuna.schema._comparison import Energy, Latency
from avatar_optuna.space import FAMILY_KEY
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, Configuration


@dataclass(frozen=True, kw_only=True)
class Job(Stored):
    """One student to distil.

    Args:
        key: Unique among the jobs of a study, such as "front/0/217"; enqueuing a key twice makes one job.
        purpose: "indicator" for a brief distillation that fits the indicator, "front" for a Pareto student.
        hyperparameters: Of the family that its study searches.
        epochs: How long to distil, in all.
        schedule_epochs: Of the training that this is the beginning of; None where it is the whole.
        continues: Name of a file -> {"artifact_id", "sha256", "size_bytes"}: the checkpoint that it goes on from, empty
            where it begins anew. Without it, or where it is lost, the outcome is the same.
        round: The round of the search that asked for it, from 0.
        origin: Number of the search trial, or None.
        predicted: `{"effectiveness": mean, "std": std}` as the indicator saw it, or None.
    """

    key: str
    purpose: Purpose
    hyperparameters: Configuration
    epochs: int
    round: int = 0
    origin: int | None = None
    predicted: Mapping[str, float] | None = None
    schedule_epochs: int | None = None
    continues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def attributes(self) -> dict[str, Any]:
        """User attributes of the WAITING trial, whose parameters are the hyperparameters.

        The family is named where it is another than the default.
        """
        values = {name: value for name, value in self.to_dict().items() if name != "hyperparameters"}
        for name, unused in (("schedule_epochs", None), (CONTINUES, {})):  # as no job had before there were rungs
            if values.get(name) == unused:
                values.pop(name, None)
        name = self.hyperparameters.family.name
        return values if name == DEFAULT_FAMILY else {**values, FAMILY: name}

    @classmethod
    def from_trial(cls, trial: FrozenTrial, *, study_name: str | None = None) -> Job:
        """Read a job back, whether its parameters are fixed (WAITING) or drawn.

        Raises:
            StudyError: The trial was not enqueued by avatar_optuna; the message names the study where it is given.
        """
        fixed = trial.system_attrs.get("fixed_params", {})
        params = {**fixed, **trial.params}
        attributes = trial.user_attrs
        family = FAMILIES.get(attributes.get(FAMILY, DEFAULT_FAMILY))
        if FAMILY_KEY in params:  # of a space of several families
            prefix = f"{family.name}."
            params = {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
        required = set(family.names) - set(family.omitted)
        if KEY not in attributes or not required <= set(params) <= set(family.names):
            raise StudyError(
                f"trial {trial.number} is no distillation job: it lacks its key or some of the {len(required)} "
                "parameters"
            )
        values = {**attributes, "hyperparameters": family.configure(**params)}
        return cls.from_dict(values, place=_place(trial, study_name))


@dataclass(frozen=True, kw_only=True)
class JobResult(Stored):
    """What a finished job measured. Test figures are for reporting: nothing selects on them.

    Args:
        effectiveness: The study's metric on the validation split, a fraction.
        valid: Metrics of the validation split (`accuracy`, `balanced_accuracy`, `f1`, `precision`, `recall` and others,
            `balanced_accuracy_interval` and the like as [low, high], `by_class`, `by_group`; see `metrics.figures`).
        test: The same of the test split.
        size_bytes: Size of `model.safetensors`.
        parameters: Number of parameters of the built student.
        flops: Forward FLOPs of one input at the full sequence length, by `costs`.
        latency_ms: Median at batch 1 on real test inputs.
        latency: One for each batch size.
        history: One object an epoch: `epoch`, `loss`, `valid` metrics, `seconds`.
        best_epoch: The epoch kept.
        seconds: Wall time of the whole job.
        loading_seconds: Of these, until the task and the teacher were loaded, which a worker does once.
        parts_seconds: Of these, the `preparation` (tokenizer, tokens, network, the teacher's answers), the `training`
            with its checkpoints, and the `measurement`; empty where an earlier version did the job.
        device: Device and threads, such as {"name": "cpu", "model": "...", "threads": 2}.
        host: Host name.
        versions: Package versions.
        measured: The study's measured objectives, by name.
        files: Name of a file of the student -> {"artifact_id", "sha256", "size_bytes"}.
        decision: How its logits become probabilities and labels, at which the figures are; None where an earlier
            version measured them, without a temperature and at 0.5.
    """

    effectiveness: float
    valid: Mapping[str, Any]
    test: Mapping[str, Any]
    size_bytes: int
    parameters: int
    flops: int
    latency_ms: float
    latency: tuple[Latency, ...]
    history: tuple[Mapping[str, Any], ...]
    best_epoch: int
    seconds: float
    device: Mapping[str, Any]
    host: str
    versions: Mapping[str, str]
    measured: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    decision: Decision | None = None
    loading_seconds: float = 0.0
    parts_seconds: Mapping[str, float] = field(default_factory=dict)

    def values(self) -> list[float]:
        """The values of the finished trial, in the order of `distilled_metric_names`."""
        return [self.effectiveness, float(self.size_bytes), self.latency_ms, *self.measured.values()]

    def figures(self, split: str) -> Mapping[str, Any]:
        """Of "valid" or "test"."""
        return self.valid if split == "valid" else self.test

    def valid_error(self, metric: str) -> float:
        """Standard error of a figure of the validation split, of its finite size alone; 0 where it is not known."""
        low, high = self.valid.get(f"{metric}_interval", (0.0, 0.0))
        return float(high - low) / (2 * _TWO_SIDED_95)

    def attributes(self) -> dict[str, Any]:
        """User attributes of the finished trial."""
        return {name: value for name, value in self.to_dict().items() if name not in _VALUES}

    @classmethod
    def from_trial(cls, trial: FrozenTrial, *, study_name: str | None = None) -> JobResult:
        """Read the result of a COMPLETE job.

        Raises:
            StudyError: The trial is not complete, or was not written by avatar_optuna; the message names the study
                where it is given.
        """
        if trial.values is None or not trial.state.is_finished():
            raise StudyError(f"job {trial.number} is {trial.state.name}: it has no result yet")
        effectiveness, size_bytes, latency_ms = trial.values[:3]
        values = {"effectiveness": effectiveness, "size_bytes": int(size_bytes), "latency_ms": latency_ms}
        return cls.from_dict({**trial.user_attrs, **values}, place=_place(trial, study_name))


def _place(trial: FrozenTrial, study_name: str | None) -> str:
    return f"job {trial.number}" if study_name is None else f"study {study_name!r}: job {trial.number}"


_TWO_SIDED_95 = 1.959964
_VALUES = ("effectiveness", "size_bytes", "latency_ms")


@dataclass(frozen=True, kw_only=True)
class TeacherRecord(Stored):
    """The teacher as the report shows it; model figures are None where only its soft labels are known.

    Args:
        source: What the study file named ("checkpoint: ..." and the like).
        valid: Metrics of the validation split.
        test: Metrics of the test split, or None for soft labels.
        parameters: Number of parameters, pair head included.
        size_bytes: Its float32 weights on disk.
        flops: Forward FLOPs of one input at its full sequence length.
        latency: One for each batch size.
        energy: Of one input, or None without a counter.
        decision: As that of a student (see `JobResult`).
    """

    source: str
    valid: Mapping[str, Any]
    test: Mapping[str, Any] | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    flops: int | None = None
    latency: tuple[Latency, ...] = ()
    energy: Energy | None = None
    decision: Decision | None = None

    def figures(self, split: str) -> Mapping[str, Any] | None:
        """Of "valid" or "test", as far as they are known."""
        return self.valid if split == "valid" else self.test
