"""The commands. `main` turns errors of the user into one line and exit code 2, and says what an interrupt leaves."""

from __future__ import annotations

import logging
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence

from rich.console import Console

from avatar_optuna.cli._parser import build_parser
from avatar_optuna.exceptions import AvatarError, InputError

__all__ = ["main"]

_FILE_WIDTH = 200
_STATELESS = ("predict", "scan")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after `avatar-optuna`; those of the process where None.

    Returns:
        0 done, 1 failed, 2 the user's input was wrong, 130 interrupted.
    """
    options = build_parser().parse_args(arguments)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    command, database_errors = _command(options.command)
    try:
        command(options, _console())
    except AvatarError as error:
        _say(options.command, str(error))
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        rest = "" if options.command in _STATELESS else "; the same command goes on from here"
        sys.stderr.write(f"\navatar-optuna {options.command}: interrupted{rest}\n")
        return 130
    except BrokenPipeError:  # `| head` has read enough
        sys.stderr.close()
        return 0
    except database_errors as error:
        from avatar_optuna.storage import describe_error

        _say(options.command, f"the database cannot be used: {describe_error(error)}")
        return 1
    except OSError as error:  # a disk that is full, or a folder that may not be written
        _say(options.command, f"a file cannot be used: {error}")
        return 1
    return 0


def _command(name: str) -> tuple[Callable[[Namespace, Console], None], tuple[type[Exception], ...]]:
    """A command, and what a database raises under it. `--help` waits for none; The others here need no database."""
    if name == "predict":
        from avatar_optuna.cli._predict import predict

        return predict, ()
    if name == "scan":
        from avatar_optuna.cli._scan import scan

        return scan, ()
    _quiet_libraries()
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    from avatar_optuna.cli._commands import COMMANDS

    return COMMANDS[name], (SQLAlchemyError, StorageInternalError)


def _say(command: str, message: str) -> None:
    """One line, whatever it quotes."""
    message = message.replace("\n", "\\n")
    sys.stderr.write(f"avatar-optuna {command}: {message}\n")


def _console() -> Console:
    """Of the terminal's width; into a pipe or a file, wide enough for every table."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def _quiet_libraries() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
