"""Export formats keep their contract, the built-in one and a stranger's; a broken one is told so."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports import FORMATS, StudentToExport, export_student
from avatar_optuna.exports.hf import FORMAT as HF
from avatar_optuna.inference import load_student
from avatar_optuna.testing.exports import check_export_format, random_student
from tests.finished_study import NAME, FinishedStudy
from tests.stranger.export_zip import FORMAT as ZIP

Inputs = Sequence[tuple[str, ...]]


def _answers(directory: Path, inputs: Inputs) -> npt.ArrayLike:
    return [answer.probabilities for answer in load_student(directory).predict(inputs)]


def _unpacked_answers(directory: Path, inputs: Inputs) -> npt.ArrayLike:
    with zipfile.ZipFile(directory / "student.zip") as archive:
        archive.extractall(directory / "unpacked")
    return _answers(directory / "unpacked", inputs)


def test_a_hugging_face_directory_gives_the_answers_of_its_student(tmp_path: Path) -> None:
    check_export_format(HF, _answers, tmp_path)


def test_a_format_of_another_package_gives_the_answers_of_its_student(tmp_path: Path) -> None:
    check_export_format(ZIP, _unpacked_answers, tmp_path)


class _Silent:
    """Writes nothing."""

    name = "silent"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        del student, out_dir


class _Destroyer(_Silent):
    """Moves the student's own files away."""

    name = "destroyer"

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        (student.files / "config.json").rename(out_dir / "config.json")


def test_the_contract_finds_a_format_that_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="silent wrote no file"):
        check_export_format(_Silent(), _answers, tmp_path)


def test_the_contract_finds_a_format_that_changes_what_is_stored(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="destroyer changed the student's own files"):
        check_export_format(_Destroyer(), _answers, tmp_path)


def test_the_contract_finds_other_answers(tmp_path: Path) -> None:
    others = {arity: random_student(tmp_path / "other", arity=arity).files for arity in (1, 2)}

    def of_another_student(directory: Path, inputs: Inputs) -> npt.ArrayLike:
        return 1 - np.asarray(_answers(others[len(inputs[0])], inputs))

    with pytest.raises(AssertionError, match="answers must differ by at most 1e-05, they differ by"):
        check_export_format(HF, of_another_student, tmp_path)


@pytest.fixture
def job(finished_study: FinishedStudy) -> int:
    trials = finished_study.open().distilled.get_trials()
    return next(trial.number for trial in trials if trial.user_attrs["purpose"] == "front")


def test_a_student_of_a_study_is_exported_with_its_card(
    finished_study: FinishedStudy, job: int, tmp_path: Path
) -> None:
    export_student(finished_study.open(), job, tmp_path / "student")
    assert f"# Student {job} of {NAME}" in (tmp_path / "student/README.md").read_text()
    assert load_student(tmp_path / "student").predict(["int f() { return 0; }"])[0].label in (0, 1)
    with pytest.raises(InputError, match="--out must be a new directory"):
        export_student(finished_study.open(), job, tmp_path / "student")


def test_a_failed_export_leaves_nothing(finished_study: FinishedStudy, job: int, tmp_path: Path) -> None:
    FORMATS.register("destroyer", _Failing())
    try:
        with pytest.raises(InputError, match="no such student"):
            export_student(finished_study.open(), job, tmp_path / "student", format_name="destroyer")
    finally:
        FORMATS.unregister("destroyer")
    assert list(tmp_path.iterdir()) == []


class _Failing(_Silent):
    """Writes half of it."""

    name = "failing"

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        (out_dir / "half").write_text(student.name)
        raise InputError("no such student can be written")


def test_what_a_format_needs_is_named(finished_study: FinishedStudy, job: int, tmp_path: Path) -> None:
    needy = _Silent()
    needy.requires = ("a_module_that_is_nowhere",)
    FORMATS.register("needy", needy)
    try:
        with pytest.raises(InputError, match="export format needy needs a_module_that_is_nowhere"):
            export_student(finished_study.open(), job, tmp_path / "student", format_name="needy")
    finally:
        FORMATS.unregister("needy")


def test_the_command_exports_in_a_format_of_an_installed_package(
    finished_study: FinishedStudy, job: int, tmp_path: Path
) -> None:
    metadata = tmp_path / "site" / "stranger_exports-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-exports\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[avatar_optuna.exports]\nzip = tests.stranger.export_zip:FORMAT\n")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(metadata.parent)])

    def export(name: str) -> subprocess.CompletedProcess[str]:
        options = ["--storage", finished_study.url, "--study-name", NAME, "--student", str(job), "--format", name]
        return subprocess.run(
            [sys.executable, "-m", "avatar_optuna", "export", *options, "--out", str(tmp_path / name)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )

    assert export("zip").returncode == 0
    assert np.shape(_unpacked_answers(tmp_path / "zip", [("int f() { return 0; }",)])) == (1, 2)
    refused = export("onnx-of-tomorrow")
    assert refused.returncode == 2
    names = ", ".join(sorted({*FORMATS.names(), "zip"}))
    assert f"export format must be one of {names}, got 'onnx-of-tomorrow'" in refused.stderr
