"""What people look at: one HTML file of a study, and the figures that its dashboard shows. Plotly's home."""

from avatar_optuna.report._beside import Beside, SizeLimit
from avatar_optuna.report._beside_page import render_beside, write_beside
from avatar_optuna.report._content import Content, content_of
from avatar_optuna.report._figures import bar_percent, front_3d, hypervolume, predicted_against_measured
from avatar_optuna.report._funnel import funnel_of
from avatar_optuna.report._page import asset, render, write_report
