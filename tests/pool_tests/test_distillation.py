"""The real job on imbalanced data: temperature and threshold are chosen on validation, stored, and used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import f1_score, recall_score

from avatar_optuna.distillation import Classifier, Teacher
from avatar_optuna.inference import load_student
from avatar_optuna.manifest import read_manifest
from avatar_optuna.measurement import measure_answers
from avatar_optuna.metrics import Answers
from avatar_optuna.pool import ExecutorSettings, JobContext, JobOutcome, Slot
from avatar_optuna.pool._distillation import Distiller
from avatar_optuna.schema import Job, JobResult
from avatar_optuna.settings import load_study_file
from avatar_optuna.storage import open_storage
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.study import create_study
from avatar_optuna.tasks import Task
from tests.commands import run_command

HYPERPARAMETERS = HASHED.configure(
    grams="tokens",
    buckets=256,
    width=8,
    pooling="mean",
    num_hidden_layers=0,
    intermediate_size=8,
    hidden_dropout_prob=0.0,
    max_sequence_length=128,
    learning_rate=0.01,
    batch_size=32,
)
_STUDY = """
name = "rare"
[task]
kind = "vulnerability-prediction"
data = "data"
[teacher]
soft_labels = "answers"
[space]
family = "hashed"
[distillation]
epochs = 3
hard_label_weight = 0.5
class_weights = "none"
threshold = "THRESHOLD"
[measurement]
effectiveness = "f1"
repeats = 5
audit = false
"""


def write_study(folder: Path, *, threshold: str = "f1") -> None:
    """Functions of which one in eight is vulnerable; a word says so, that one in eight of the others has too.

    Of validation, each vulnerable function is there once more as a safe one: no threshold has a precision above 0.5.
    """
    rng = np.random.default_rng(0)
    for name in ("data", "answers"):
        (folder / name).mkdir(parents=True)
    for split, count in (("train", 160), ("valid", 80), ("test", 80)):
        rows, answers = [], []
        for index in range(count):
            if split != "valid" or index % 8 != 1:
                call = "gets(s);" if index % 8 == 0 or rng.random() < 0.125 else "fgets(s, 8, stdin);"
                text = f"void {split}{index}(char *s) {{ int a = {rng.integers(99)}; {call} }}"
                score = 4 * (call == "gets(s);") - 3 + rng.normal()
            rows.append(json.dumps({"func": text, "target": int(index % 8 == 0)}) + "\n")
            answers.append(json.dumps({"logits": [0.0, float(score)]}) + "\n")
        (folder / "data" / f"{split}.jsonl").write_text("".join(rows))
        (folder / "answers" / f"soft_labels_{split}.jsonl").write_text("".join(answers))
    (folder / "study.toml").write_text(_STUDY.replace("THRESHOLD", threshold))


def _distilled(folder: Path, threshold: str) -> tuple[JobOutcome, Task, Teacher]:
    write_study(folder, threshold=threshold)
    settings, storage = load_study_file(folder / "study.toml"), open_storage(f"sqlite:///{folder}/studies.db")
    create_study(settings, storage, artifacts=str(folder / "artifacts"))
    slot = Slot(name="cpu", device="cpu", threads=1)
    distiller = Distiller(ExecutorSettings(storage=storage, study_name="rare", cache_dir=folder / "cache", slot=slot))
    context: Any = JobContext(
        number=0,
        attempt=1,
        slot=slot,
        folder=folder / "job",
        checkpoints=None,  # type: ignore[arg-type]  # each epoch is kept in the folder alone
        report=lambda epoch, reached=None: None,
    )
    job = Job(key="front/0/0", purpose="front", hyperparameters=HYPERPARAMETERS, epochs=3)
    outcome = distiller(job, context)
    return outcome, *distiller._task_and_teacher()


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> tuple[JobOutcome, Task, Teacher]:
    return _distilled(tmp_path_factory.mktemp("rare"), "f1")


def test_what_is_stored_is_what_predict_says(distilled: tuple[JobOutcome, Task, Teacher]) -> None:
    outcome, task, _ = distilled
    assert outcome.directory is not None
    student, decision, manifest = (
        load_student(outcome.directory),
        outcome.result.decision,
        read_manifest(outcome.directory),
    )
    assert decision is not None
    assert (manifest["threshold"], manifest["temperature"]) == (decision.threshold, decision.temperature)
    for name, figures in (("valid", outcome.result.valid), ("test", outcome.result.test)):
        split = task.splits[name]
        answers = student.predict([split.functions[place] for place in split.inputs[:, 0]])
        labels, probabilities = [a.label for a in answers], np.asarray([a.probabilities[1] for a in answers])
        assert figures["f1"] == pytest.approx(f1_score(split.labels, labels))
        assert figures["recall"] == pytest.approx(recall_score(split.labels, labels))
        if name == "valid":
            best = max(f1_score(split.labels, probabilities >= threshold) for threshold in probabilities)
            assert figures["f1"] == pytest.approx(best)
            assert outcome.result.effectiveness == figures["f1"]
            assert outcome.result.history[outcome.result.best_epoch - 1]["valid"]["f1"] == pytest.approx(best)


def test_the_temperature_is_the_likeliest_on_validation(distilled: tuple[JobOutcome, Task, Teacher]) -> None:
    outcome, task, _ = distilled
    assert outcome.directory is not None
    logits = Classifier.load(outcome.directory).predict_logits(task.valid.functions, task.valid.inputs)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(scaled)), task.valid.labels].mean())

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-10})
    assert outcome.result.decision is not None
    assert outcome.result.decision.temperature == pytest.approx(float(np.exp(best.x)), rel=1e-3)


def test_its_fidelity_is_that_of_the_answers(distilled: tuple[JobOutcome, Task, Teacher]) -> None:
    outcome, task, teacher = distilled
    assert outcome.directory is not None
    assert outcome.result.decision is not None
    decision = outcome.result.decision
    known = Answers(split=task.test, logits=teacher.logits("test"), decision=decision)
    classifier = Classifier.load(outcome.directory)
    found = measure_answers(classifier, decision, task, "accuracy", others={"teacher": {"test": known}}).fidelity
    assert found is not None
    answers = load_student(outcome.directory).predict([task.test.functions[row] for row in task.test.inputs[:, 0]])
    margins = teacher.logits("test")[:, 1] / outcome.result.decision.temperature
    others = 1 / (1 + np.exp(-margins.astype(np.float64)))
    distances = [abs(answer.probabilities[1] - other) for answer, other in zip(answers, others, strict=True)]
    labels = np.asarray([answer.label for answer in answers]) == (others >= outcome.result.decision.threshold)
    assert found.total_variation == pytest.approx(np.mean(distances), abs=1e-6)
    assert found.agreement == pytest.approx(labels.mean())


def test_a_result_is_read_back_with_its_decision(distilled: tuple[JobOutcome, Task, Teacher]) -> None:
    result = distilled[0].result
    assert JobResult.from_dict(json.loads(json.dumps(result.to_dict()))).decision == result.decision
    earlier = {name: value for name, value in result.to_dict().items() if name != "decision"}
    assert JobResult.from_dict(earlier).decision is None


def test_the_parts_of_a_job_take_its_time(distilled: tuple[JobOutcome, Task, Teacher]) -> None:
    result = distilled[0].result
    assert set(result.parts_seconds) == {"preparation", "training", "measurement"}
    assert result.parts_seconds["training"] >= sum(record["seconds"] for record in result.history)
    accounted = result.loading_seconds + sum(result.parts_seconds.values())
    assert 0.8 * result.seconds <= accounted <= result.seconds
    earlier = {name: value for name, value in result.to_dict().items() if name != "parts_seconds"}
    assert JobResult.from_dict(earlier).parts_seconds == {}


def test_a_student_that_misses_its_aim_says_what_it_reaches(tmp_path: Path) -> None:
    outcome = _distilled(tmp_path, "precision >= 0.9")[0]
    decision = outcome.result.decision
    assert decision is not None
    assert decision.missed is not None
    assert decision.missed.startswith("precision >= 0.9 cannot be reached on validation: the highest precision is 0.")
    assert f"{outcome.result.valid['precision']:.3f}" in decision.missed


@pytest.mark.parametrize("command", ["run", "teacher"])
def test_a_teacher_that_cannot_reach_the_aim_is_refused(tmp_path: Path, command: str) -> None:
    write_study(tmp_path, threshold="precision >= 0.9")
    result = run_command(tmp_path, command, "study.toml")
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"avatar-optuna {command}: distillation.threshold: precision >= 0.9 cannot be reached on ")
    assert line.endswith(f"by the teacher soft_labels: {tmp_path / 'answers'}")
