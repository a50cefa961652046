"""Checkpoints in the forms that people have: one file a form, and what is made of a form for a task."""

from avatar_optuna.teachers.checkpoints._form import Form, form_of, tokenizer_directory
from avatar_optuna.teachers.checkpoints._reading import LAYOUTS, OPTION_NAMES, Reading, faults_of
