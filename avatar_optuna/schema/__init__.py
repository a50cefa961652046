"""What stands in the database beside Optuna's own columns: the one home of every attribute name.

Two studies share a database: `NAME` (a trial is a drawn configuration) and `NAME/distilled` (a trial is a job). Whoever
writes or reads an attribute goes through the names and objects here, so the searcher, the workers and the report cannot
disagree. Attributes of Optuna are JSON; so is everything here.
"""

from avatar_optuna.schema._attributes import (
    ARTIFACTS,
    ATTAINED,
    ATTEMPTS,
    AUDIT,
    BASELINE,
    CHECKPOINT,
    COMPARISON,
    CONTINUES,
    COST,
    COST_MODELS,
    CURVE,
    DATA,
    DATA_AUDIT,
    EARLIER,
    EDITS,
    ERRORS,
    FAILED,
    FEASIBLE,
    GENERATION,
    INDICATOR,
    INFEASIBLE,
    KEY,
    LOSSES,
    POWER,
    PREDICTED_STD,
    PROGRESS,
    PROVENANCE,
    REFERENCE,
    ROUND,
    SETTINGS,
    TEACHER,
    Purpose,
    distilled_metric_names,
    distilled_name,
    metric_names,
    num_rounds,
    package_versions,
    refuse_foreign,
)
from avatar_optuna.schema._audit import Audit, AuditedStudent, MisorderedPair, RankCorrelation
from avatar_optuna.schema._comparison import (
    ComparedModel,
    Comparison,
    Difference,
    Disagreement,
    Energy,
    Fidelity,
    Flips,
    Latency,
    ResampledFigure,
)
from avatar_optuna.schema._cost import PHASES, EstimatedPower, PhaseCost, StudyCost
from avatar_optuna.schema._jobs import Job, JobResult, TeacherRecord
from avatar_optuna.schema._search_result import SearchResult
