"""What an exported student says of source files, however they are written."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from avatar_optuna.decision import Decision
from avatar_optuna.exceptions import InputError
from avatar_optuna.inference import load_student, predict_files
from avatar_optuna.manifest import renew_hashes, store_decision, store_threshold
from avatar_optuna.testing.exports import random_student
from tests.commands import CommandResult, run_command
from tests.exports_tests.alone import hashed_student
from tests.fuzzing import make_sound_folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    make_sound_folder(folder)
    return folder


def test_a_byte_order_mark_does_not_change_an_answer(sound: Path, tmp_path: Path) -> None:
    text = (sound / "function.c").read_bytes()
    (tmp_path / "marked.c").write_bytes(b"\xef\xbb\xbf" + text)
    answers = predict_files(sound / "student", [sound / "function.c", tmp_path / "marked.c"]).inputs
    assert answers[0]["probability"] == answers[1]["probability"]


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "\ud800"])
def test_what_is_no_source_text_is_refused_alike(text: str, sound: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="each function of an input must be"):
        load_student(sound / "student").predict([text])
    (tmp_path / "f.c").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"f\.c: must be"):
        predict_files(sound / "student", [tmp_path / "f.c"])


FUNCTION = "int f(int n) { return n; }"


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A student for C, one for pairs, and source files."""
    shutil.copytree(sound / "student", tmp_path / "student")
    manifest = json.loads((tmp_path / "student/avatar.json").read_text())
    (tmp_path / "student/avatar.json").write_text(json.dumps({**manifest, "language": "c"}))
    random_student(tmp_path / "made", arity=2).files.rename(tmp_path / "pairs")
    for name in ("src/a.c", "src/deep/b.h", "src/deep/notes.txt", "src/.git/c.c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{FUNCTION} // {name}")
    return tmp_path


def _predict(folder: Path, *words: str) -> CommandResult:
    return run_command(folder, "predict", *words)


def _inputs(result: CommandResult) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_gives_the_files_of_the_language_of_the_student(folder: Path) -> None:
    entries = _inputs(_predict(folder, "student", "src", "-f", "jsonl"))
    assert [entry["files"] for entry in entries] == [["src/a.c"], ["src/deep/b.h"]]


def test_a_folder_gives_all_text_files_where_the_language_is_not_known(sound: Path, folder: Path) -> None:
    (folder / "src/program").write_bytes(b"\x7fELF\0\0")
    predictions = predict_files(sound / "student", [folder / "src"])
    assert [Path(entry["files"][0]).name for entry in predictions.inputs] == ["a.c", "b.h", "notes.txt"]
    assert predictions.faults == ()


def test_a_pattern_gives_the_files_that_match(folder: Path) -> None:
    entries = _inputs(_predict(folder, "student", "src/**/*.[th]*", "-f", "jsonl"))
    assert [entry["files"] for entry in entries] == [["src/deep/b.h"], ["src/deep/notes.txt"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "empty: must hold a file (.c, .h), there is none"),
        ("*.nothing", "*.nothing: must match a file, there is none"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_a_name_that_stands_for_no_file_is_refused(name: str, message: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    result = _predict(folder, "student", name)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert message in result.stderr


def test_standard_input_is_a_function(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + (folder / "src/a.c").read_bytes())))
    piped, named = _inputs(_predict(folder, "student", "-", "src/a.c", "-f", "jsonl"))
    assert piped["files"] == ["-"]
    assert piped["probability"] == named["probability"]


def test_one_bad_file_does_not_stop_the_rest(folder: Path) -> None:
    (folder / "src/bad.c").write_bytes(b"\xff\xfe")
    result = _predict(folder, "student", "src", "absent.c")
    assert result.exit_code == 1
    assert [line.split("  ")[-1] for line in result.stdout.splitlines()] == ["src/a.c", "src/deep/b.h"]
    bad, absent, end = result.stderr.splitlines()
    assert bad == "avatar-optuna predict: src/bad.c: must be UTF-8 text"
    assert absent.startswith("avatar-optuna predict: absent.c: cannot be read")
    assert end == "avatar-optuna predict: 2 of 4 inputs could not be read"


def test_rows_of_json_lines_are_inputs(folder: Path) -> None:
    rows = [{"func": FUNCTION}, {"func": " "}, {"code": FUNCTION}, {"func": FUNCTION}]
    (folder / "rows.jsonl").write_text("\n".join([*map(json.dumps, rows[:3]), "", "{", json.dumps(rows[3])]))
    result = _predict(folder, "student", "rows.jsonl", "--jsonl")
    assert result.exit_code == 1
    assert [line.split("  ")[-1] for line in result.stdout.splitlines()] == ["rows.jsonl:1", "rows.jsonl:6"]
    assert "rows.jsonl:2: func must be source text" in result.stderr
    assert "rows.jsonl:3: must be an object with texts under func, func is none" in result.stderr
    assert "rows.jsonl:5: a line must be a JSON object" in result.stderr


def test_rows_of_json_lines_are_pairs_for_a_student_of_pairs(folder: Path) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"func1": "int a;", "func2": "int b;"}) + "\n")
    for name in ("a", "b"):
        (folder / name).write_text(f"int {name};")
    (row,) = _inputs(_predict(folder, "pairs", "rows.jsonl", "--jsonl", "-f", "jsonl"))
    (pair,) = _inputs(_predict(folder, "pairs", "a", "b", "-f", "jsonl"))
    assert row == {**pair, "files": ["rows.jsonl"], "line": 1}
    assert "must be two files for a student of pairs, or --jsonl, got 1" in _predict(folder, "pairs", "a").stderr


