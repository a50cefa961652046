"""Everything `avatar-optuna run` does: its phases, what they measure of this device, and what they cost."""

from avatar_optuna.pipeline._deletion import Deletion, delete
from avatar_optuna.pipeline._device import audited, calibrated, drawn_students
from avatar_optuna.pipeline._dry_run import dry_run
from avatar_optuna.pipeline._inputs import begin, require_space
from avatar_optuna.pipeline._plan import DryRun, PlannedPhase
from avatar_optuna.pipeline._prediction import distil_prediction
from avatar_optuna.pipeline._run import Run
from avatar_optuna.pipeline._workforce import Workforce
