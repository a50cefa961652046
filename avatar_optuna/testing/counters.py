"""An energy counter for tests of what reads one."""

from __future__ import annotations

from collections.abc import Sequence


class ReplayedCounter:
    """A counter (see `measurement.EnergyCounter`) that gives recorded readings in order.

    Args:
        readings_j: What `read_j` gives, one call after the other.
    """

    source = "replayed"

    def __init__(self, readings_j: Sequence[float]) -> None:
        self._readings = iter(readings_j)

    def read_j(self) -> float:
        """The next recorded reading.

        Raises:
            OSError: There are no more.
        """
        try:
            return next(self._readings)
        except StopIteration:
            raise OSError("the recording is over") from None
