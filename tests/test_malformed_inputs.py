"""Malformed inputs of every kind: one line, exit code 2 (1 where a server or a disk fails), nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzzing import Malformed, make_sound_folder, malformed_inputs, run_malformed

_OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    make_sound_folder(folder)
    return folder


@given(malformed=malformed_inputs())
@settings(max_examples=25, derandomize=True, **_OPTIONS)
def test_malformed_inputs_are_refused(sound: Path, malformed: Malformed) -> None:
    run_malformed(sound, malformed)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine is no failure
@given(malformed=malformed_inputs())
@settings(max_examples=200, derandomize=True, **_OPTIONS)
def test_many_malformed_inputs_are_refused(sound: Path, malformed: Malformed) -> None:
    run_malformed(sound, malformed)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@given(malformed=malformed_inputs())
@settings(max_examples=2_000, **_OPTIONS)
def test_two_thousand_malformed_inputs_are_refused(sound: Path, malformed: Malformed) -> None:
    run_malformed(sound, malformed)
