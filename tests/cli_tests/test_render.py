"""What the commands print for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar_optuna.cli import main

STUDY = """
name = "lists"
[task]
kind = "python-clones"
[teacher]
pretrained = "some/model"
[space]
hidden_size = [16, 32, 4096]
learning_rate = [0.002, 0.001]
vocab_size = { low = 1000, high = 2000 }
num_hidden_layers = 2
[constraints]
size_mb = "<= 3"
"""


def test_a_list_is_shown_as_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two layers of width 4,096 are more than 3 MB whatever else they are; nothing else here is too large."""
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    assert main(["space", str(file)]) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:14]]
    shown = {name: [part.strip() for part in rest.split("  ") if part.strip()] for name, rest in rows}
    assert shown["hidden_size"] == ["16, 32, 4,096", "16, 32"]
    assert shown["learning_rate"] == ["0.001, 0.002", "0.001, 0.002"]
    assert shown["vocab_size"] == ["1,000 to 2,000", "1,000 to 2,000"]
    assert shown["num_hidden_layers"] == ["2", "2"]
    assert shown["tokenizer"][0] == "BPE, WordPiece, Unigram, Word"
