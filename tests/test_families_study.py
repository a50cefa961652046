"""A study of two families and several precisions in real processes: killed, resumed, and its students exported."""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from avatar_optuna.distillation import Classifier
from avatar_optuna.exports import export_student
from avatar_optuna.schema import Job
from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import read_view
from tests.commands import run_command
from tests.finished_study import write_study
from tests.test_run import _command, _process_output

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a study of two families, killed and resumed

NAME = "families"
SPACE = """
[space]
family = ["transformer", "hashed"]
precision = ["float32", "int8", "int4"]
max_sequence_length = [48, 64]
hidden_dropout_prob = 0.0
batch_size = [4, 8]
[space.transformer]
vocab_size = { low = 200, high = 400 }
num_hidden_layers = [1]
hidden_size = [8, 16]
intermediate_size = { low = 16, high = 32 }
num_attention_heads = [1, 2]
attention_probs_dropout_prob = 0.0
learning_rate = [1e-2, 3e-3]
[space.hashed]
buckets = { low = 64, high = 512 }
width = { low = 4, high = 16 }
num_hidden_layers = [0, 1]
intermediate_size = [8, 16]
[constraints]
size_mb = "<= 0.05"
expressions = ["hidden_size % 8 == 0"]
[indicator]
samples = 8
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, whose first run was killed while it distilled samples, and its second at the end."""
    folder = tmp_path_factory.mktemp("families")
    write_study(folder, name=NAME)
    path = folder / "study.toml"
    text = path.read_text().replace("rounds = 2", "rounds = 1").replace("students = 2", "students = 3")
    path.write_text(re.sub(r"\[space\].*samples = 5\n", SPACE.lstrip(), text, flags=re.DOTALL))
    process = _command(folder, "run", "study.toml", "--workers", "1")
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline and not _has_a_sample(folder):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert _has_a_sample(folder)
    _process_output(folder, "run", "study.toml", "--workers", "1")
    return folder


def _study(folder: Path) -> AvatarStudy:
    return AvatarStudy(open_storage(f"sqlite:///{folder}/storage/studies.db", create=False), NAME)


def _has_a_sample(folder: Path) -> bool:
    try:
        return any(trial.state is TrialState.COMPLETE for trial in _study(folder).distilled.get_trials(deepcopy=False))
    except Exception:  # the database or the study is not there yet
        return False


def test_it_ends_with_students_of_both_families(folder: Path) -> None:
    study = _study(folder)
    jobs = [(trial, Job.from_trial(trial)) for trial in study.distilled.get_trials(deepcopy=False)]
    assert {trial.state for trial, _ in jobs} == {TrialState.COMPLETE}
    samples = Counter(job.hyperparameters.family.name for _, job in jobs if job.purpose == "indicator")
    assert samples == {"transformer": 4, "hashed": 4}
    scored = study.search.get_trials(deepcopy=False)
    assert len(scored) >= 60
    assert Counter(trial.params["family"] for trial in scored)["hashed"] >= 25
    for trial in scored:
        assert trial.params.keys() == {
            "family",
            *(k for k in trial.distributions if k.startswith(trial.params["family"])),
        }
    assert run_command(folder, "run", "study.toml").stdout.startswith("all is done")


def test_sizes_are_those_of_the_precision_on_disk(folder: Path) -> None:
    view = read_view(_study(folder).storage, NAME)
    students = (*view.students, *view.indicator_samples)
    assert {student.hyperparameters.precision_on_disk for student in students} >= {"int8", "int4"}
    for student in students:
        assert student.size_bytes <= 50_000
        assert student.result.size_bytes == student.size_bytes


def test_tables_and_report_say_family_and_precision(folder: Path) -> None:
    front = json.loads(run_command(folder, "front", "--study-name", NAME, "-f", "json").stdout)
    rows = (*front["students"], *front["predicted"])
    assert {row["family"] for row in rows} <= {"transformer", "hashed"}
    assert all(row["precision"] in ("float32", "int8", "int4") for row in rows)
    table = run_command(folder, "front", "--study-name", NAME).stdout
    assert re.search(r"student +family +precision +predicted", table)
    csv = run_command(folder, "front", "--study-name", NAME, "-f", "csv").stdout.splitlines()
    assert len(csv) == 1 + len(rows)
    space = run_command(folder, "space", "study.toml").stdout
    assert re.search(r"^hashed\.buckets +64 to 512", space, flags=re.MULTILINE)
    assert run_command(folder, "report", "--study-name", NAME, "--out", "report.html").exit_code == 0
    page = (folder / "report.html").read_text()
    assert "hashed.buckets" in page
    assert "precision: int" in page


def test_a_student_of_each_family_is_exported_and_answers(folder: Path) -> None:
    study = _study(folder)
    task_inputs = ["int a(int n) { char *p = malloc(3); free(p); return 0; }"]
    view = read_view(study.storage, NAME)
    kinds = {student.hyperparameters.family.name for student in view.students}
    if len(kinds) < 2:  # the front is of one family: a further prediction is of the other
        other = ({"transformer", "hashed"} - kinds).pop()
        trial = next(t.number for t in study.search.get_trials(deepcopy=False) if t.params["family"] == other)
        done = run_command(folder, "distil", "--study-name", NAME, "--trial", str(trial), "--workers", "1")
        assert done.exit_code == 0, done.output
        view = read_view(study.storage, NAME)
    for name in ("transformer", "hashed"):
        student = next(s for s in view.students if s.hyperparameters.family.name == name)
        out = folder / f"exported-{name}"
        export_student(study, student.job, out)
        assert (out / "model.safetensors").stat().st_size == student.size_bytes
        card = (out / "README.md").read_text()
        assert f"| family | {name} |" in card
        assert f"bytes on disk in {student.hyperparameters.precision_on_disk}" in card
        classifier = Classifier.load(out)
        assert classifier.encode(task_inputs).shape[0] == 1
