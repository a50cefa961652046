"""What is measured, and how each figure was obtained: effectiveness, latency, energy, carbon."""

from avatar_optuna.measurement._carbon import carbon_g, grid_intensity_g_per_kwh
from avatar_optuna.measurement._comparison import CODEBERT_NAME, TEACHER, compare, forward_flops
from avatar_optuna.measurement._effectiveness import effectiveness, wilson
from avatar_optuna.measurement._energy import (
    Energy,
    EnergyCounter,
    NvmlCounter,
    RaplCounter,
    ReplayedCounter,
    measure_energy,
    open_counter,
)
from avatar_optuna.measurement._latency import Latency, describe_device, interleaved_latencies, use_threads
from avatar_optuna.measurement._models import CODEBERT, CodebertArchitecture, predictor_runs
from avatar_optuna.measurement._student import Measured, measure

__all__ = [
    "CODEBERT",
    "CODEBERT_NAME",
    "CodebertArchitecture",
    "Energy",
    "EnergyCounter",
    "Latency",
    "Measured",
    "NvmlCounter",
    "RaplCounter",
    "ReplayedCounter",
    "TEACHER",
    "carbon_g",
    "compare",
    "describe_device",
    "effectiveness",
    "forward_flops",
    "grid_intensity_g_per_kwh",
    "interleaved_latencies",
    "measure",
    "measure_energy",
    "open_counter",
    "predictor_runs",
    "use_threads",
    "wilson",
]