def test_the_threshold_decides(folder: Path) -> None:
    (entry,) = _inputs(_predict(folder, "student", "src/a.c", "-f", "jsonl"))
    probability = float(str(entry["probability"]))

    def label(*words: str) -> int:
        said = json.loads(_predict(folder, "student", "src/a.c", "-f", "json", *words).stdout)
        assert said["threshold"] == (float(words[1]) if words else load_student(folder / "student").threshold)
        return int(said["inputs"][0]["label"])

    assert [label("--threshold", str(probability + shift)) for shift in (-0.01, 0.01)] == [1, 0]
    for shift in (-0.01, 0.01):
        store_threshold(folder / "student", probability + shift)
        assert label() == (shift < 0)
    assert _predict(folder, "student", "src/a.c", "--threshold", "nan").exit_code == 2


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_the_temperature_moves_probabilities_and_no_label(folder: Path, runtime: Literal["numpy", "torch"]) -> None:
    """By the logits over the temperature: p / (1 - p) is raised to the power of its inverse."""
    student, texts = folder / "student", ["int f() { return 0; }", "char *g(char *s) { return s + 1; }"]
    answers = []
    for temperature in (1.0, 2.5):
        store_decision(student, Decision(temperature=temperature))
        answers.append(load_student(student, runtime=runtime).predict(texts))
    for plain, scaled in zip(*answers, strict=True):
        odds, others = (answer.probabilities[1] / answer.probabilities[0] for answer in (plain, scaled))
        assert others == pytest.approx(odds ** (1 / 2.5), rel=1e-6)
        assert (scaled.probabilities[1] >= 0.5) == (plain.probabilities[1] >= 0.5)


@pytest.mark.parametrize("value", [0, -1, "warm", None, float("nan"), float("inf")])
def test_a_manifest_with_another_temperature_is_refused_in_one_line(folder: Path, value: object) -> None:
    path = folder / "student/avatar.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "temperature": value}))
    result = _predict(folder, "student", "src/a.c")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "avatar.json: temperature must be a number above 0, got" in result.stderr


def test_long_functions_are_counted(folder: Path) -> None:
    (folder / "src/long.c").write_text("int g() { " + "x = x + 1; " * 100 + "}")
    result = _predict(folder, "student", "src", "-f", "jsonl")
    assert [entry["is_truncated"] for entry in _inputs(result)] == [False, False, True]
    assert result.stderr == (
        "avatar-optuna predict: 1 of 3 functions are longer than the student's window of 48 tokens: "
        "it read their beginning\n"
    )


def test_json_holds_what_the_text_shows(folder: Path) -> None:
    said = json.loads(_predict(folder, "student", "src/a.c", "-f", "json").stdout)
    (entry,) = said["inputs"]
    line = f"{entry['label']} {entry['label_name']}  {entry['probability']:.3f}  src/a.c\n"
    assert _predict(folder, "student", "src/a.c").stdout == line
    assert _predict(folder, "student", "src/a.c", "-f", "table").stdout == line  # its name before


@pytest.mark.parametrize("arity", [1, 2])
def test_numpy_is_the_default_and_gives_the_answers_of_torch(arity: int, tmp_path: Path) -> None:
    for student in (None, hashed_student(precision="int4")):
        made = random_student(tmp_path / str(student), arity=arity, hyperparameters=student)
        inputs = [(f"{FUNCTION} // {place}", "int a;")[:arity] for place in range(5)]
        answers = [load_student(made.files, runtime=runtime).predict(inputs) for runtime in ("auto", "numpy", "torch")]
        assert answers[0] == answers[1]
        for ours, theirs in zip(answers[0], answers[2], strict=True):
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)


def test_predict_loads_neither_torch_nor_optuna(folder: Path) -> None:
    code = (
        "import sys; from avatar_optuna.cli import main; main(['predict', 'student', 'src/a.c']);"
        "print({'torch', 'transformers', 'optuna', 'sqlalchemy', 'sklearn', 'scipy', 'z3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_what_numpy_cannot_run_is_left_to_torch(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / "student", tmp_path / "student")
    config = json.loads((tmp_path / "student/config.json").read_text())
    (tmp_path / "student/config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(InputError, match=r"config\.json must have the SHA-256"):
        load_student(tmp_path / "student")
    renew_hashes(tmp_path / "student")
    with pytest.raises(InputError, match=r"model\.safetensors must hold the student that config\.json describes"):
        load_student(tmp_path / "student")
    with pytest.raises(InputError, match="the runtime numpy must know the student's family and files"):
        load_student(tmp_path / "student", runtime="numpy")
