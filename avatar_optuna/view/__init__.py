"""One frozen snapshot of a study, read once; tables, JSON, CSV, notes, model card and report show it."""

from avatar_optuna.view._read import read_view, view_of_progress
from avatar_optuna.view._students import DistilledStudent, PredictedStudent, Prediction
from avatar_optuna.view._view import METRIC_TITLES, SearchRound, StudyView, metric_title
