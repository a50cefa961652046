"""Putting jobs into the queue."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from avatar_optuna.schema import KEY, SETTINGS, Job, distilled_name
from avatar_optuna.settings import StudySettings
from avatar_optuna.space_union import StudySpace
from avatar_optuna.storage import Storage, add_missing, open_storage, study_attributes


class Pool:
    """The jobs of a study (named without "/distilled"), seen by whoever asks for them."""

    def __init__(self, storage: Storage | BaseStorage | str, study_name: str) -> None:
        self.storage = open_storage(storage, create=False) if isinstance(storage, str) else storage
        self.study_name = study_name

    def enqueue(self, jobs: Sequence[Job], *, space: StudySpace | None = None) -> int:
        """Queue the jobs whose key the study does not know yet, in one transaction; two processes may do so at once.

        Args:
            jobs: In the order in which they are to be worked on.
            space: From which they were drawn; None takes the study's own.

        Returns:
            How many were new.
        """
        if space is None:
            space = StudySettings.from_dict(study_attributes(self.storage, self.study_name)[SETTINGS]).space
        trials = []
        for job in jobs:
            values = space.params(job.hyperparameters)
            trials.append(
                create_trial(
                    state=TrialState.WAITING,
                    params=values,
                    distributions={name: space.distributions[name] for name in values},
                    user_attrs=job.attributes(),
                    system_attrs={"fixed_params": values},
                )
            )
        return add_missing(self.storage, distilled_name(self.study_name), trials, key=KEY)
