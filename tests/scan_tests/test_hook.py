"""The hook for pre-commit runs a command that exists."""

from __future__ import annotations

import shlex

import yaml

from avatar_optuna.cli._parser import build_parser
from tests.docs_tests.blocks import ROOT, read_blocks


def test_the_hook_with_the_arguments_of_its_page_is_a_command() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert hook["pass_filenames"] is False
    (block,) = [b for b in read_blocks(ROOT / "docs/how-to/scanning.md") if b.language == "yaml"]
    (used,) = yaml.safe_load(block.text)["repos"][0]["hooks"]
    assert used["id"] == hook["id"]
    program, *words = shlex.split(hook["entry"])
    options = build_parser().parse_args([*words, *used["args"]])
    assert (program, options.command) == ("avatar-optuna", "scan")
    assert options.fail_on_findings
    assert str(options.baseline) == "tools/known.json"
