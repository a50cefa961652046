"""Pages that show studies while they run, served beside optuna-dashboard: they read, and never write."""

from avatar_optuna.live._application import PREFIX, LivePages
from avatar_optuna.live._study import LiveStudent, LiveStudy, Phase, read_live
from avatar_optuna.live._to_go import TimeToGo
from avatar_optuna.live._values import live_values
