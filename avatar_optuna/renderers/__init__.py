"""A study's view as a table for people, and as JSON, CSV and a model card."""

from avatar_optuna.renderers._markdown import model_card, student_note
from avatar_optuna.renderers._metrics_table import metrics_table
from avatar_optuna.renderers._table import front_table
from avatar_optuna.renderers._values import front_csv, front_rows, front_values
