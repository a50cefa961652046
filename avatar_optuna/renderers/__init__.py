"""A study's view as a table for people, and as JSON, CSV and a model card."""

from avatar_optuna.renderers._csv import front_csv, front_rows
from avatar_optuna.renderers._json import front_values
from avatar_optuna.renderers._model_card import model_card
from avatar_optuna.renderers._table import front_table

__all__ = ["front_csv", "front_rows", "front_table", "front_values", "model_card"]
