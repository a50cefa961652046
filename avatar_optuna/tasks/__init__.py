"""Tasks: functions and labels, read from the user's files or made from Python's own library."""

from avatar_optuna.tasks._baseline import baseline
from avatar_optuna.tasks._load import load_task, task_shape_of
from avatar_optuna.tasks._task import Split, Task, sample

__all__ = ["Split", "Task", "baseline", "load_task", "sample", "task_shape_of"]
