"""Looks at studies for any number of viewers: one read a second of each study, however many ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from avatar_optuna.live._study import read_live
from avatar_optuna.live._values import Values, live_values
from avatar_optuna.storage import scored_values, study_summaries

_FRESH_S = 1.0
_MOST_KEPT = 64
_GROWTH = 1.1


class Looks:
    """The values of live pages, kept for a second.

    Args:
        engine: Of the database, opened for reading or more; it is only read.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock = threading.Lock()
        self._kept: dict[str | None, tuple[float, Any]] = {}
        self._scored: dict[tuple[str, int], tuple[int, Values]] = {}

    def study(self, name: str) -> dict[str, Any]:
        """What `live_values` gives of a study.

        Raises:
            InputError: There is none of this name that avatar_optuna made.
        """
        values: dict[str, Any] = self._fresh(name, lambda: self._read(name))
        return values

    def studies(self) -> list[dict[str, Any]]:
        """The studies of the database: what `avatar-optuna list` tells of them."""
        values: list[dict[str, Any]] = self._fresh(None, self._read_all)
        return values

    def _fresh(self, key: str | None, read: Callable[[], Any]) -> Any:
        with self._lock:
            read_s, values = self._kept.get(key, (-_FRESH_S, None))
            if values is None or time.monotonic() - read_s >= _FRESH_S:
                values = read()
                self._kept.pop(key, None)
                self._kept[key] = time.monotonic(), values
                while len(self._kept) > _MOST_KEPT:
                    self._kept.pop(next(iter(self._kept)))
        return values

    def _read(self, name: str) -> dict[str, Any]:
        study = read_live(self.engine, name)
        return live_values(study, self._values_of(name, study.scored, study.view.settings.search.n_trials))

    def _values_of(self, name: str, scored: Mapping[int, int], n_trials: int) -> Values:
        """Of what the last round has scored; read anew when there is a tenth more of it, and when it is all there."""
        round_ = max(scored, default=0)
        number = scored.get(round_, 0)
        known = self._scored.get((name, round_))
        is_all_new = known is not None and number != known[0] and number >= n_trials
        if known is None or number >= _GROWTH * max(1, known[0]) or is_all_new:
            known = number, scored_values(self.engine, name, round_)
            self._scored = {key: kept for key, kept in self._scored.items() if key[0] != name}
            self._scored[name, round_] = known
        return known[1]

    def _read_all(self) -> list[dict[str, Any]]:
        studies = []
        for summary in study_summaries(self.engine):
            last = summary.last_activity
            values = {**asdict(summary), "state": summary.state}
            values["last_activity"] = last.isoformat(timespec="seconds") if last is not None else None
            studies.append(values)
        return studies
