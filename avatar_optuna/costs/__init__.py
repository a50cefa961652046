"""What a student costs by its shape alone: parameters, bytes and forward FLOPs, as sums of named terms.

One formula, several readings: every function here takes a `Shape` whose attributes are ints, NumPy arrays or Z3
terms, so that the report, the sampler and the solver cannot disagree.
"""

from avatar_optuna.costs._flops import elementwise_flops, flops, flops_terms
from avatar_optuna.costs._shape import Shape, TaskShape
from avatar_optuna.costs._size import num_parameters, num_tensors, parameter_terms, size_bytes, size_terms

__all__ = [
    "Shape",
    "TaskShape",
    "elementwise_flops",
    "flops",
    "flops_terms",
    "num_parameters",
    "num_tensors",
    "parameter_terms",
    "size_bytes",
    "size_terms",
]
