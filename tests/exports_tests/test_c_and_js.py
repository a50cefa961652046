"""Hashed students in C and JavaScript: against Python, on a thousand functions."""

from __future__ import annotations

import functools
import json
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.distillation import Classifier
from avatar_optuna.exceptions import InputError
from avatar_optuna.exports.c import FORMAT as C
from avatar_optuna.exports.js import FORMAT as JS
from avatar_optuna.inference import load_student
from avatar_optuna.manifest import store_threshold
from avatar_optuna.students import Configuration
from avatar_optuna.testing.exports import FUNCTIONS, TEMPERATURE, check_export_format, random_student
from tests.exports_tests.alone import hashed_student, transformer_student

STUDENTS = [
    hashed_student(grams="tokens", precision="float32"),
    hashed_student(grams="token-bigrams", precision="int4", width=35),
    hashed_student(grams="token-trigrams", precision="int8", pooling="mean"),
    hashed_student(grams="byte-trigrams", precision="float16", num_hidden_layers=0),
    hashed_student(grams="byte-4-grams", precision="int4", pooling="mean"),
    hashed_student(grams="byte-5-grams", precision="int8"),
]
THRESHOLD = 0.6
_BENCH = """
#include <stdio.h>
#include "student.h"
int main(void) {
    static float vectors[STUDENT_ARITY][STUDENT_SIZE];
    double probabilities[STUDENT_LABELS];
    unsigned length;
    int place = 0;
    while (scanf("%u", &length) == 1) {
        char *text = (char *)malloc(length + 1);
        if (getchar() != '\\n' || fread(text, 1, length, stdin) != length) return 1;
        int cut = student_encode(text, length, vectors[place]);
        free(text);
        printf("%d", cut);
        for (int k = 0; k < STUDENT_SIZE; k++) printf(" %.9g", vectors[place][k]);
        if (++place == STUDENT_ARITY) {
            place = 0;
            student_classify(vectors, probabilities);
            for (int k = 0; k < STUDENT_LABELS; k++) printf(" %.9g", probabilities[k]);
            printf(" %d", student_label(probabilities));
        }
        printf("\\n");
    }
    return 0;
}
"""


@functools.cache
def texts() -> tuple[str, ...]:
    """A thousand texts: functions of Python's standard library in part, random characters of all planes in part."""
    draw = random.Random(5)
    sources = [Path(module).read_text(encoding="utf-8") for module in (json.__file__, random.__file__, shutil.__file__)]
    pieces = [part for source in sources for part in source.split("\n    def ") if part.strip()]
    characters = "ab_9 ;(\t\n\r\x0b\x0c\x00\x1c\x7f\x85\xa0éßд日\u2028\ufeff\uffff\U0001f600\U0010ffff{}"
    while len(pieces) < 1000:
        pieces.append("".join(draw.choices(characters, k=draw.randint(0, 60))))
    return tuple(pieces[:1000])


def _exported(folder: Path, export_format: Any, student: Configuration, arity: int = 1) -> tuple[Path, Path]:
    made = random_student(folder, arity=arity, hyperparameters=student)
    store_threshold(made.files, THRESHOLD)
    out = folder / "out"
    out.mkdir()
    export_format.write(made, out)
    return out, made.files


def _compiled(directory: Path, source: Path, compiler: str = "gcc", *flags: str) -> Path:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} on this machine")
    program = directory / f"{source.stem}-{compiler}"
    checks = ("-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover")
    language = ("-std=c99",) if compiler == "gcc" else ("-x", "c++", "-std=c++11")
    command = [compiler, *language, *checks, *flags, "-I", directory, source, "-lm", "-o", program]
    subprocess.run([str(word) for word in command], check=True)
    return program


def _run_c(directory: Path, functions: Sequence[str]) -> list[list[float]]:
    (directory / "bench.c").write_text(_BENCH)
    program = _compiled(directory, directory / "bench.c")
    data = b"".join(b"%d\n%s" % (len(text.encode()), text.encode()) for text in functions)
    done = subprocess.run([str(program)], input=data, capture_output=True, check=True)
    return [[float(word) for word in line.split()] for line in done.stdout.decode().splitlines()]


