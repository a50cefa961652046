"""Students run without torch. A module of a family, by the family's name, has `load(directory)` and `FILES`.

The modules need NumPy and what they say, and import nothing but one another of this package, so that
`exports.standalone` can join one with those it imports to a file that is written beside a student.
"""

from avatar_optuna.runtimes._load import load_numpy_student
from avatar_optuna.runtimes._registry import RUNTIMES, RuntimeModule, find_runtime

__all__ = ["RUNTIMES", "RuntimeModule", "find_runtime", "load_numpy_student"]
