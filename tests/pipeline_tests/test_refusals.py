"""What `run` refuses before anything is stored or distilled, and how it ends where jobs failed for good."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from avatar_optuna.pool import Pool
from avatar_optuna.schema import ARTIFACTS, Job
from avatar_optuna.students.transformer import TRANSFORMER
from tests.commands import CommandResult, run_command
from tests.finished_study import NAME, FinishedStudy, write_study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_study(tmp_path)
    return tmp_path


def _replace(folder: Path, *changes: tuple[str, str]) -> None:
    path = folder / "study.toml"
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, flags=re.DOTALL)
        assert count == 1, pattern
    path.write_text(text)


def _assert_is_refused(folder: Path, result: CommandResult, message: str) -> None:
    assert result.exit_code == 2, result.output
    assert re.fullmatch(rf"avatar-optuna \w+: {message}\n", result.stderr)
    assert {path.name for path in folder.iterdir()} == {"data", "study.toml"}


@pytest.mark.parametrize("command", ["run", "create"])
def test_a_space_with_fewer_configurations_than_samples_is_refused(folder: Path, command: str) -> None:
    """The space of the study file, but with one value of each hyperparameter, and two of the batch size."""
    _replace(
        folder,
        (r"\{ low = 200, high = 400 \}", "[200]"),
        (r"\[8, 16\]", "[8]"),
        (r"\{ low = 16, high = 32 \}", "[16]"),
        (r"\[1, 2\]", "[1]"),
        (r"\[48, 64\]", '[48]\ntokenizer = ["BPE"]\nhidden_act = ["relu"]\nposition_embedding_type = ["absolute"]'),
        (r"(hidden_dropout_prob = )\[0.0, 0.1\]", r"\1[0.0]"),
        (r"(attention_probs_dropout_prob = )\[0.0, 0.1\]", r"\1[0.0]"),
        (r"\[1e-2, 3e-3\]", "[1e-2]"),
    )
    message = "indicator.samples must be at most the feasible configurations of the space, of which 2 were found, got 5"
    _assert_is_refused(folder, run_command(folder, command, "study.toml"), message)


def test_edits_of_a_language_that_has_none_are_refused(folder: Path) -> None:
    _replace(folder, (r'data = "data"', 'data = "data"\nlanguage = "go"'), (r"edits = 1", "edits = 3"))
    message = "distillation.edits: functions can be edited in c, cpp, java, python, got 'go'"
    _assert_is_refused(folder, run_command(folder, "run", "study.toml"), message)


@pytest.mark.parametrize("key", ["contrastive_weight", "representation_weight"])
def test_losses_over_vectors_are_refused_where_the_teacher_has_none(folder: Path, key: str) -> None:
    rows = ({"idx": str(number), "func": f"int f(int a) {{ return a + {number}; }}"} for number in range(4))
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    (folder / "data" / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split in ("train", "valid", "test"):
        (folder / "data" / f"{split}.txt").write_text("0\t1\t1\n2\t3\t0\n1\t3\t0\n0\t1\t1\n")
    _replace(
        folder,
        (r"vulnerability-prediction", "clone-detection"),
        (r"\[teacher\].*\n\[space\]", '[teacher]\nsoft_labels = "answers.jsonl"\n[space]'),
        (r"edits = 1", f"{key} = 0.5"),
    )
    message = (
        rf"distillation.{key}: the teacher must be a model that gives vectors of functions in pairs, got "
        r"soft_labels: .*answers.jsonl"
    )
    _assert_is_refused(folder, run_command(folder, "run", "study.toml"), message)


def test_vectors_of_single_functions_are_not_learnt(folder: Path) -> None:
    _replace(folder, (r"edits = 1", "representation_weight = 0.5"))
    message = "distillation.representation_weight needs pairs of functions, the task has single functions"
    _assert_is_refused(folder, run_command(folder, "run", "study.toml"), message)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_is_refused_where_there_is_none(folder: Path) -> None:
    _replace(folder, (r"\[measurement\]", '[measurement]\ndevice = "cuda"'))
    message = "measurement.device must be of this machine, where torch sees 0 GPUs, got 'cuda'"
    _assert_is_refused(folder, run_command(folder, "run", "study.toml", "--devices", "cpu"), message)


def test_run_fails_where_jobs_failed_for_good(finished_study: FinishedStudy, tmp_path: Path) -> None:
    """A job that the study would never queue is refused by its workers, in each of its attempts."""
    shutil.copytree(finished_study.folder, tmp_path, dirs_exist_ok=True)
    _replace(tmp_path, ('data = "data"', f'data = "{finished_study.folder}/data"'))
    study = FinishedStudy(folder=tmp_path).open()
    study.set_attribute(ARTIFACTS, str(tmp_path / "storage/artifacts"))
    trials = study.distilled.get_trials(deepcopy=False)
    student = TRANSFORMER.configure(**trials[0].params)
    foreign = Job(key="front/0/foreign", purpose="front", hyperparameters=student, epochs=99)
    Pool(study.storage, study.name).enqueue([foreign])
    assert run_command(tmp_path, "worker", "--study-name", NAME, "--devices", "cpu", "--once").exit_code == 0
    number = len(trials)
    assert study.distilled.get_trials()[number].state is TrialState.FAIL

    result = run_command(tmp_path, "run", "study.toml", "--workers", "1")
    assert result.exit_code == 1, result.output
    assert result.stderr == (
        f"avatar-optuna run: jobs failed for good: {number}; `avatar-optuna status --study-name {NAME}` says why\n"
    )
    assert f"students of {NAME}" in result.stdout
    status = json.loads(run_command(tmp_path, "status", "--study-name", NAME, "-f", "json").stdout)
    assert [(entry["number"], "must have 1 to 4 epochs" in entry["reason"]) for entry in status["failed"]] == [
        (number, True)
    ]


def test_a_worker_uses_no_other_store_than_its_own(
    finished_study: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the database could else have it remove and make files wherever its user may."""
    shutil.copytree(finished_study.folder, tmp_path, dirs_exist_ok=True)
    study, elsewhere = FinishedStudy(folder=tmp_path).open(), tmp_path / "elsewhere"
    own = str(tmp_path / "storage/artifacts")
    study.set_attribute(ARTIFACTS, str(elsewhere))
    words = ("worker", "--study-name", NAME, "--devices", "cpu", "--once")
    assert run_command(tmp_path, *words, "--artifacts", own).exit_code == 2
    monkeypatch.setenv("AVATAR_ARTIFACTS", own)
    assert run_command(tmp_path, *words).exit_code == 2
    assert not elsewhere.exists()
    study.set_attribute(ARTIFACTS, own)
    assert run_command(tmp_path, *words).exit_code == 0
