"""What is measured, and how each figure was obtained: effectiveness, latency, energy, and what stands in for them."""

from avatar_optuna.measurement._audit import AUDIT_REPEATS, AUDITED_STUDENTS, audit_stand_ins
from avatar_optuna.measurement._comparison import (
    CODEBERT_NAME,
    TEACHER,
    Answered,
    compare,
    disagreements,
    forward_flops,
    measure_answers,
)
from avatar_optuna.measurement._energy import EnergyCounter, estimate_power, open_counter, require_counter
from avatar_optuna.measurement._flips import count_flips
from avatar_optuna.measurement._latency import computing_threads, describe_device, require_device, use_threads
from avatar_optuna.measurement._random_students import CALIBRATION_REPEATS, CALIBRATION_STUDENTS, calibrate
from avatar_optuna.measurement._student import Measurement, measure, measure_objectives
from avatar_optuna.measurement._timed_training import TimedTraining, spread, time_training
