"""What is feasible, decided exactly: check with reasons, tighten, draw, repair. Z3's only home."""

from avatar_optuna.feasibility._bounds import TightenedSpace, uniform_codes
from avatar_optuna.feasibility._boxes import Boxes, judged
from avatar_optuna.feasibility._feasibility import Feasibility, Verdict
from avatar_optuna.feasibility._repair import Repairer, candidates, scaled
from avatar_optuna.feasibility._union import FeasibilityUnion, StudyFeasibility, draw, feasibility_of, tighten
