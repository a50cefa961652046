"""What to search by where FLOPs do not order students as the device does."""

from __future__ import annotations

from collections.abc import Sequence

from avatar_optuna.schema import Audit
from avatar_optuna.settings import StudySettings

_FLOPS, _LATENCY = "flops", "latency_ms"


def proposal(settings: StudySettings, audit: Audit) -> str | None:
    """How to switch from FLOPs to predicted latency; None where FLOPs order enough pairs as they should, or where the
    study does not use them.

    Args:
        settings: Of the study.
        audit: Of FLOPs on its device.
    """
    objectives = settings.search.objectives
    constraints = [text for text in settings.constraints if _FLOPS in text]
    if audit.trusted or not audit.orders_wrongly or not (_FLOPS in objectives or constraints):
        return None
    steps = []
    if _FLOPS in objectives:
        steps.append(f"[search] objectives = {_list(_switched(objectives))}")
    if constraints:
        steps.append(f'[constraints] {_LATENCY} = "<= MS" in place of {" and ".join(constraints)}')
    return (
        f"search by {_LATENCY} instead, which is calibrated on this device: in a study of another name, "
        f"{'; '.join(steps)}"
    )


def _switched(objectives: Sequence[str]) -> list[str]:
    """With latency in place of FLOPs, once."""
    return list(dict.fromkeys(_LATENCY if name == _FLOPS else name for name in objectives))


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
