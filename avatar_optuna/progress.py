"""How long work is shown: sentences always, bars only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

Update = Callable[[int], None]
"""Takes how much is done so far."""

_WHAT = TextColumn("{task.description}", markup=False)
_RATE_WINDOW_S = 1800.0
"""A job may take many minutes: rate and time to go look back as far as this."""


def say(console: Console, sentence: str) -> None:
    """Write one line as it stands, wrapped by nothing but the reader's terminal."""
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


class Observer(Protocol):
    """Who is told what a bar shows."""

    def begins(self, what: str, total: int | None) -> None:
        """Something begins, of so many parts where they can be counted."""

    def reached(self, done: int) -> None:
        """So many of its parts are done."""


class Progress:
    """Sentences and bars on one console.

    Args:
        console: Where to write. Where it is no terminal, bars are left out and sentences stay.
        observer: Is told of all bars, on a terminal or not.
    """

    def __init__(self, console: Console, observer: Observer | None = None) -> None:
        self.console = console
        self.observer = observer

    def observed_by(self, observer: Observer) -> Progress:
        """The same console, with an observer."""
        return Progress(self.console, observer)

    def say(self, sentence: str) -> None:
        say(self.console, sentence)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Update]:
        """A bar with a count, a rate and the time to go, erased when it is done.

        Args:
            what: What is counted, such as "searching".
            total: How much there is to do.
        """
        counts = (BarColumn(), MofNCompleteColumn(), RateColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with self._shown(what, (_WHAT, *counts), total) as update:
            yield update

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """What is being done and for how long already, where it cannot be counted; erased when it is done.

        Args:
            what: What is being done, such as "measuring the teacher".
        """
        with self._shown(what, (SpinnerColumn(), _WHAT, TimeElapsedColumn()), None):
            yield

    @contextmanager
    def _shown(self, what: str, columns: Iterable[ProgressColumn], total: int | None) -> Iterator[Update]:
        observer = self.observer
        if observer is not None:
            observer.begins(what, total)
        with self._drawn(what, columns, total) as draw:

            def update(done: int) -> None:
                draw(done)
                if observer is not None:
                    observer.reached(done)

            yield update

    @contextmanager
    def _drawn(self, what: str, columns: Iterable[ProgressColumn], total: int | None) -> Iterator[Update]:
        if not self.console.is_terminal:
            yield lambda done: None
            return
        with RichProgress(*columns, console=self.console, transient=True, speed_estimate_period=_RATE_WINDOW_S) as bars:
            bar = bars.add_task(what, total=total)
            yield lambda done: bars.update(bar, completed=done)


class RateColumn(ProgressColumn):
    """How much is done in a second, a minute or an hour, whichever reads best."""

    def render(self, task: Task) -> Text:
        """The rate, or nothing while it is unknown."""
        return Text(rate(task.finished_speed or task.speed), style="progress.data.speed")


def rate(per_second: float | None) -> str:
    """`12.0/s`, `4.5/min`, `1.2/h`; nothing where it is unknown."""
    if not per_second:
        return ""
    for seconds, unit in ((1, "s"), (60, "min")):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:,.1f}/{unit}"
    return f"{per_second * 3600:,.1f}/h"
