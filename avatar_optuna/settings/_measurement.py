"""The section `[measurement]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from avatar_optuna.carbon import is_known_country
from avatar_optuna.settings._rules import each, one_of, optional, truth, whole_number
from avatar_optuna.settings._section import Section, setting

EFFECTIVENESS_METRICS = (
    *("balanced_accuracy", "accuracy", "f1", "macro_f1", "mcc", "roc_auc", "pr_auc"),
    *("ordered_pairs", "map_at_r"),  # of data with pairs before and after a fix; of pairs with groups
)


def _device(value: Any) -> str | None:
    valid = isinstance(value, str) and re.fullmatch(r"cpu|cuda(:\d+)?", value)
    return None if valid else "must be cpu, cuda or cuda:N"


def _country(value: Any) -> str | None:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        return "must be an ISO 3166 code of three capitals, such as FRA"
    return None if is_known_country(value) else "must be a country whose grid codecarbon's table knows, such as FRA"


@dataclass(frozen=True, kw_only=True)
class MeasurementSettings(Section):
    """`[measurement]`: what counts as effectiveness, on what the students are timed, and under how many edits of each
    function it is counted how often they change their label."""

    effectiveness: str = setting(one_of(*EFFECTIVENESS_METRICS), "balanced_accuracy")
    device: str = setting(_device, "cpu")
    threads: int | None = setting(optional(whole_number(1, 4096)), None)
    batch_sizes: tuple[int, ...] = setting(each(whole_number(1, 65_536)), (1,))
    repeats: int = setting(whole_number(5, 100_000), 50)
    country: str | None = setting(optional(_country), None)
    audit: bool = setting(truth, True)
    edits: int | None = setting(optional(whole_number(1, 100)), None)
