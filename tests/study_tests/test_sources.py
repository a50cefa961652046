"""Where the package's code comes from, and which licences the READMEs of data and teachers state."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from avatar_optuna.study._sources import source_commit, stated_license

ROOT = Path(__file__).parents[2]


def test_the_commit_is_the_one_that_git_has_checked_out() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    words = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    head = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert (source_commit() or "").removesuffix("-dirty") == head


@pytest.mark.parametrize(
    ("readme", "expected"),
    [
        ("---\nlanguage: code\nlicense: mit\n---\n# Model\n", "mit"),
        ('---\r\nlicense: "c-uda"\r\n---\r\n', "c-uda"),
        ("---\nlicense:\n- mit\n---\n", None),
        ("# Model\nlicense: mit\n", None),
        (None, None),
    ],
)
def test_a_licence_is_known_where_a_card_states_it(tmp_path: Path, readme: str | None, expected: str | None) -> None:
    if readme is not None:
        (tmp_path / "README.md").write_text(readme, newline="")
    (tmp_path / "data.csv").write_text("")
    assert stated_license(str(tmp_path)) == expected
    assert stated_license(str(tmp_path / "data.csv")) == expected


def test_nothing_is_known_of_what_is_no_path(tmp_path: Path) -> None:
    assert [
        stated_license(place) for place in (None, {"a": 1}, str(tmp_path / "absent"), "microsoft/codebert-base")
    ] == [None] * 4
