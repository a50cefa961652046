"""A measured objective: how far a student's confidence is from how often it is right."""

from __future__ import annotations

import numpy as np

from avatar_optuna.objectives import Direction, MeasuredStudent, Source

_BINS = 10


class CalibrationError:
    """Expected calibration error on the validation split (Guo et al. 2017), ten bins of equal width, a fraction."""

    name = "calibration_error"
    title = "calibration error"
    unit = "ECE %"
    scale = 100.0
    digits = 1
    direction: Direction = "minimize"
    is_logarithmic = False
    source: Source = "measured"

    def measure(self, student: MeasuredStudent) -> float:
        logits = student.logits - student.logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        confidence = probabilities.max(axis=1)
        is_right = probabilities.argmax(axis=1) == student.labels
        bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
        gaps = [abs(is_right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
        return float(sum(gaps))


OBJECTIVE = CalibrationError()
