"""What a number means: students and brief samples are numbered in `NAME/distilled`, predictions in `NAME`."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.schema import Job
from avatar_optuna.study._open import AvatarStudy

_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "being distilled",
    TrialState.WAITING: "queued",
}


def meaning(study: AvatarStudy, number: int) -> str:
    """What a number is, and what may be done with it: a clause for each of the two studies that has it."""
    jobs = study.distilled.get_trials(deepcopy=False)
    said = [_job(study, trial) for trial in jobs if trial.number == number]
    predictions = study.search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if any(trial.number == number for trial in predictions):
        said.append(_prediction(study, number, jobs))
    return "; ".join(said) or f"{number} is no number of it"


def _job(study: AvatarStudy, trial: FrozenTrial) -> str:
    job = Job.from_trial(trial, study_name=study.name)
    if job.purpose == "indicator":
        return (
            f"{trial.number} is a brief sample for the indicator ({job.epochs} of {study.settings.distillation.epochs} "
            "epochs) and is not exported"
        )
    if trial.state is not TrialState.COMPLETE:
        return f"{trial.number} is a student that is {_STATES.get(trial.state, 'stopped')}"
    return f"{trial.number} is a student (`avatar-optuna export --study-name {study.name} --student {trial.number}`)"


def _prediction(study: AvatarStudy, number: int, jobs: list[FrozenTrial]) -> str:
    for trial in jobs:
        if Job.from_trial(trial, study_name=study.name).origin == number:
            return (
                f"{number} is a prediction whose student is {trial.number} ({_STATES.get(trial.state, 'stopped')}; "
                f"`avatar-optuna export --study-name {study.name} --student {trial.number}`)"
            )
    return (
        f"{number} is a prediction (`avatar-optuna distil --study-name {study.name} --trial {number}` makes a student "
        "of it)"
    )
