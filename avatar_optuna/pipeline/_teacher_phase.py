"""The first phase of a study: its data read and audited, the baseline fitted, the teacher trained and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from avatar_optuna.data_audit import audit_data, findings
from avatar_optuna.decision import Aim, Decision
from avatar_optuna.distillation import EpochRecord, OnEpoch, Teacher, edited_functions
from avatar_optuna.edits import num_unedited
from avatar_optuna.metrics import Answers, baseline, baseline_answers
from avatar_optuna.pipeline._cost import Meter, add
from avatar_optuna.pipeline._teacher_record import teacher_record
from avatar_optuna.pipeline._workforce import Workforce
from avatar_optuna.schema import BASELINE, DATA, DATA_AUDIT, EDITS, TEACHER, TeacherRecord
from avatar_optuna.study import AvatarStudy
from avatar_optuna.tasks import Task, load_task
from avatar_optuna.teachers import load_teacher
from avatar_optuna.verdict import weaknesses
from avatar_optuna.view import metric_title
from avatar_optuna.words import percent

_FINDINGS_SAID = 3  # of the data audit, while a study runs


@dataclass(kw_only=True)
class TeacherPhase:
    """What a study does before anything is searched.

    Args:
        workforce: Of the run.
    """

    workforce: Workforce
    did_something: bool = field(default=False, init=False)
    _plain: Mapping[str, Answers] | None = field(default=None, init=False)

    def run(self) -> tuple[Task, Teacher]:
        """The task and its teacher, trained where it must be, measured once; edited functions, where there are any."""
        settings = self._study.settings
        meter = Meter.start({settings.measurement.device, *(slot.name for slot in self.workforce.slots[:1])})
        with self.workforce.progress.busy(f"reading the data of {settings.task.kind}"):
            task = load_task(settings.task, cache_dir=self.workforce.cache_dir)
            self._baseline(task)
        with self.workforce.progress.bar("teacher: epochs", settings.teacher.epochs) as update:
            teacher = self._loaded_teacher(task, lambda record: self._teacher_epoch(record, update))
        if TEACHER not in self._study.read_attributes():
            self._measure(task, teacher, meter)
        self._edit(task)
        return task, teacher

    def _measure(self, task: Task, teacher: Teacher, meter: Meter) -> None:
        with self.workforce.progress.busy("measuring the teacher"):
            record = teacher_record(self._study, task, teacher)
        add(self._study, "teacher", meter.spent())
        self._study.set_attribute(TEACHER, record.to_dict())
        self.did_something = True
        figure = percent(record.valid["balanced_accuracy"])
        at = _threshold_words(record.decision, self._study.settings.distillation.aim)
        self._say(f"teacher    {figure} balanced accuracy on validation{at} ({record.source})")
        self._warn_of_weak(record, task)

    def _loaded_teacher(self, task: Task, on_epoch: OnEpoch) -> Teacher:
        """The teacher on the device on which models are timed; trained and asked on the first GPU of the workers."""
        settings = self._study.settings
        load = partial(load_teacher, settings.teacher, task, cache_dir=self.workforce.cache_dir, on_epoch=on_epoch)
        worker = self.workforce.slots[0].name if self.workforce.slots else "cpu"
        if worker not in ("cpu", settings.measurement.device):
            asked = load(device=worker)
            for name in ("valid", "test"):
                if asked.has_logits(name):
                    asked.logits(name)  # kept in the cache
        return load(device=settings.measurement.device)

    def _warn_of_weak(self, record: TeacherRecord, task: Task) -> None:
        """Say where a teacher is no better than chance, or worse than the baseline: its students will not be either."""
        plain = self._study.read_attributes()[BASELINE]["valid"]
        for weakness in weaknesses(record.valid, plain, task.shape.num_labels):
            self._say(f"warning    {weakness}")

    def _teacher_epoch(self, record: EpochRecord, update: Callable[[int], None]) -> None:
        update(record.epoch)
        figure = record.valid["balanced_accuracy"]
        self._say(f"teacher    epoch {record.epoch}/{record.epochs}: {percent(figure)} on validation")

    def _baseline(self, task: Task) -> None:
        if DATA not in self._study.read_attributes():
            inputs = {name: len(split) for name, split in task.splits.items()}
            self._study.set_attribute(DATA, {"fingerprint": task.fingerprint, "inputs": inputs})
            self._audit_data(task)
        if BASELINE in self._study.read_attributes():
            return
        figures = baseline(task, answers=self.baseline_answers(task))
        self._study.set_attribute(BASELINE, figures)
        counts = ", ".join(f"{len(split)} {name}" for name, split in task.splits.items())
        self._say(f"task       {task.kind}: {counts} inputs")
        accuracy = figures["valid"]["balanced_accuracy"]
        self._say(f"baseline   {percent(accuracy)} balanced accuracy on validation (TF-IDF + logistic regression)")

    def baseline_answers(self, task: Task) -> Mapping[str, Answers]:
        """What TF-IDF with logistic regression says, by split; fitted once in a run."""
        if self._plain is None:
            self._plain = baseline_answers(task, self._study.settings.distillation.aim)
        return self._plain

    def _audit_data(self, task: Task) -> None:
        """Store what was found in the data, and say the worst of it."""
        audit = audit_data(task, with_baselines=False)
        self._study.set_attribute(DATA_AUDIT, audit.to_dict())
        found = findings(audit)
        for finding in found[:_FINDINGS_SAID]:
            self._say(f"data       {finding}")
        if more := found[_FINDINGS_SAID:]:
            self._say(f"data       {len(more)} more: avatar-optuna data STUDY.toml lists them")

    def _edit(self, task: Task) -> None:
        """Edit the training functions once for all workers of this machine, and say how many cannot be."""
        functions, count = task.train.functions, self._study.settings.distillation.edits
        if not count or EDITS in self._study.read_attributes():
            return
        with self.workforce.progress.busy("editing the training functions"):
            texts = edited_functions(task, count, self.workforce.cache_dir)
        variants = [texts[start : start + len(functions)] for start in range(0, len(texts), len(functions))]
        unedited = num_unedited(functions, variants)
        self._study.set_attribute(EDITS, {"functions": len(functions), "unedited": unedited})
        self._say(f"edits      {count} of each of {len(functions):,} training functions; {unedited:,} cannot be edited")

    @property
    def _study(self) -> AvatarStudy:
        return self.workforce.study

    def _say(self, sentence: str) -> None:
        self.workforce.progress.say(sentence)


def _threshold_words(decision: Decision | None, aim: Aim | None) -> str:
    """`, at a threshold of 0.31 for F1`, or nothing where none was chosen."""
    if decision is None or decision.threshold is None:
        return ""
    if aim is None:
        return f", at its own threshold of {decision.threshold:.3g}"
    return f", at a threshold of {decision.threshold:.3g} for {metric_title(str(aim))}"
