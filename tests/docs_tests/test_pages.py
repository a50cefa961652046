"""What the documentation shows is run: study files load, Python executes, commands exit with 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs_tests.blocks import ROOT, Block, read_blocks, run_block

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
POSTGRES_PLACEHOLDER = "postgresql+psycopg://avatar@HOST/avatar"
_RUNNABLE = ("toml", "python", "sh")


def _runs_a_study(blocks: list[Block]) -> bool:
    commands = [words[:2] for block in blocks for words in _run_commands(block)]
    in_python = any("avatar_optuna.run(" in block.text for block in blocks if block.language == "python")
    return in_python or ["avatar-optuna", "run"] in commands


def _run_commands(block: Block) -> list[list[str]]:
    return block.commands if block.language == "sh" and block.why_not_run is None else []


def _pages() -> list[Any]:
    pages = []
    for path in PAGES:
        blocks = read_blocks(path)
        marks = [pytest.mark.slow, pytest.mark.timeout(900)] if _runs_a_study(blocks) else []
        if any(block.language in _RUNNABLE for block in blocks):
            pages.append(pytest.param(path, id=str(path.relative_to(ROOT)), marks=marks))
    return pages


@pytest.mark.parametrize("path", _pages())
def test_the_blocks_of_a_page_run(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    blocks = read_blocks(path)
    needs_postgres = any(POSTGRES_PLACEHOLDER in block.text for block in blocks)
    replacements = {POSTGRES_PLACEHOLDER: request.getfixturevalue("postgres_url")} if needs_postgres else {}
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        run_block(block, tmp_path, names, replacements)


def test_every_block_names_its_language() -> None:
    """A block without a language would be neither run nor checked, unnoticed."""
    known = (*_RUNNABLE, "text", "json", "sql", "html", "yaml")
    assert [b.place for path in PAGES for b in read_blocks(path) if b.language not in known] == []
