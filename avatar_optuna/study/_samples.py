"""What a round's indicator is fitted on."""

from __future__ import annotations

from optuna.trial import TrialState

from avatar_optuna.exceptions import StudyError
from avatar_optuna.schema import Job, JobResult
from avatar_optuna.students import Configuration
from avatar_optuna.study._open import AvatarStudy

_MIN_SAMPLES = 4


def measured_students(study: AvatarStudy, round_: int) -> tuple[list[Configuration], list[float]]:
    """Students and effectiveness to fit a round's indicator on.

    The first round has brief samples alone. Later ones also have students of the front, distilled for longer; the
    brief samples are lifted by what longer distillation gave over what was predicted, so that all speak of one scale.

    Raises:
        StudyError: Too few samples were distilled.
    """
    trials = study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    jobs = [
        (Job.from_trial(trial), JobResult.from_trial(trial))
        for trial in sorted(trials, key=lambda t: t.user_attrs["key"])
    ]
    brief = [(job, result) for job, result in jobs if job.purpose == "indicator"]
    full = [(job, result) for job, result in jobs if job.purpose == "front" and job.round < round_]
    if len(brief) < _MIN_SAMPLES:
        raise StudyError(
            f"the indicator needs at least {_MIN_SAMPLES} distilled samples, and only {len(brief)} succeeded"
        )
    gains = [
        result.effectiveness - job.predicted["effectiveness"]
        for job, result in full
        if job.predicted is not None and job.round == 0
    ]
    lift = sum(gains) / len(gains) if gains else 0.0
    students = [job.hyperparameters for job, _ in (*brief, *full)]
    lifted = [min(max(result.effectiveness + lift, 0.0), 1.0) for _, result in brief]
    return students, lifted + [result.effectiveness for _, result in full]
