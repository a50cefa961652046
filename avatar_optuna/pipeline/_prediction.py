"""From a prediction, a configuration that the search scored, to its student."""

from __future__ import annotations

from optuna.trial import FrozenTrial

from avatar_optuna.exceptions import InputError
from avatar_optuna.pipeline._workforce import Workforce
from avatar_optuna.pool import Pool
from avatar_optuna.schema import Job, SearchResult
from avatar_optuna.study import AvatarStudy, meaning, searched


def front_job(study: AvatarStudy, scored: SearchResult, index: int, round_: int) -> Job:
    """The job that makes a student of a prediction, distilled for as long as the study says.

    Args:
        scored: The round's predictions.
        index: Its place among them.
        round_: The round, from 0.
    """
    number = int(scored.numbers[index])
    return Job(
        key=f"front/{round_}/{number}",
        purpose="front",
        hyperparameters=scored.students[index],
        epochs=study.settings.distillation.epochs,
        round=round_,
        origin=number,
        predicted={"effectiveness": float(scored.values[index, 0]), "std": float(scored.predicted_std[index])},
    )


def distil_prediction(workforce: Workforce, number: int) -> FrozenTrial:
    """Queue the job of a prediction, unless it is known, and wait for it where this machine has workers.

    Args:
        workforce: Of the study; without slots the job is only queued.
        number: The prediction's, in the study `NAME`.

    Returns:
        The job's trial in `NAME/distilled`; its number is the student's.

    Raises:
        InputError: The study has no prediction of this number; the message says what the number is.
        StudyError: The job failed.
    """
    study = workforce.study
    job = _job_of(study, number)
    Pool(study.storage, study.name).enqueue([job])
    if workforce.slots:
        workforce.work([job], "students", phase="distillation")
    return next(trial for trial in study.distilled.get_trials(deepcopy=False) if trial.user_attrs.get("key") == job.key)


def _job_of(study: AvatarStudy, number: int) -> Job:
    for round_ in range(study.settings.search.rounds):
        scored = searched(study, round_=round_)
        if number in scored.numbers:
            return front_job(study, scored, int((scored.numbers == number).argmax()), round_)
    raise InputError(
        f"--trial must be the number of a prediction of {study.name}, got {number}: {meaning(study, number)}"
    )
