"""Where this package's code comes from, and under which licence data and teachers say that they are."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

_PATIENCE_S = 10
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_LICENSE = re.compile(r"^license:[ \t]*[\"']?([^\"'\n#]+)", re.MULTILINE)
_LONGEST = 60


def source_commit() -> str | None:
    """The commit of this package's code, with "-dirty" where files differ from it; None where it was not installed from
    a repository.

    A checkout is asked by git; a package that pip installed from a repository holds the commit in its metadata.
    """
    package = Path(__file__).parents[1]
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None:
        return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        installed = distribution("avatar-optuna").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    commit = json.loads(installed).get("vcs_info", {}).get("commit_id") if installed else None
    return str(commit) if commit else None


def _git(folder: Path, *words: str) -> str | None:
    """What a git command prints of the repository of a folder; None where there is no git, or it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def stated_license(place: Any) -> str | None:
    """The `license` that the README.md in a folder, or beside a file, has in its front matter, as on Hugging Face.

    Args:
        place: Path of a folder or file; of anything else nothing is known.

    Returns:
        Such as "mit"; None where none is stated.
    """
    if not isinstance(place, str) or not Path(place).exists():
        return None
    path = Path(place)
    card = (path if path.is_dir() else path.parent) / "README.md"
    try:
        text = card.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    matter = _FRONT_MATTER.match(text.replace("\r\n", "\n"))
    found = _LICENSE.search(matter[1]) if matter is not None else None
    return found[1].strip()[:_LONGEST] or None if found is not None else None