def _run_js(directory: Path, code: str, given: Any) -> Any:
    if shutil.which("node") is None:
        pytest.skip("no node on this machine")
    program = directory / "check.mjs"
    head = 'import * as student from "./student.js";\nimport { readFileSync } from "node:fs";\n'
    program.write_text(head + "const given = JSON.parse(readFileSync(0));\n" + f"console.log(JSON.stringify({code}));")
    done = subprocess.run(["node", str(program)], input=json.dumps(given), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("student", STUDENTS, ids=repr)
def test_c_gives_the_answers_of_python_on_a_thousand_functions(student: Configuration, tmp_path: Path) -> None:
    out, files = _exported(tmp_path, C, student)
    rows = np.asarray(_run_c(out, texts()))
    python = Classifier.load(files)
    vectors = python.encode(texts())
    np.testing.assert_allclose(rows[:, 1:-3], vectors, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(rows[:, 0], python.is_truncated(texts()))
    logits = python.predict_logits(texts(), np.arange(1000)[:, None]).astype(np.float64) / TEMPERATURE
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(rows[:, -3:-1], expected, atol=1e-5)
    np.testing.assert_array_equal(rows[:, -1], rows[:, -2] >= THRESHOLD)
    assert 0.01 < python.is_truncated(texts()).mean() < 0.99


@pytest.mark.parametrize("student", STUDENTS, ids=repr)
def test_javascript_gives_the_answers_of_python_on_a_thousand_functions(student: Configuration, tmp_path: Path) -> None:
    out, files = _exported(tmp_path, JS, student)
    code = (
        "[given.map((text) => Array.from(student.encode(text))), given.map(student.isTruncated), "
        "student.predict(given), student.predict(given).map(student.label)]"
    )
    vectors, cut, probabilities, labels = _run_js(out, code, texts())
    python = Classifier.load(files)
    np.testing.assert_allclose(vectors, python.encode(texts()), rtol=1e-5, atol=1e-5)
    assert cut == python.is_truncated(texts()).tolist()
    logits = python.predict_logits(texts(), np.arange(1000)[:, None]).astype(np.float64) / TEMPERATURE
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert labels == (np.asarray(probabilities)[:, 1] >= THRESHOLD).tolist()


def test_half_of_a_surrogate_pair_is_a_question_mark(tmp_path: Path) -> None:
    out, _ = _exported(tmp_path, JS, STUDENTS[0])
    code = r'["a\ud800b", "\udc00\ud800", "\ud83d\ude00"].map((text) => Array.from(student.encode(text)))'
    expected = '["a?b", "??", "\U0001f600"].map((text) => Array.from(student.encode(text)))'
    assert _run_js(out, code, None) == _run_js(out, expected, None)


def _c_answers(directory: Path, inputs: Sequence[tuple[str, ...]]) -> npt.ArrayLike:
    rows = _run_c(directory, [text for row in inputs for text in row])
    return [row[-3:-1] for row in rows[len(inputs[0]) - 1 :: len(inputs[0])]]


def _js_answers(directory: Path, inputs: Sequence[tuple[str, ...]]) -> npt.ArrayLike:
    answers: npt.ArrayLike = _run_js(directory, "student.predict(given)", [list(row) for row in inputs])
    return answers


def test_they_keep_the_contract_of_formats(tmp_path: Path) -> None:
    for export_format, answers in ((C, _c_answers), (JS, _js_answers)):
        folder = tmp_path / export_format.name
        folder.mkdir()
        check_export_format(export_format, answers, folder, hyperparameters=STUDENTS[1])


def test_its_program_in_c_and_in_cpp(tmp_path: Path) -> None:
    out, files = _exported(tmp_path, C, STUDENTS[1], arity=2)
    (tmp_path / "a.c").write_bytes(b"\xef\xbb\xbf" + FUNCTIONS[3].encode())
    (tmp_path / "b.c").write_text(FUNCTIONS[1])
    answer = load_student(files).predict([(FUNCTIONS[3], FUNCTIONS[1])])[0]
    for compiler in ("gcc", "g++"):
        program = _compiled(out, out / "predict.c", compiler)
        done = subprocess.run([program, "a.c", "b.c"], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout == f"{answer.label} {answer.label_name}  {answer.probabilities[1]:.3f}  a.c b.c\n"
        assert done.stderr == "of 2 of 2 functions only the first 20 n-grams were read\n"
        absent = subprocess.run([program, "a.c", "absent"], cwd=tmp_path, capture_output=True, text=True)
        assert (absent.returncode, absent.stderr) == (2, "absent: cannot be read\n")


@pytest.mark.parametrize("arity", [1, 2])
def test_the_examples_of_their_cards_run(arity: int, tmp_path: Path) -> None:
    for export_format, mark in ((C, "```c\n"), (JS, "```js\n")):
        out, _ = _exported(tmp_path / mark.strip("`\n"), export_format, STUDENTS[1], arity)
        (code,) = [part.split("```")[0] for part in (out / "README.md").read_text().split(mark)[1:]]
        if export_format is C:
            (out / "example.c").write_text(code)
            command = [str(_compiled(out, out / "example.c"))]
        else:
            (out / "example.js").write_text(code)
            command = ["node", str(out / "example.js")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] in ("no", "yes")


def test_names_may_hold_anything(tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=1, hyperparameters=STUDENTS[0])
    names = ['*/ "??/ \\', "</script> é \n"]
    manifest = json.loads((made.files / "avatar.json").read_text())
    (made.files / "avatar.json").write_text(json.dumps({**manifest, "label_names": names}))
    for export_format in (C, JS):
        (tmp_path / export_format.name).mkdir()
        export_format.write(made, tmp_path / export_format.name)
    assert _run_js(tmp_path / "js", "student.labelNames", None) == names
    assert "</script> é" not in (tmp_path / "js/index.html").read_text()
    (tmp_path / "c/names.c").write_text(
        '#include <stdio.h>\n#include "student.h"\n'
        'int main(void) { printf("%s|%s", student_label_names[0], student_label_names[1]); return 0; }'
    )
    done = subprocess.run([_compiled(tmp_path / "c", tmp_path / "c/names.c")], capture_output=True, check=True)
    assert done.stdout.decode() == "|".join(names)


@pytest.mark.parametrize("export_format", [C, JS])
def test_a_student_with_a_tokenizer_is_refused(export_format: Any, tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=1, hyperparameters=transformer_student())
    with pytest.raises(InputError, match="is for students of the family hashed, which need no tokenizer, this one is"):
        export_format.write(made, tmp_path)
