"""`avatar-optuna scan` on small folders, by students whose answers are known."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from avatar_optuna.inference import load_student
from tests.commands import CommandResult, run_command
from tests.scan_tests.students import clone_student, suspicious_student

SUM = """def total(values, start):
    result = start
    for value in values:
        if value is not None:
            result = result + value
    return result
"""
READ = """def read(path, encoding):
    with open(path, encoding=encoding) as stream:
        lines = stream.readlines()
    kept = [line.strip() for line in lines if line]
    return "\\n".join(kept), len(kept)
"""
WALK = """def walk(node, depth):
    waiting = [(node, depth)]
    while waiting:
        current, level = waiting.pop()
        yield current, level
        waiting.extend((child, level + 1) for child in current.children)
"""
SMALL = ("--min-lines", "3", "--min-tokens", "10")


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("students")
    clone_student(folder).rename(folder / "clones")
    suspicious_student(folder).rename(folder / "suspicious")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A function, its copy with another docstring in a class, its clone, and two others."""
    copied = SUM.replace("start):\n", 'start):\n    """Add."""\n').replace("\n    ", "\n        ")
    (tmp_path / "code/deep").mkdir(parents=True)
    (tmp_path / "code/a.py").write_text(f"# A sum.\n\n{SUM}\n{READ}")
    (tmp_path / "code/deep/b.py").write_text(f"class Sums:\n    {copied}")
    (tmp_path / "code/deep/c.py").write_text(f"{WALK}\n\n{SUM.replace('result', 'summed')}")
    return tmp_path


def _scan(students: Path, folder: Path, *words: str, student: str = "clones") -> CommandResult:
    return run_command(folder, "scan", str(students / student), "code", *SMALL, "--jobs", "1", *words)


