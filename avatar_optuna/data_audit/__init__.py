"""What is wrong with a task's data, before anything is trained on it."""

from avatar_optuna.data_audit._audit import DataAudit, audit_data
from avatar_optuna.data_audit._findings import findings, mend
from avatar_optuna.data_audit._pairs import large_groups
