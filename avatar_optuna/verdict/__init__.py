"""Whether a study's students are any good: one sentence, and the student to take where there is one."""

from avatar_optuna.verdict._recommendation import AsGood, Recommendation, as_good_as_best, better_than, recommend
from avatar_optuna.verdict._stand_in import proposal
from avatar_optuna.verdict._verdict import Verdict, chance_of, floor_of, verdict_of
from avatar_optuna.verdict._worth import weaknesses
