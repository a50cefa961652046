"""Rewrites of a Python function that keep its meaning, and how several are composed."""

from avatar_optuna_python_tasks._rewrites._compose import REWRITES, rewritten
from avatar_optuna_python_tasks._rewrites._rename import local_names
from avatar_optuna_python_tasks._rewrites._trees import walk

__all__ = ["REWRITES", "local_names", "rewritten", "walk"]
