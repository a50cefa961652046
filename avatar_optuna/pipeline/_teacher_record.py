"""The teacher of a study, measured once."""

from __future__ import annotations

from typing import Any

from avatar_optuna.decision import Decision
from avatar_optuna.distillation import Teacher
from avatar_optuna.exceptions import InputError
from avatar_optuna.measurement import forward_flops, measure
from avatar_optuna.metrics import Answers, figures
from avatar_optuna.schema import TeacherRecord
from avatar_optuna.study import AvatarStudy
from avatar_optuna.tasks import Task


def teacher_record(study: AvatarStudy, task: Task, teacher: Teacher) -> TeacherRecord:
    """Measure the teacher; of one that is only soft labels, what these say."""
    settings, aim = study.settings.measurement, study.settings.distillation.aim
    decision = teacher.decide(aim)
    _require_reached(decision, teacher)
    if teacher.classifier is None:
        return TeacherRecord(
            source=teacher.source,
            valid=_answer_figures(task, teacher, "valid", decision),
            test=_answer_figures(task, teacher, "test", decision) if teacher.has_logits("test") else None,
            decision=decision,
        )
    logits = {name: teacher.logits(name) for name in ("valid", "test")}
    measured = measure(teacher.classifier, task, settings, decision=decision, logits=logits)
    return TeacherRecord(
        source=teacher.source,
        valid=measured.valid,
        test=measured.test,
        parameters=teacher.classifier.num_parameters,
        size_bytes=4 * teacher.classifier.num_parameters,
        flops=forward_flops(teacher.classifier),
        latency=measured.latency,
        energy=measured.energy,
        decision=measured.decision,
    )


def _require_reached(decision: Decision, teacher: Teacher) -> None:
    """Refuse (`InputError`) an aim that the teacher cannot reach: the study would compare nothing with it."""
    if decision.missed is not None:
        raise InputError(f"distillation.threshold: {decision.missed}, by the teacher {teacher.source}")


def _answer_figures(task: Task, teacher: Teacher, split_name: str, decision: Decision) -> dict[str, Any]:
    answers = Answers(split=task.splits[split_name], logits=teacher.logits(split_name), decision=decision)
    return figures(answers, task.label_names)
