"""The error tree. Everything a user can cause is an `AvatarError`; every message is one sentence.

AvatarError
├── InputError                 the user's input is wrong: exit code 2
│   ├── StudyFileError         all faults of one study file
│   ├── DataError              a data file, with the row
│   └── InfeasibleSpaceError   no configuration satisfies the constraints
├── StorageError               the database or the artifact store cannot be used: exit code 1
├── DivergenceError            a training lost itself: its job fails with the reason
└── StudyError                 a study cannot go on as it stands: exit code 1
    ├── StudyBusyError         another process searches the study
    ├── StoredValueError       a stored object is not what avatar_optuna stores
    └── JobLostError           a job now belongs to another worker
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class AvatarError(Exception):
    """Base of every error that avatar_optuna raises on purpose."""


class InputError(AvatarError):
    """The user's input is wrong; the message names the place, the rule and what arrived."""


class StudyFileError(InputError):
    """One study file, all its faults at once.

    Args:
        path: The study file.
        faults: One sentence each, beginning with the key at fault.
    """

    def __init__(self, path: Path | str, faults: Sequence[str]) -> None:
        self.path = Path(path)
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{path}: {fault}" for fault in self.faults))


class DataError(InputError):
    """A data file breaks its format.

    Args:
        path: The file.
        row: Line number, counted from 1, or None where the whole file is meant.
        fault: The rule and what arrived.
    """

    def __init__(self, path: Path | str, row: int | None, fault: str) -> None:
        self.path = Path(path)
        self.row = row
        self.fault = fault
        place = f"{path}:{row}" if row is not None else str(path)
        super().__init__(f"{place}: {fault}")


class InfeasibleSpaceError(InputError):
    """No configuration of the space satisfies all constraints.

    Args:
        conflict: The constraints that cannot hold together, as the user wrote them.
        family: Of which no configuration does, in a space of several families.
    """

    def __init__(self, conflict: Sequence[str], *, family: str | None = None) -> None:
        self.conflict = tuple(conflict)
        listed = ", ".join(repr(constraint) for constraint in self.conflict)
        of = f" of the family {family}" if family is not None else ""
        super().__init__(f"no configuration{of} satisfies these constraints together: {listed}")


class StudyError(AvatarError):
    """A study is in a state from which the command cannot go on."""


class StudyBusyError(StudyError):
    """Another process searches the study.

    Args:
        study_name: The study.
    """

    def __init__(self, study_name: str) -> None:
        self.study_name = study_name
        super().__init__(f"the study {study_name!r} is being searched by another process: wait for it or stop it")


class StoredValueError(StudyError):
    """A stored object is not what avatar_optuna stores.

    Args:
        place: The study and the attribute.
        fault: The rule and what arrived.
    """

    def __init__(self, place: str, fault: str) -> None:
        self.place = place
        super().__init__(f"{place} must be as avatar-optuna stored it: {fault}")


class JobLostError(StudyError):
    """A job now belongs to another worker, or to none; nothing has been written.

    Args:
        number: Number of the job's trial.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"job {number} is no longer this worker's: it was taken back after its grace period")


class StorageError(AvatarError):
    """The database or the artifact store cannot be used; the message masks passwords."""


class DivergenceError(AvatarError):
    """A training's loss or weights are no longer finite."""


def is_failure(error: BaseException) -> bool:
    """Whether a library failed, and was not interrupted: a panic of Rust code is no `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
