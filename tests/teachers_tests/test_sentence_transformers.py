"""Directories of sentence-transformers. The oracle is version 6.2.0: what it wrote, and its vectors (tests/data).

Mean and maximum are joined, a dense layer with tanh follows, and the vectors are brought to length 1.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar_optuna.distillation import PairClassifier
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from avatar_optuna.testing.tasks import small_task

DATA = Path(__file__).parents[1] / "data" / "sentence_transformers"
TASK = small_task(arity=2, inputs=6)


def test_the_vectors_are_those_of_the_library(tmp_path: Path) -> None:
    settings = TeacherSettings(checkpoint=str(DATA))
    check_teacher(settings, TASK, cache_dir=tmp_path)
    teacher = load_teacher(settings, TASK, cache_dir=tmp_path)
    assert teacher.classifier is not None
    assert teacher.classifier.max_sequence_length == 50
    vectors = teacher.vectors("valid")
    assert vectors is not None
    np.testing.assert_allclose(vectors, np.load(DATA / "vectors.npy"), atol=1e-6)
    save_teacher(teacher, tmp_path / "saved")
    again = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), TASK, cache_dir=tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), rtol=1e-4, atol=1e-5)
    again_vectors = again.vectors("valid")
    assert again_vectors is not None
    np.testing.assert_allclose(again_vectors, vectors, atol=1e-6)
    with pytest.raises(InputError, match="a Dense must take vectors of 32 numbers, those of the pooling first have 16"):
        load_teacher(TeacherSettings(checkpoint=str(DATA), pooling="first"), TASK, cache_dir=tmp_path)


def _directory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "model"))


def _edit(name: str, **values: Any) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        path = directory / name
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")

    return edit


def _modules(*kinds: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        split = [kind.partition(":") for kind in kinds]
        listed = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, _, path in split]
        (directory / "modules.json").write_text(json.dumps(listed), encoding="utf-8")

    return write


@pytest.mark.parametrize("lower_case", [True, False])
def test_files_of_older_versions_are_read(lower_case: bool, tmp_path: Path) -> None:
    """Pooling by truth values, and a transformer that lower-cases its text and names its longest input."""
    directory = _directory(tmp_path)
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True, "pooling_mode_cls_token": False}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **modes}))
    (directory / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 30, "do_lower_case": lower_case})
    )
    teacher = load_teacher(TeacherSettings(checkpoint=str(directory)), TASK, cache_dir=tmp_path)
    assert teacher.classifier is not None
    assert teacher.classifier.max_sequence_length == 30
    upper, lower = teacher.classifier.encode(["DEF F(X): RETURN", "def f(x): return"])
    assert np.allclose(upper, lower) is lower_case
    # maximum and mean: their order in the vector is the library's of that time
    assert teacher.classifier.network.encoder.poolings == ("max", "mean")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_modules("Transformer:", "WordWeights:1_Pooling"), "its modules must be Transformer, Pooling, then Dense"),
        (
            _modules("Transformer:", "Pooling:1_Pooling", "CNN:2"),
            "must be .*, got Transformer, Pooling, CNN",
        ),
        (lambda folder: (folder / "modules.json").write_text("{}"), "its modules must be"),
        (_edit("1_Pooling/config.json", pooling_mode=True), "its Pooling must name one, got"),
        (_edit("sentence_bert_config.json", max_seq_length=-1), "max_seq_length of sentence_bert_config.json must be"),
        (_edit("config.json", hidden_dropout_prob=-1), "model.safetensors must hold the model of config.json"),
        (lambda folder: (folder / "modules.json").write_text('[{"a": 1}]'), "modules.json must list modules"),
        (lambda folder: (folder / "1_Pooling" / "config.json").write_text("{}"), "its Pooling must name one, got"),
        (
            _edit("2_Dense/config.json", activation_function="torch.nn.Softplus"),
            "activation of a Dense must be one of",
        ),
        (_edit("2_Dense/config.json", out_features=9), "2_Dense must hold a Dense"),
        (
            _edit("config_sentence_transformers.json", similarity_fn_name="euclidean"),
            "similarity must be one of cosine",
        ),
        (
            _edit("config_sentence_transformers.json", default_prompt_name="query", prompts={"query": "find: "}),
            "it must read texts without a prompt, it puts 'find: ' before them",
        ),
    ],
)
def test_what_is_not_understood_is_refused(damage: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    directory = _directory(tmp_path)
    damage(directory)
    with pytest.raises(InputError, match=words) as refused:
        check_teacher(TeacherSettings(checkpoint=str(directory)), TASK, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)


def test_an_encoder_is_no_classifier_of_single_functions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks classifier.*: is it fine-tuned"):
        check_teacher(TeacherSettings(checkpoint=str(DATA)), small_task(), cache_dir=tmp_path)


def test_it_is_fine_tuned_with_its_own_pooling(tmp_path: Path) -> None:
    """As `pretrained` for pairs: a head over vectors, pooled as the directory says where it names one pooling."""
    directory = _directory(tmp_path)
    (directory / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    settings = TeacherSettings(pretrained=str(directory), epochs=1, max_sequence_length=32)
    check_teacher(settings, TASK, cache_dir=tmp_path)
    teacher = load_teacher(settings, TASK, cache_dir=tmp_path)
    assert teacher.classifier is not None
    assert isinstance(teacher.classifier.network, PairClassifier)
    assert teacher.classifier.network.pooling == "mean"
