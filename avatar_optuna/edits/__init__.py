"""Edits of functions that leave what they do as it is: what a robust model does not change its answer for."""

from avatar_optuna.edits._flips import label_flips
from avatar_optuna.edits._variants import (
    EDITED_LANGUAGES,
    Recipe,
    check_language,
    edited,
    num_unedited,
    recipes,
    variant,
)
