"""Figures of a classifier's answers, each with a 95 % interval: of all inputs, by label and by group."""

from avatar_optuna.metrics._baseline import baseline, baseline_answers
from avatar_optuna.metrics._difference import difference_of_draws, paired_difference, resampled_figures
from avatar_optuna.metrics._effectiveness import effectiveness, wilson
from avatar_optuna.metrics._fidelity import fidelity
from avatar_optuna.metrics._figures import METRICS, Answers, available_metrics, figure, figures
from avatar_optuna.metrics._resampling import share_interval
from avatar_optuna.metrics._retrieval import map_at_r, ordered_pairs, retrieval_inputs
from avatar_optuna.metrics._shrinkage import MIN_FIGURES, shrunk