def _json(students: Path, folder: Path, *words: str, student: str = "clones") -> dict[str, Any]:
    result = _scan(students, folder, "-f", "json", *words, student=student)
    assert result.exit_code == 0, result.stderr
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def _places(finding: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((place["file"], place["line"]) for place in finding["functions"])


CLONES = ("--threshold", "0.5")


def test_a_clone_and_a_copy_join_one_group(students: Path, folder: Path) -> None:
    report = _json(students, folder, *CLONES)
    (finding,) = report["findings"]
    assert (finding["kind"], finding["label"]) == ("clones", "clone")
    assert _places(finding) == [("a.py", 3), ("deep/b.py", 2), ("deep/c.py", 9)]
    assert [place["name"] for place in finding["functions"]] == ["total", "Sums.total", "total"]
    assert (report["functions"], report["files"], report["compared"]) == (5, 3, 6)
    student = load_student(students / "clones")
    pair = (SUM, SUM.replace("result", "summed"))
    assert finding["probability"] == pytest.approx(student.predict([pair])[0].probabilities[1], abs=1e-5)


def test_a_high_threshold_leaves_the_copy(students: Path, folder: Path) -> None:
    (finding,) = _json(students, folder, "--threshold", "0.99")["findings"]
    assert (finding["kind"], finding["probability"]) == ("copies", 1.0)
    assert _places(finding) == [("a.py", 3), ("deep/b.py", 2)]


def test_the_table_says_what_was_found_and_scanned(students: Path, folder: Path) -> None:
    lines = _scan(students, folder, *CLONES).stdout.splitlines()
    (finding,) = _json(students, folder, *CLONES)["findings"]
    odds = math.log(finding["probability"] / (1 - finding["probability"]))
    assert lines[0].startswith(f"1  clone: 3 functions, margin {odds:.1f} or more")
    assert lines[1].split() == ["a.py:3", "total"]
    assert lines[4] == "1 finding in 5 functions of 3 files (Python)"
    assert lines[5] == "threshold: a margin of 0.00 (asked for)"
    assert lines[6] == "student: learnt from functions in python, for the task clone-detection"


def test_a_limit_shortens_the_table_alone(students: Path, folder: Path) -> None:
    (folder / "code/d.py").write_text(f"{READ}\n{WALK}")
    words = ("--threshold", "0.99")
    assert "and 2 more; --limit 0 shows all" in _scan(students, folder, *words, "--limit", "1").stdout
    assert len(_json(students, folder, *words, "--limit", "1")["findings"]) == 3


def test_a_function_is_no_clone_of_one_that_holds_it(students: Path, folder: Path) -> None:
    for path in (folder / "code").rglob("*.py"):
        path.unlink()
    indented = SUM.replace("\n", "\n    ").rstrip()
    (folder / "code/a.py").write_text(f"def outer(values, start):\n    {indented}\n    return total(values, start)\n")
    report = _json(students, folder, "--threshold", "0.01")
    assert (report["functions"], report["findings"]) == (2, [])


# Exit codes and baselines


def test_findings_fail_only_where_they_are_to(students: Path, folder: Path) -> None:
    assert _scan(students, folder, *CLONES).exit_code == 0
    failed = _scan(students, folder, *CLONES, "--fail-on-findings")
    assert failed.exit_code == 1
    assert failed.stderr == "avatar-optuna scan: there must be no findings with --fail-on-findings, there are 1\n"
    assert failed.stdout == _scan(students, folder, *CLONES).stdout
    assert _scan(students, folder, "--threshold", "0.999", "--fail-on-findings", "--exclude", "deep").exit_code == 0


def test_only_new_findings_fail_beside_a_baseline(students: Path, folder: Path) -> None:
    assert _scan(students, folder, *CLONES, "-f", "json", "--out", "known.json").stdout == ""
    words = ("--baseline", "known.json", "--fail-on-findings")
    known = _scan(students, folder, *words)
    assert (known.exit_code, known.stdout.splitlines()[:2]) == (
        0,
        [
            "1 finding, 0 of them new in 5 functions of 3 files (Python)",
            "threshold: a margin of 0.00 (the baseline's)",
        ],
    )
    (folder / "code/a.py").rename(folder / "code/moved.py")  # known by what it says
    assert _scan(students, folder, *words).exit_code == 0
    (folder / "code/d.py").write_text(SUM.replace("total", "added").replace("result", "summed"))
    failed = _scan(students, folder, *words)
    assert failed.exit_code == 1
    assert "there must be no new findings with --fail-on-findings, there are 1" in failed.stderr
    assert [line for line in failed.stdout.splitlines() if ".py:" in line and "(known)" not in line] == [
        line for line in failed.stdout.splitlines() if "d.py:1" in line
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"findings": [{}]}', '{"findings": 1, "student": {}}'])
def test_a_baseline_that_is_none_is_refused(text: str, students: Path, folder: Path) -> None:
    (folder / "known.json").write_text(text)
    result = _scan(students, folder, "--baseline", "known.json")
    assert (result.exit_code, len(result.stderr.splitlines()), result.stdout) == (2, 1, "")
    assert "known.json: must be" in result.stderr


def test_another_student_s_baseline_is_warned_of(students: Path, folder: Path) -> None:
    baseline = _json(students, folder, *CLONES)
    baseline["student"]["digest"] = "0"
    (folder / "known.json").write_text(json.dumps(baseline))
    result = _scan(students, folder, "--baseline", "known.json")
    assert "the baseline was written with another student" in result.stderr


# What is read


def test_bad_files_are_counted_and_do_not_stop_the_rest(students: Path, folder: Path) -> None:
    (folder / "code/binary.py").write_bytes(b"\x7fELF\0\0")
    (folder / "code/huge.py").write_bytes(b"a = 1\n" * 200_000)
    (folder / "code/signs.py").write_bytes(b"a = 1\n" + b"(" * 300_000)
    (folder / "code/latin.py").write_bytes(f"# \xff\n{READ}".encode("latin-1"))
    (folder / "code/wrong.py").write_text(f"def f(:\n\n{WALK}\n)))")
    report = _json(students, folder, "--threshold", "0.99")
    assert report["skipped"] == {
        "binary": 1,
        "larger than the limit": 1,
        "no code: signs without a word": 1,
    }
    assert [_places(finding) for finding in report["findings"]] == [
        [("a.py", 3), ("deep/b.py", 2)],
        [("deep/c.py", 1), ("wrong.py", 3)],
        [("a.py", 10), ("latin.py", 2)],
    ]


def test_small_functions_are_left_out_and_counted(students: Path, folder: Path) -> None:
    report = _json(students, folder, "--min-lines", "7")
    assert (report["functions"], report["small"], report["findings"]) == (0, 5, [])


def test_several_processes_find_what_one_does(students: Path, folder: Path) -> None:
    for number in range(70):
        (folder / f"code/f{number}.py").write_text(READ.replace("lines", f"lines{number}"))
    one = _json(students, folder, *CLONES)
    two = _json(students, folder, *CLONES, "--jobs", "2")
    assert one == two
    assert one["functions"] == 75


# Languages


def test_another_language_is_warned_of(students: Path, folder: Path) -> None:
    (folder / "code/a.js").write_text("const f = (a) => {\n  let b = a;\n  b = b + 1;\n  return b * a;\n};\n")
    result = _scan(students, folder, "--language", "javascript")
    assert result.exit_code == 0
    assert result.stderr == ("avatar-optuna scan: the student learnt from functions in python, scanned: JavaScript\n")
    assert "0 findings in 1 functions of 1 files (JavaScript)" in result.stdout
    assert _scan(students, folder).stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--language", "cobol"), "the language must be one of c, cpp, java, javascript, python, got 'cobol'"),
        (("--language", "java"), "FOLDER must hold a file (.java), got 'code', which holds none"),
        (("--baseline", "none.json"), "none.json: cannot be read"),
        (("--out", "none/out.json"), "--out must be in a folder that is there"),
        (("--false-per-1000", "0"), "argument --false-per-1000: must be a number above 0, got '0'"),
        (("--jobs", "0"), "argument --jobs: must be a whole number of at least 1, got '0'"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], message: str, students: Path, folder: Path) -> None:
    result = _scan(students, folder, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr.splitlines()[-1]


def test_a_folder_that_is_none_is_refused(students: Path, folder: Path) -> None:
    result = run_command(folder, "scan", str(students / "clones"), "nowhere")
    assert (result.exit_code, result.stderr) == (
        2,
        "avatar-optuna scan: FOLDER must be a folder, got 'nowhere', which is none\n",
    )


# Single functions


def test_suspicious_functions_are_those_that_predict_labels_so(students: Path, folder: Path) -> None:
    bodies = [f"{{\n  int b = {n};\n  b = b {'+-*/'[n % 4]} a; // note {n}\n  return b;\n}}\n" for n in range(12)]
    texts = [f"int f{n}(int a) {body}" for n, body in enumerate(bodies)]
    (folder / "code/a.c").write_text("\n".join(texts))
    student = load_student(students / "suspicious")
    answers = [answer.probabilities[1] for answer in student.predict([text.rstrip() for text in texts])]
    middle = sorted(answers)[6]
    report = _json(students, folder, "--threshold", str(middle), student="suspicious")
    expected = {f"f{n}": answers[n] for n in range(12) if answers[n] >= middle}
    found = {finding["functions"][0]["name"]: finding["probability"] for finding in report["findings"]}
    assert found == pytest.approx(expected, abs=2e-6)
    assert {finding["kind"] for finding in report["findings"]} == {"suspicious"}
    assert {finding["label"] for finding in report["findings"]} == {"vulnerable"}


# Formats

# The parts of the schema of SARIF 2.1.0 (OASIS) that what we write must have, and the properties that it may.
_MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
_LOCATION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["physicalLocation"],
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "message": _MESSAGE,
        "logicalLocations": {"type": "array", "items": {"type": "object"}},
        "physicalLocation": {
            "type": "object",
            "additionalProperties": False,
            "required": ["artifactLocation", "region"],
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "required": ["uri"],
                    "properties": {
                        "uri": {"type": "string", "pattern": "^[!-~]+$"},
                        "uriBaseId": {"type": "string"},
                    },
                },
                "region": {
                    "type": "object",
                    "required": ["startLine"],
                    "properties": {
                        "startLine": {"type": "integer", "minimum": 1},
                        "endLine": {"type": "integer", "minimum": 1},
                    },
                },
            },
        },
    },
}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_RESULT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["message", "ruleId", "locations"],
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": -1},
        "level": _LEVEL,
        "message": _MESSAGE,
        "locations": {"type": "array", "items": _LOCATION, "minItems": 1},
        "relatedLocations": {"type": "array", "items": _LOCATION, "uniqueItems": True},
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "baselineState": {"enum": ["new", "unchanged", "updated", "absent"]},
        "properties": {"type": "object"},
    },
}
_RULE = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "shortDescription": _MESSAGE,
        "defaultConfiguration": {"type": "object", "properties": {"level": _LEVEL}},
    },
}
_INVOCATION = {
    "type": "object",
    "required": ["executionSuccessful"],
    "properties": {
        "executionSuccessful": {"type": "boolean"},
        "toolExecutionNotifications": {
            "type": "array",
            "items": {"type": "object", "required": ["message"], "properties": {"level": _LEVEL, "message": _MESSAGE}},
        },
    },
}
SARIF = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"enum": ["2.1.0"]},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {"rules": {"type": "array", "items": _RULE, "uniqueItems": True}},
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "invocations": {"type": "array", "items": _INVOCATION},
                    "results": {"type": "array", "items": _RESULT},
                    "properties": {"type": "object"},
                },
            },
        },
    },
}


