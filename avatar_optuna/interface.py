"""The Python interface: run a study, open a stored one, read its front, export its students."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from avatar_optuna.exceptions import InputError
from avatar_optuna.places import cache_folder, storage_url
from avatar_optuna.progress import Progress
from avatar_optuna.renderers import front_rows
from avatar_optuna.settings import StudySettings, load_study_file
from avatar_optuna.storage import open_for_reading, open_storage
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import DistilledStudent, PredictedStudent, StudyView, read_view

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Front:
    """The front of a study at one moment.

    Args:
        view: What was stored then.
    """

    view: StudyView

    @property
    def students(self) -> tuple[DistilledStudent, ...]:
        """Distilled and measured, the most effective on validation first."""
        return self.view.students

    @property
    def predicted(self) -> tuple[PredictedStudent, ...]:
        """The predicted front of the last round of the search, the most effective first."""
        return self.view.predicted_front

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a student, distilled ones first, with the columns of `avatar-optuna front -f csv`."""
        return front_rows(self.view)

    def to_dataframe(self) -> pd.DataFrame:
        """`to_dicts` as a pandas DataFrame.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise InputError("to_dataframe needs pandas, which is not installed; to_dicts does not") from error
        return pd.DataFrame(self.to_dicts())


class Study:
    """A stored study. Each method reads the database when it is called; `run` and `open_study` give one.

    Args:
        name: Of the study.
        storage: URL of its database.
    """

    def __init__(self, name: str, storage: str) -> None:
        self.name = name
        self.storage = storage

    def view(self) -> StudyView:
        """Everything that is stored about the study, at this moment."""
        return read_view(open_for_reading(self.storage), self.name)

    def front(self) -> Front:
        """Distilled students, and the configurations that are predicted to be on the Pareto front."""
        return Front(view=self.view())

    def write_report(self, out: Path | str, *, beside: Study | None = None) -> Path:
        """Write the report, one HTML file that loads nothing else; a file that is there is replaced.

        Args:
            out: The file.
            beside: Another study, of this database or another: the file shows both side by side then.

        Raises:
            InputError: The file cannot be written, or the other study is this one.
        """
        from avatar_optuna.report import write_beside, write_report

        if beside is not None:
            if (beside.name, beside.storage) == (self.name, self.storage):
                raise InputError(f"a report has another study beside it, got {self.name!r} twice")
            return write_beside(self.view(), beside.view(), Path(out))
        return write_report(self.view(), Path(out))

    def export(self, student: int, out: Path | str, *, format_name: str = "hf", threshold: float | None = None) -> Path:
        """Export a distilled student, whose number is its `job`; brief samples for the indicator are refused.

        Args:
            student: Number of the student.
            out: A directory that does not exist yet.
            format_name: The export format, such as "hf" or "numpy".
            threshold: Stored with a student of two labels, which gives the label 1 from this probability on; None
                leaves its own, or 0.5.

        Raises:
            InputError: There is no such student or format, `out` exists, the student has not two labels, or its own
                threshold misses its aim and no other is given.
        """
        from avatar_optuna.exports import export_student

        study = AvatarStudy(open_storage(self.storage, create=False), self.name)
        export_student(study, student, Path(out), format_name=format_name, threshold=threshold)
        return Path(out)


def open_study(name: str, *, storage: str | None = None) -> Study:
    """Open a stored study.

    Args:
        name: Of the study.
        storage: URL of its database; None takes $OPTUNA_STORAGE, else "sqlite:///storage/studies.db".

    Raises:
        InputError: The database holds no such study.
    """
    study = Study(name, storage_url(storage))
    study.view()
    return study


def run(
    settings: StudySettings | Path | str,
    *,
    storage: str | None = None,
    artifacts: str | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    devices: str = "auto",
    console: Console | None = None,
) -> Study:
    """Run a study to its end, or go on where it was stopped; what `avatar-optuna run` does.

    Args:
        settings: Settings, or the path of a study file.
        storage: URL of the database, made where it is missing; None takes $OPTUNA_STORAGE, else
            "sqlite:///storage/studies.db".
        artifacts: Folder or URL for the students' files; None takes $AVATAR_ARTIFACTS, else "storage/artifacts".
        cache: Folder for what can be computed again; None takes $AVATAR_CACHE, else "storage/cache".
        workers: Worker processes; None starts one for each device, 0 leaves the jobs to `avatar-optuna worker`.
        devices: "auto", "cpu", or a list such as "cuda:0,cuda:1".
        console: Where progress is written; None writes none.

    Returns:
        The finished study.

    Raises:
        InputError: The settings or the data are wrong; nothing was stored.
        StudyError: The study cannot go on, such as when all jobs of a phase failed.
    """
    from avatar_optuna.pipeline import begin
    from avatar_optuna.pool import parse_devices

    resolved = settings if isinstance(settings, StudySettings) else load_study_file(settings)
    url = storage_url(storage)
    begin(
        resolved,
        storage_url=url,
        artifacts=artifacts,
        cache_dir=cache_folder(cache),
        slots=parse_devices(devices, workers=workers) if workers != 0 else (),
        progress=Progress(console if console is not None else Console(quiet=True)),
    ).everything()
    return Study(resolved.name, url)
