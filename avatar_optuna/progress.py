"""How long work is shown: sentences always, bars only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

Update = Callable[[int], None]
"""Takes how much is done so far."""


class Progress:
    """Sentences and bars on one console.

    Args:
        console: Where to write. Where it is no terminal, bars are left out and sentences stay.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, sentence: str) -> None:
        """Write one line, wrapped by nothing but the reader's terminal."""
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Update]:
        """A bar with a count, a rate and the time to go, erased when it is done.

        Args:
            what: What is counted, such as "searching".
            total: How much there is to do.
        """
        if not self.console.is_terminal:
            yield lambda done: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(what, total=total)
            yield lambda done: bars.update(bar, completed=done)
