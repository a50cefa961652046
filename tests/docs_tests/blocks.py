"""The fenced blocks of a page of documentation, and what it takes to run them."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar_optuna.cli._parser import build_parser
from avatar_optuna.settings import load_study_file
from tests.commands import run_command

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_INCLUDE = re.compile(r'^--8<-- "([^"]+)"$', flags=re.MULTILINE)
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->$")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Args:
        place: File and line, for messages.
        language: As the fence names it.
        title: The file that the block is the content of, or None.
        text: The content; files that it includes are in it.
        why_not_run: What the comment `<!-- not run: ... -->` before it says; None where it is run.
    """

    place: str
    language: str
    title: str | None
    text: str
    why_not_run: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def read_blocks(path: Path) -> list[Block]:
    """The blocks of a page, in order."""
    blocks: list[Block] = []
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    before = ""
    for number, line in lines:
        if (fence := _FENCE.match(line)) is None:
            before = line if line.strip() else before
            continue
        title = _TITLE.search(fence["rest"])
        reason = _NOT_RUN.match(before)
        blocks.append(
            Block(
                place=f"{path.relative_to(ROOT)}:{number}",
                language=fence["language"],
                title=title[1] if title else None,
                text=_content(lines, fence["indent"]),
                why_not_run=reason[1] if reason else None,
            )
        )
        before = ""
    return blocks


def _content(lines: Iterator[tuple[int, str]], indent: str) -> str:
    content: list[str] = []
    for _, line in lines:
        if line.strip() == "```":
            break
        content.append(line.removeprefix(indent))
    text = "".join(f"{line}\n" for line in content)
    return _INCLUDE.sub(lambda match: (ROOT / match[1]).read_text(encoding="utf-8"), text)


def run_block(block: Block, folder: Path, names: dict[str, Any], replacements: Mapping[str, str]) -> None:
    """Run a block in a folder: write and load a study file, execute Python, run commands of `avatar-optuna`.

    A block that is not run is only parsed: its commands must exist with the options that they are given.

    Args:
        names: The names that the Python blocks of a page share.
        replacements: Placeholders of addresses, and the real ones.
    """
    text = block.text
    for placeholder, real in replacements.items():
        text = text.replace(placeholder, real)
    if block.title is not None and block.why_not_run is None:
        (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
        (folder / block.title).write_text(text, encoding="utf-8")
    if block.language == "toml":
        _load(block, text, folder)
    elif block.language == "python" and block.title is None and block.why_not_run is None:
        _execute(block, text, folder, names)
    elif block.language == "python":
        compile(text, block.place, "exec")
    elif block.language == "sh":
        for words in block.commands:
            real_words = [_replaced(word, replacements) for word in words]
            _command(block, real_words, folder)


def _replaced(word: str, replacements: Mapping[str, str]) -> str:
    for placeholder, real in replacements.items():
        word = word.replace(placeholder, real)
    return word


def _load(block: Block, text: str, folder: Path) -> None:
    path = folder / (block.title or "block.toml")
    path.write_text(text, encoding="utf-8")
    if "[task]" in text:
        load_study_file(path)
    else:
        tomllib.loads(text)


def _execute(block: Block, text: str, folder: Path, names: dict[str, Any]) -> None:
    with contextlib.chdir(folder), _on_path(folder):
        exec(compile(text, block.place, "exec"), names)  # our own documentation


@contextlib.contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _command(block: Block, words: list[str], folder: Path) -> None:
    if block.why_not_run is not None:
        if words[0] == "avatar-optuna":
            build_parser().parse_args(words[1:])
        return
    assert words[0] == "avatar-optuna", f"{block.place}: only commands of avatar-optuna are run, got {words}"
    result = run_command(folder, *words[1:])
    assert result.exit_code == 0, f"{block.place}: {shlex.join(words)}: {result.output}"
