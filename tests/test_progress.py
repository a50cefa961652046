"""Bars on a terminal, silence elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from avatar_optuna.progress import Progress, rate


def _worked(*, terminal: bool) -> str:
    stream = io.StringIO()
    progress = Progress(Console(file=stream, force_terminal=terminal, width=100))
    with progress.bar("distilling [students]", 3) as update:
        update(2)
    with progress.busy("measuring [the teacher]"):
        pass
    progress.say("3 of [them] are done")
    return stream.getvalue()


def test_a_terminal_shows_what_is_done_and_what_is_left() -> None:
    shown = _worked(terminal=True)
    assert "distilling [students]" in shown
    assert "2/3" in shown
    assert "measuring [the teacher]" in shown
    assert "3 of [them] are done" in shown


def test_a_pipe_gets_the_sentences_alone() -> None:
    assert _worked(terminal=False) == "3 of [them] are done\n"


@pytest.mark.parametrize(
    ("per_second", "said"),
    [(None, ""), (0.0, ""), (1234.0, "1,234.0/s"), (0.5, "30.0/min"), (1 / 60, "1.0/min"), (0.001, "3.6/h")],
)
def test_a_rate_is_told_in_the_unit_that_reads_best(per_second: float | None, said: str) -> None:
    assert rate(per_second) == said