def test_sarif_follows_its_schema(students: Path, folder: Path) -> None:
    indented = READ.replace("\n", "\n    ")
    (folder / "code/a b.py").write_text(f"class C:\n    {indented}")
    _scan(students, folder, "--threshold", "0.99", "-f", "json", "--out", "known.json", "--exclude", "a b.py")
    sarif = json.loads(_scan(students, folder, "-f", "sarif", "--baseline", "known.json").stdout)
    jsonschema.validate(sarif, SARIF)
    (run,) = sarif["runs"]
    new, known = run["results"]
    assert (new["baselineState"], known["baselineState"]) == ("new", "unchanged")
    assert new["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b.py"
    assert new["locations"][0]["physicalLocation"]["region"] == {"startLine": 2, "endLine": 6}
    assert "[read, a.py:10](1)" in new["message"]["text"]
    assert [run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] for result in (new, known)] == ["copies"] * 2
    jsonschema.validate(json.loads(_scan(students, folder, *CLONES, "-f", "sarif").stdout), SARIF)


def test_the_page_shows_code_escaped_and_loads_nothing(students: Path, folder: Path) -> None:
    nasty = SUM.replace("start\n", "'</pre><script>alert(1)</script>'\n", 1)
    (folder / "code/d.py").write_text(nasty)
    (folder / "code/e.py").write_text(nasty)
    assert _scan(students, folder, "--threshold", "0.99", "-f", "html", "--out", "page.html").exit_code == 0
    page = (folder / "page.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not any(word in page for word in ("<script", "http:", "https:", "src=", "@import"))
    assert "deep/b.py:2 Sums.total" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_scan_loads_neither_torch_nor_optuna(students: Path, folder: Path) -> None:
    code = (
        "import sys; from avatar_optuna.cli import main; main(sys.argv[1:]);"
        "print({'torch', 'transformers', 'optuna', 'sqlalchemy', 'sklearn', 'scipy', 'z3'} & set(sys.modules))"
    )
    words = [str(students / "clones"), "code", *SMALL, *CLONES]
    command = [sys.executable, "-c", code, "scan", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_threshold_is_set_by_what_is_to_be_expected(students: Path, folder: Path) -> None:
    """On this package itself: the fewer false findings are allowed, the higher it is."""
    package = Path(__file__).parents[2] / "avatar_optuna"
    reports = []
    for rate in ("1", "20"):
        words = ("scan", str(students / "clones"), str(package), "-f", "json", "--false-per-1000", rate)
        reports.append(json.loads(run_command(folder, *words, "--jobs", "1").stdout))
    strict, loose = (report["threshold"] for report in reports)
    assert strict["margin"] >= loose["margin"]
    assert strict["expected_false"] == pytest.approx(reports[0]["functions"] / 1000, rel=0.2)
    assert strict["origin"] == "for 1 false finding in 1,000 functions"
