"""Damaged files of every form of checkpoint: read as what they are, or refused in one line."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import check_teacher
from avatar_optuna.testing.tasks import small_task
from tests.fuzzing import _damages, _json_damages, _tensor_damages
from tests.teachers_tests.conftest import write_base
from tests.teachers_tests.test_classifiers import make_model

DATA = Path(__file__).parents[1] / "data"
PAIRS, SINGLE, THREE = small_task(arity=2, inputs=6), small_task(inputs=6), small_task(num_labels=3, inputs=6)
_OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True, "derandomize": True}
_FILES = {
    "adapter": ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "base/config.json"),
    "sentences": (
        *("modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"),
        *("config_sentence_transformers.json", "sentence_bert_config.json", "config.json", "model.safetensors"),
    ),
    "state dict": ("model.bin", "base/config.json", "base/tokenizer_config.json"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each form, by its name."""
    folder = tmp_path_factory.mktemp("sound")
    shutil.copytree(DATA / "adapters" / "roberta", folder / "adapter")
    shutil.copytree(DATA / "sentence_transformers", folder / "sentences")
    model = make_model("roberta")
    write_base(folder / "state dict" / "base", SINGLE, model.config)
    torch.save({f"encoder.{key}": value for key, value in model.state_dict().items()}, folder / "state dict/model.bin")
    return folder


def _teacher(form: str, folder: Path) -> tuple[TeacherSettings, Task]:
    if form == "adapter":
        return TeacherSettings(checkpoint=str(folder / "adapter"), base=str(folder / "base")), THREE
    if form == "sentences":
        return TeacherSettings(checkpoint=str(folder)), PAIRS
    settings = TeacherSettings(
        checkpoint=str(folder / "model.bin"), base=str(folder / "base"), layout="avatar-codebert-vulnerability"
    )
    return settings, SINGLE


@st.composite
def _damaged(draw: st.DrawFn) -> tuple[str, str, Callable[[bytes], bytes]]:
    """A form, one of its files, and what happens to it."""
    form = draw(st.sampled_from(sorted(_FILES)))
    name = draw(st.sampled_from(_FILES[form]))
    damages = [_damages()]
    if name.endswith(".json") and name != "modules.json":
        damages.append(_json_damages())
    if name.endswith(".safetensors"):
        damages.append(_tensor_damages())
    return form, name, draw(st.one_of(damages))


def _check(sound: Path, case: tuple[str, str, Callable[[bytes], bytes]]) -> None:
    form, name, damage = case
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(sound / form, Path(place) / "model"))
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
        settings, task = _teacher(form, folder)
        message = ""
        try:
            check_teacher(settings, task, cache_dir=Path(place) / "cache")
        except InputError as refused:
            message = str(refused)
        assert "\n" not in message


def test_they_are_sound_before(sound: Path) -> None:
    for form, names in _FILES.items():
        _check(sound, (form, names[0], lambda old: old))
        settings, task = _teacher(form, sound / form)
        check_teacher(settings, task, cache_dir=sound)


@given(case=_damaged())
@settings(max_examples=40, **_OPTIONS)
def test_damaged_checkpoints_are_refused(sound: Path, case: tuple[str, str, Callable[[bytes], bytes]]) -> None:
    _check(sound, case)


@pytest.mark.slow
@given(case=_damaged())
@settings(max_examples=600, **_OPTIONS)
def test_many_damaged_checkpoints_are_refused(sound: Path, case: tuple[str, str, Callable[[bytes], bytes]]) -> None:
    _check(sound, case)
