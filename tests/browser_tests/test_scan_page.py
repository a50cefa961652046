"""The page of a scan, opened from a folder: no network, no error, and code as text."""

from __future__ import annotations

from pathlib import Path

from tests.browser_tests.conftest import Watched
from tests.commands import run_command
from tests.scan_tests.students import clone_student

FUNCTION = """def page(values):
    text = "</pre><script>document.title = 'changed'</script><b>bold</b>"
    for value in values:
        text = text + str(value)
    return text
"""


def test_the_page_shows_the_code_of_a_finding(watched: Watched, tmp_path: Path) -> None:
    student = clone_student(tmp_path)
    (tmp_path / "code").mkdir()
    for name in ("a.py", "b.py"):
        (tmp_path / "code" / name).write_text(FUNCTION)
    words = ("scan", str(student), "code", "--min-tokens", "10", "-f", "html", "--out", "scan.html")
    assert run_command(tmp_path, *words).exit_code == 0
    page = watched.page
    page.goto((tmp_path / "scan.html").as_uri())
    assert page.locator("pre").all_inner_texts() == [FUNCTION.rstrip()] * 2
    assert page.title() == "code: scan"
    assert page.locator("summary").inner_text().startswith("1. 2 copies of one function, 5 lines")
    assert watched.outside == watched.errors == []
