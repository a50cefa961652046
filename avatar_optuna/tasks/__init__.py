"""Tasks: functions and labels in three splits, and what a kind of task must offer."""

from avatar_optuna.tasks._baseline import accuracies, baseline_logits, baseline_predictions, groups_predictions
from avatar_optuna.tasks._groups import connected_groups, known_groups, named_groups
from avatar_optuna.tasks._kind import TaskKind, task_kind, task_shape_of, with_labels
from avatar_optuna.tasks._load import load_task, made_once
from avatar_optuna.tasks._normalized import KEYWORDS, LEVELS, digests_of
from avatar_optuna.tasks._rows_kind import RowsKind
from avatar_optuna.tasks._task import SPLITS, SkippedRows, Split, Task, sample, source_fault
