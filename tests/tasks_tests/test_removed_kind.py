"""A stored study of the removed kind `python-defects` can still be read: its figures, its report, its students."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands import run_command
from tests.finished_study import NAME, FinishedStudy


@pytest.fixture
def folder(finished_study: FinishedStudy, tmp_path: Path) -> Path:
    """A copy of the finished study, whose stored settings say that it is of the removed kind."""
    folder = tmp_path / "copy"
    shutil.copytree(finished_study.folder, folder)
    with closing(sqlite3.connect(folder / "storage/studies.db")) as connection, connection:
        rows = connection.execute("SELECT rowid, value_json FROM study_user_attributes WHERE value_json LIKE '%data%'")
        for row, text in rows.fetchall():
            stored = text.replace('"vulnerability-prediction"', '"python-defects"')
            stored = re.sub(r'"data": "[^"]*/data"', '"data": null', stored)
            connection.execute("UPDATE study_user_attributes SET value_json = ? WHERE rowid = ?", (stored, row))
    return folder


def test_a_stored_study_of_a_removed_kind_can_be_read(folder: Path) -> None:
    front = run_command(folder, "front", "--study-name", NAME, "-f", "json")
    assert front.exit_code == 0, front.output
    job = str(json.loads(front.stdout)["students"][0]["job"])
    for words in (
        ("status", "--study-name", NAME),
        ("front", "--study-name", NAME),
        ("report", "--study-name", NAME, "--out", "report.html"),
        ("export", "--study-name", NAME, "--student", job, "--out", "student"),
    ):
        read = run_command(folder, *words)
        assert read.exit_code == 0, read.output
    assert "defect prediction on seeded faults" in (folder / "report.html").read_text()
    assert "python-defects" in (folder / "student/README.md").read_text()


def test_its_study_file_is_refused(folder: Path) -> None:
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace('"vulnerability-prediction"\ndata = "data"', '"python-defects"'))
    refused = run_command(folder, "run", "study.toml")
    assert refused.exit_code == 2
    assert len(refused.output.strip().splitlines()) == 1
    assert "task.kind must not be python-defects in a new study: no model tried on it" in refused.output
