"""Exported students in virtual environments that hold what the format needs and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.exports import measure, students


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["numpy", "onnx"])
def test_the_answers_are_the_same(format_name: str, tmp_path: Path) -> None:
    if format_name == "onnx":
        pytest.importorskip("onnx")
    for student in students():
        assert measure(student, format_name, tmp_path, repeats=1).difference < 1e-5
