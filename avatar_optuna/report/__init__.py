"""What people look at: one HTML file of a study, and the figures that its dashboard shows. Plotly's home."""

from avatar_optuna.report._content import Content, content_of
from avatar_optuna.report._figures import front_3d, hypervolume, predicted_against_measured
from avatar_optuna.report._page import render, write_report
