"""A scan as text for people, JSON, SARIF and an HTML page."""

from avatar_optuna.scan.renderers._html import html
from avatar_optuna.scan.renderers._sarif import sarif
from avatar_optuna.scan.renderers._text import heading, text
