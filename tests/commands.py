"""Commands of `avatar-optuna`, run in this process: a process of their own costs seconds of imports each."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from avatar_optuna.cli import main


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command returned and printed.

    Args:
        exit_code: 0 done, 1 failed, 2 wrong input.
        stdout: What it printed.
        stderr: Its error message and its progress, where it prints JSON.
    """

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Both streams."""
        return self.stdout + self.stderr


def run_command(folder: Path, *words: str) -> CommandResult:
    """Run `avatar-optuna WORDS...` with `folder` as the working directory."""
    stdout, stderr = _stream("strict"), _stream("backslashreplace")
    with contextlib.chdir(folder), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            exit_code = main(words)
        except SystemExit as exit_:  # argparse
            exit_code = int(exit_.code or 0)
    return CommandResult(exit_code=exit_code, stdout=_written(stdout), stderr=_written(stderr))


def _stream(errors: str) -> io.TextIOWrapper:
    """As a process has them: text that UTF-8 cannot hold fails on standard output."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)


def _written(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]
