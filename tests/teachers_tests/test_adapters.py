"""LoRA adapters. The oracle is peft 0.21.2: adapters that it wrote, and its logits (tests/data/adapters).

The adapter of RoBERTa is rank-stabilised, with ranks and alphas by pattern, a trained bias, and an adapted embedding;
that of GPT-2 adapts a `Conv1D`, which holds its weight transposed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from avatar_optuna.testing.tasks import small_task

DATA = Path(__file__).parents[1] / "data" / "adapters"
TASK = small_task(num_labels=3, inputs=6)


@pytest.mark.parametrize("name", ["roberta", "gpt2"])
def test_a_merged_adapter_has_the_logits_of_peft(name: str, tmp_path: Path) -> None:
    settings = TeacherSettings(checkpoint=str(DATA / name / "adapter"), base=str(DATA / name / "base"))
    check_teacher(settings, TASK, cache_dir=tmp_path)
    teacher = load_teacher(settings, TASK, cache_dir=tmp_path)
    np.testing.assert_allclose(teacher.logits("valid"), np.load(DATA / name / "logits.npy"), atol=1e-5)
    save_teacher(teacher, tmp_path / "saved")
    again = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), TASK, cache_dir=tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)


def test_the_base_model_may_be_where_the_adapter_says(tmp_path: Path) -> None:
    adapter = shutil.copytree(DATA / "gpt2" / "adapter", tmp_path / "adapter")
    _edit(adapter, base_model_name_or_path=str(DATA / "gpt2" / "base"))
    teacher = load_teacher(TeacherSettings(checkpoint=str(adapter)), TASK, cache_dir=tmp_path)
    np.testing.assert_allclose(teacher.logits("valid"), np.load(DATA / "gpt2" / "logits.npy"), atol=1e-5)
    _edit(adapter, lora_alpha=3)
    other = load_teacher(TeacherSettings(checkpoint=str(adapter)), TASK, cache_dir=tmp_path)
    assert other.fingerprint != teacher.fingerprint
    assert not np.allclose(other.logits("valid"), teacher.logits("valid"))


def test_an_adapter_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Its weights stand in `adapter_model.bin`."""
    adapter = shutil.copytree(DATA / "gpt2" / "adapter", tmp_path / "adapter")
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    settings = TeacherSettings(checkpoint=str(adapter), base=str(DATA / "gpt2" / "base"))
    teacher = load_teacher(settings, TASK, cache_dir=tmp_path)
    np.testing.assert_allclose(teacher.logits("valid"), np.load(DATA / "gpt2" / "logits.npy"), atol=1e-5)
    torch.save({"score": object}, adapter / "adapter_model.bin")
    with pytest.raises(InputError, match="it must be a state dict"):
        load_teacher(settings, TASK, cache_dir=tmp_path)


def _edit(adapter: Path, **values: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def _change(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def change(adapter: Path) -> None:
        tensors = load_file(adapter / "adapter_model.safetensors")
        edit(tensors)
        save_file(tensors, adapter / "adapter_model.safetensors")

    return change


def _without_head(tensors: dict[str, Any]) -> None:
    for key in [key for key in tensors if "score" in key]:
        del tensors[key]


def _renamed(tensors: dict[str, Any]) -> None:
    for key in [key for key in tensors if "lora_A" in key]:
        tensors[key.replace("c_attn", "c_none")] = tensors.pop(key)


def _shorter(tensors: dict[str, Any]) -> None:
    key = next(key for key in tensors if "lora_A" in key)
    tensors[key] = tensors[key][:, :-1].contiguous()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda adapter: _edit(adapter, peft_type="IA3"), "the adapter must be LoRA, adapter_config.json says 'IA3'"),
        (lambda adapter: _edit(adapter, use_dora=True), "LoRA as it was published, adapter_config.json sets use_dora"),
        (
            lambda adapter: _edit(adapter, lora_alpha={}),
            "each alpha of adapter_config.json must be",
        ),
        (
            lambda adapter: _edit(adapter, alpha_pattern={"(": 1}),
            "alpha_pattern of adapter_config.json must",
        ),
        (lambda adapter: _edit(adapter, base_model_name_or_path=None), r"set teacher\.base, .* names no base model"),
        (lambda adapter: (adapter / "adapter_config.json").write_text("{"), r"adapter_config\.json: must be JSON"),
        (lambda adapter: (adapter / "adapter_model.safetensors").write_bytes(b"x"), "must be a safetensors file"),
        (lambda adapter: (adapter / "adapter_model.safetensors").unlink(), "must be a safetensors file"),
        (_change(_without_head), r"must hold the head that was trained with the adapter \(modules_to_save\)"),
        (_change(_renamed), r"must fit its base model, transformer\.h\.0\.attn\.c_"),
        (_change(_shorter), r"must fit its base model, transformer\.h\.0\.attn\.c_attn does not"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(
    damage: Callable[[Path], None], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    adapter = shutil.copytree(DATA / "gpt2" / "adapter", tmp_path / "adapter")
    _edit(adapter, base_model_name_or_path=str(DATA / "gpt2" / "base"))
    damage(adapter)
    with pytest.raises(InputError, match=words) as refused:
        check_teacher(TeacherSettings(checkpoint=str(adapter)), TASK, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    settings = TeacherSettings(checkpoint=str(DATA / "gpt2" / "adapter"), base=str(DATA / "roberta" / "base"))
    with pytest.raises(InputError, match="must fit its base model, transformer"):
        check_teacher(settings, TASK, cache_dir=tmp_path)
