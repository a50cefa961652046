"""Optuna's own tables, as SQLAlchemy Core sees them."""

from __future__ import annotations

from optuna.storages._rdb import models
from sqlalchemy import Table

STUDIES: Table = models.StudyModel.__table__
STUDY_DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_USER_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
TRIAL_PARAMS: Table = models.TrialParamModel.__table__
TRIAL_VALUES: Table = models.TrialValueModel.__table__
TRIAL_INTERMEDIATE_VALUES: Table = models.TrialIntermediateValueModel.__table__
TRIAL_USER_ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
TRIAL_SYSTEM_ATTRIBUTES: Table = models.TrialSystemAttributeModel.__table__
TRIAL_HEARTBEATS: Table = models.TrialHeartbeatModel.__table__
TRIAL_CHILDREN = (
    TRIAL_PARAMS,
    TRIAL_VALUES,
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_HEARTBEATS,
)
"""The tables whose rows belong to a trial."""
