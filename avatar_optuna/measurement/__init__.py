"""What is measured, and how each figure was obtained: effectiveness, latency, energy, and what stands in for them."""

from avatar_optuna.measurement._audit import (
    AUDIT_REPEATS,
    AUDITED_STUDENTS,
    audit_stand_ins,
    rank_correlation,
    told_apart,
)
from avatar_optuna.measurement._calibration import (
    CALIBRATION_REPEATS,
    CALIBRATION_STUDENTS,
    calibrate_energy,
    calibrate_latency,
)
from avatar_optuna.measurement._comparison import CODEBERT_NAME, TEACHER, compare, forward_flops
from avatar_optuna.measurement._effectiveness import effectiveness, wilson
from avatar_optuna.measurement._energy import (
    Energy,
    EnergyCounter,
    NvmlCounter,
    RaplCounter,
    measure_energy,
    open_counter,
    require_counter,
)
from avatar_optuna.measurement._estimate import estimate_power
from avatar_optuna.measurement._latency import (
    Latency,
    Turns,
    computing_threads,
    describe_device,
    interleaved_latencies,
    require_device,
    timed_turns,
    use_threads,
)
from avatar_optuna.measurement._models import CODEBERT, CodebertArchitecture, classifier_runs
from avatar_optuna.measurement._objectives import measure_objectives
from avatar_optuna.measurement._random_students import TimedStudents, student_run, time_students
from avatar_optuna.measurement._student import Measurement, measure

__all__ = [
    "AUDITED_STUDENTS",
    "AUDIT_REPEATS",
    "CALIBRATION_REPEATS",
    "CALIBRATION_STUDENTS",
    "CODEBERT",
    "CODEBERT_NAME",
    "CodebertArchitecture",
    "Energy",
    "EnergyCounter",
    "Latency",
    "Measurement",
    "NvmlCounter",
    "RaplCounter",
    "TEACHER",
    "TimedStudents",
    "Turns",
    "audit_stand_ins",
    "calibrate_energy",
    "calibrate_latency",
    "compare",
    "computing_threads",
    "describe_device",
    "effectiveness",
    "estimate_power",
    "forward_flops",
    "interleaved_latencies",
    "measure",
    "measure_energy",
    "measure_objectives",
    "open_counter",
    "classifier_runs",
    "rank_correlation",
    "require_counter",
    "require_device",
    "student_run",
    "time_students",
    "timed_turns",
    "told_apart",
    "use_threads",
    "wilson",
]
