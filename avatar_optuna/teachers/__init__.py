"""Teachers: where they come from, one file a kind, named after the key of `[teacher]` that selects it."""

from avatar_optuna.teachers._answers import write_inputs
from avatar_optuna.teachers._kind import TeacherKind, check_teacher, fingerprint, load_teacher
from avatar_optuna.teachers._tokens import token_counter
