"""Virtual environments of their own, made from the package registry: slow, and without the checkout on their path."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
INSTALL_TIMEOUT_S = 900


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment.

    Args:
        folder: Holds it.
    """

    folder: Path

    @classmethod
    @contextmanager
    def created(cls) -> Iterator[Environment]:
        """An empty environment with pip, removed in the end; every user can read it, as a PostgreSQL server must."""
        with tempfile.TemporaryDirectory(prefix="avatar-venv-") as name:
            Path(name).chmod(0o755)
            venv.create(name, with_pip=True)
            yield cls(folder=Path(name))

    def see_packages_of_this_process(self) -> None:
        """Let what is installed here be imported there too, but for what is installed from a checkout."""
        (target,) = self.folder.glob("lib/python*/site-packages")
        (target / "elsewhere.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")

    def program(self, name: str) -> str:
        """Path of an installed program."""
        return str(self.folder / "bin" / name)

    def install(self, *words: str) -> None:
        """`pip install WORDS...`."""
        command = [self.program("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-compile", *words]  # of thousands of modules few are imported
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_TIMEOUT_S,
            cwd=self.folder,
            env=_clean_environment(),
        )
        assert result.returncode == 0, result.stdout + result.stderr

    def run(self, *words: str, cwd: Path, timeout_s: float = 600) -> str:
        """What a program of this environment prints; it must succeed, and cannot see the checkout."""
        environment = {**_clean_environment(), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        result = subprocess.run(
            [self.program(words[0]), *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            cwd=cwd,
            env=environment,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


def _clean_environment() -> dict[str, str]:
    """Variables without those that would show Python the checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}


def build_wheel(folder: Path) -> Path:
    """The wheel of the files that git tracks or would track, built outside the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and name.startswith(("avatar_optuna", "pyproject.toml", "README.md", "LICENSE")):
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "./source"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def lowest_versions(*extras: str) -> list[str]:
    """Each direct dependency, and those of the extras, pinned to the lower end of its range in pyproject.toml, or as
    it is pinned there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements: Sequence[str] = [
        *project["dependencies"],
        *(text for extra in extras for text in project["optional-dependencies"][extra]),
    ]
    return [_at_lowest(Requirement(text)) for text in requirements]


def _at_lowest(requirement: Requirement) -> str:
    (low,) = (part.version for part in requirement.specifier if part.operator in (">=", "=="))
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={low}"
