"""What of a folder is scanned."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar_optuna.languages import language_named
from avatar_optuna.scan import VENDORED, FileFinder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.py", "deep/b.py", "deep/c.c", ".git/d.py", "node_modules/e.py", "notes.txt", "tests/f.py", ".g.py"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "folder"


def _names(finder: FileFinder, folder: Path) -> list[str]:
    return [file.name for file in finder.find(folder)]


def test_files_of_the_languages_are_found_in_their_order(folder: Path) -> None:
    finder = FileFinder(languages=[language_named("python")])
    assert _names(finder, folder) == [".g.py", "a.py", "deep/b.py", "tests/f.py"]
    assert finder.skipped == {"hidden and vendored folders": 2}
    assert _names(FileFinder(languages=[language_named("c")]), folder) == ["deep/c.c"]


def test_hidden_and_vendored_folders_may_be_looked_into(folder: Path) -> None:
    finder = FileFinder(languages=[language_named("python")], has_all_folders=True)
    assert {".git/d.py", "node_modules/e.py"} <= set(_names(finder, folder))
    assert "node_modules" in VENDORED


@pytest.mark.parametrize("pattern", ["tests", "tests/*", "*/f.py"])
def test_patterns_leave_out(pattern: str, folder: Path) -> None:
    finder = FileFinder(languages=[language_named("python")], excluded=[pattern])
    assert _names(finder, folder) == [".g.py", "a.py", "deep/b.py"]
    assert finder.skipped["excluded"] == 1


def test_links_are_not_followed(folder: Path) -> None:
    (folder.parent / "outside").mkdir()
    (folder.parent / "outside/z.py").write_text("")
    (folder / "linked").symlink_to(folder.parent / "outside")
    (folder / "z.py").symlink_to(folder.parent / "outside/z.py")
    (folder / "loop").symlink_to(folder)
    finder = FileFinder(languages=[language_named("python")])
    assert _names(finder, folder) == [".g.py", "a.py", "deep/b.py", "tests/f.py"]
    assert finder.skipped["links"] == 3
