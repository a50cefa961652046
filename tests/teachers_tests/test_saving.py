"""What `teacher --save` writes. The oracle is what it was made from: the same logits, by us and by the stock model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from avatar_optuna.decision import Aim, Decision, decide
from avatar_optuna.distillation import PAIR_HEAD_FILE, PairClassifier
from avatar_optuna.exceptions import InputError
from avatar_optuna.manifest import MANIFEST_FILE, store_threshold, stored_decision
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from avatar_optuna.testing.tasks import small_task
from tests.commands import run_command
from tests.finished_study import write_study
from tests.teachers_tests.conftest import write_base
from tests.teachers_tests.test_classifiers import alone, make_model, write_classifier

ARCHITECTURE = {
    "vocab_size": 300,
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
}


def _trained(task: Task, tmp_path: Path) -> Any:
    settings = TeacherSettings(architecture=ARCHITECTURE, epochs=1, max_sequence_length=48)
    return load_teacher(settings, task, cache_dir=tmp_path / "cache")


def _reloaded(directory: Path, task: Task, tmp_path: Path) -> Any:
    return load_teacher(TeacherSettings(checkpoint=str(directory)), task, cache_dir=tmp_path / "cache")


def test_a_teacher_that_was_trained_from_nothing(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    teacher = _trained(task, tmp_path)
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    np.testing.assert_allclose(alone(stock, teacher, task), teacher.logits("valid"), atol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").model_max_length == 48


def test_a_teacher_of_pairs_that_was_trained_from_nothing_becomes_a_roberta(tmp_path: Path) -> None:
    task = small_task(arity=2, num_labels=3)
    teacher = _trained(task, tmp_path)
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    assert isinstance(again.classifier.network, PairClassifier)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-5)
    assert (tmp_path / "saved" / PAIR_HEAD_FILE).is_file()
    assert AutoModel.from_pretrained(tmp_path / "saved").config.model_type == "roberta"


def test_labels_in_another_order_are_saved_as_the_model_has_them(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    names = {0: "call_2", 1: "CALL_0", 2: "call_1"}
    source, model = write_classifier(tmp_path / "model", "bert", task, id2label=names)
    teacher = load_teacher(TeacherSettings(checkpoint=source), task, cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(teacher.logits("valid"), alone(model, teacher, task)[:, [1, 2, 0]], atol=1e-5)
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)


def test_lower_casing_is_a_part_of_the_saved_tokenizer(tmp_path: Path) -> None:
    task = small_task()
    torch.save(make_model("roberta").state_dict(), tmp_path / "model.bin")
    settings = TeacherSettings(
        checkpoint=str(tmp_path / "model.bin"),
        base=str(write_base(tmp_path / "base", task, make_model("roberta").config)),
        layout="avatar-codebert-vulnerability",
    )
    teacher = load_teacher(settings, task, cache_dir=tmp_path / "cache")
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)
    stock = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert stock(" VOID\n F( )")["input_ids"] == stock("void f( )")["input_ids"]
    assert stock(" VOID\n F( )")["input_ids"] == again.classifier.tokens(["Void\tF( ) "]).ids.tolist()


def test_the_command_saves_a_directory_that_predicts(tmp_path: Path) -> None:
    write_study(tmp_path)
    result = run_command(tmp_path, "teacher", "study.toml", "--save", "saved")
    assert result.exit_code == 0, result.output
    assert "the teacher is in saved" in result.stdout
    function = json.loads((tmp_path / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])["func"]
    (tmp_path / "one.c").write_text(function, encoding="utf-8")
    predicted = run_command(tmp_path, "predict", "saved", "one.c", "-f", "json")
    assert predicted.exit_code == 0, predicted.output
    (tmp_path / "pairs.toml").write_text(
        'name = "pairs"\n[task]\nkind = "python-clones"\nmax_train = 20\n[teacher]\ncheckpoint = "saved"\n',
        encoding="utf-8",
    )
    other = run_command(tmp_path, "teacher", "pairs.toml")
    assert other.exit_code == 2
    assert "must serve pairs of functions and 2 labels, it serves single functions and 2 labels" in other.stderr
    refused = run_command(tmp_path, "teacher", "study.toml", "--save", "saved")
    assert refused.exit_code == 2
    assert "--save: saved must be a new directory, it exists" in refused.stderr


@pytest.mark.parametrize("content", [None, "text"])
def test_nothing_that_is_there_is_written_over(content: str | None, tmp_path: Path) -> None:
    teacher = _trained(small_task(), tmp_path)
    place = tmp_path / "there"
    if content is None:
        place.mkdir()
        save_teacher(teacher, place)  # an empty directory is as good as none
        assert (place / "config.json").is_file()
    else:
        place.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="must be a new directory, it exists"):
        save_teacher(teacher, place)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


KEPT = Decision(temperature=2.5, threshold=0.375)


def _single(tmp_path: Path, names: dict[int, str]) -> tuple[Task, Any]:
    task = small_task()
    source, _ = write_classifier(tmp_path / "model", "bert", task, id2label=names)
    return task, load_teacher(TeacherSettings(checkpoint=source), task, cache_dir=tmp_path / "cache")


def test_a_decision_is_kept_as_a_student_keeps_it_and_read_back(tmp_path: Path) -> None:
    task, teacher = _single(tmp_path, {0: "call_0", 1: "call_1"})
    assert teacher.decision is None
    save_teacher(teacher, tmp_path / "saved", KEPT)
    manifest = json.loads((tmp_path / "saved" / MANIFEST_FILE).read_text(encoding="utf-8"))
    assert (manifest["temperature"], manifest["threshold"]) == (2.5, 0.375)
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    assert again.decide(None) == KEPT
    save_teacher(again, tmp_path / "saved again")  # without being told once more
    assert _reloaded(tmp_path / "saved again", task, tmp_path).decision == KEPT


def test_a_study_that_names_an_aim_chooses_anew(tmp_path: Path) -> None:
    task, teacher = _single(tmp_path, {0: "call_0", 1: "call_1"})
    save_teacher(teacher, tmp_path / "saved", KEPT)
    aim = Aim.parse("recall >= 1")
    chosen = _reloaded(tmp_path / "saved", task, tmp_path).decide(aim)
    assert chosen == decide(teacher.logits("valid"), task.valid.labels, aim)
    assert chosen.threshold != KEPT.threshold


def test_a_threshold_is_of_the_same_label_where_the_model_has_the_other_order(tmp_path: Path) -> None:
    task, teacher = _single(tmp_path, {0: "call_1", 1: "call_0"})
    save_teacher(teacher, tmp_path / "saved", KEPT)
    manifest = json.loads((tmp_path / "saved" / MANIFEST_FILE).read_text(encoding="utf-8"))
    assert (manifest["label_names"], manifest["threshold"]) == (["call_1", "call_0"], 0.625)
    assert _reloaded(tmp_path / "saved", task, tmp_path).decision == KEPT
    settings = TeacherSettings(checkpoint=str(tmp_path / "saved"), labels=("call_1", "call_0"))
    assert load_teacher(settings, task, cache_dir=tmp_path / "cache").decision == KEPT


def test_a_teacher_that_keeps_only_a_temperature_gives_the_likeliest_label(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    teacher = _trained(task, tmp_path)
    save_teacher(teacher, tmp_path / "saved", Decision(temperature=0.5))
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    assert again.decide(None) == Decision(temperature=0.5)
    assert "threshold" not in json.loads((tmp_path / "saved" / MANIFEST_FILE).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("threshold", 1.5, "threshold must be a number from 0 to 1, got 1.5"),
        ("threshold", None, "threshold must be a number from 0 to 1, got None"),
        ("threshold", "0.5", "threshold must be a number from 0 to 1, got '0.5'"),
        ("threshold", float("nan"), "threshold must be a number from 0 to 1, got nan"),
        ("temperature", 0, "temperature must be a number above 0, got 0"),
        ("temperature", True, "temperature must be a number above 0, got True"),
        ("temperature", 10**400, "temperature must be a number above 0, got 1"),
    ],
)
def test_a_bad_decision_is_refused_in_one_line(key: str, value: Any, rule: str, tmp_path: Path) -> None:
    task, teacher = _single(tmp_path, {0: "call_0", 1: "call_1"})
    save_teacher(teacher, tmp_path / "saved", KEPT)
    manifest = tmp_path / "saved" / MANIFEST_FILE
    values = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**values, key: value}), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        check_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), task, cache_dir=tmp_path / "cache")
    assert f"{tmp_path / 'saved'}: {MANIFEST_FILE}: {rule}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_threshold_of_three_labels_is_refused(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    save_teacher(_trained(task, tmp_path), tmp_path / "saved")
    store_threshold(tmp_path / "saved", 0.3)
    with pytest.raises(InputError, match="a threshold needs two labels, there are 3"):
        _reloaded(tmp_path / "saved", task, tmp_path)


def test_the_command_keeps_what_the_study_chose_and_uses_it_where_no_aim_is_named(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = (tmp_path / "study.toml").read_text(encoding="utf-8").replace("epochs = 6", "epochs = 1", 1)
    aimed = study.replace("[distillation]", '[distillation]\nthreshold = "recall >= 0.4"')
    (tmp_path / "aimed.toml").write_text(aimed.replace("1e-3", "1e-5", 1), encoding="utf-8")
    saved = run_command(tmp_path, "teacher", "aimed.toml", "--save", "saved")
    assert saved.exit_code == 0, saved.output
    kept = stored_decision(tmp_path / "saved")
    assert kept is not None
    assert kept.threshold is not None
    assert abs(kept.threshold - 0.5) > 1e-4  # a network that learnt nothing: at 0.5 its figures are others
    assert f"the teacher's is {kept.threshold:.3g}" in saved.stdout
    before, after = study.split("[teacher]")[0], study[study.index("[space]") :]
    (tmp_path / "again.toml").write_text(f'{before}[teacher]\ncheckpoint = "./saved"\n{after}', encoding="utf-8")
    again = run_command(tmp_path, "teacher", "again.toml")
    assert f"the teacher at its own threshold of {kept.threshold:.3g}, the baseline at 0.5" in again.stdout
    rows = [next(x for x in text.splitlines() if x.startswith(" teacher ")) for text in (saved.stdout, again.stdout)]
    assert rows[0] == rows[1]
    store_threshold(tmp_path / "saved", 2.0)
    refused = run_command(tmp_path, "teacher", "again.toml")
    assert refused.exit_code == 2
    assert "avatar.json: threshold must be a number from 0 to 1, got 2.0" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
