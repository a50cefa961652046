"""CITATION.cff is valid, by the format's own schema, and names the version that is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

import avatar_optuna

ROOT = Path(__file__).parents[2]


def test_it_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format"]
    result = subprocess.run([*command, str(ROOT / "CITATION.cff")], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == avatar_optuna.__version__
    assert f"## {avatar_optuna.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
