"""A study whose effectiveness is another metric than balanced accuracy, on data with groups and fixes, to its end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.commands import run_command
from tests.finished_study import NAME, FinishedStudy, write_study

_CHANGES = {
    "epochs = 6": "epochs = 2",
    "samples = 5\nepochs = 2": "samples = 4\nepochs = 2",
    "n_trials = 60\npopulation_size = 20\nrounds = 2": "n_trials = 20\npopulation_size = 10",
    "[distillation]\nepochs = 4\nstudents = 2": "[distillation]\nepochs = 2\nstudents = 2",
}


def _write(folder: Path, task: str, measurement: str) -> None:
    write_study(folder)
    for path in (folder / "data").iterdir():
        rows = [json.loads(row) for row in path.read_text().splitlines()]
        for place, row in enumerate(rows):
            row |= {"cwe": f"CWE-{place // 2 % 3} | x", "fix": place // 2}
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (folder / "study.toml").read_text()
    for before, after in {
        **_CHANGES,
        'data = "data"': f'data = "data"\n{task}',
        "[measurement]": f"[measurement]\n{measurement}",
    }.items():
        assert before in text
        text = text.replace(before, after)
    (folder / "study.toml").write_text(text)


@pytest.mark.parametrize(
    ("metric", "needs"),
    [
        ("ordered_pairs", r"functions before and after a fix \(task.pair names the field that says which\)"),
        ("map_at_r", r"pairs of functions of groups \(task.group names the field that says which\)"),
    ],
)
def test_a_metric_that_the_data_says_nothing_of_is_refused(tmp_path: Path, metric: str, needs: str) -> None:
    _write(tmp_path, 'group = "cwe"', f'effectiveness = "{metric}"')
    result = run_command(tmp_path, "run", "study.toml")
    assert result.exit_code == 2, result.output
    rule = f"measurement.effectiveness: {metric} needs {needs} in the validation split, it has none"
    assert re.fullmatch(rf"avatar-optuna run: {rule}\n", result.stderr)
    assert not (tmp_path / "storage/studies.db").exists()


@pytest.mark.slow
def test_a_study_maximises_the_fixes_that_are_told_apart(tmp_path: Path) -> None:
    _write(tmp_path, 'group = "cwe"\npair = "fix"', 'effectiveness = "ordered_pairs"')
    result = run_command(tmp_path, "run", "study.toml", "--workers", "1")
    assert result.exit_code == 0, result.output
    study = FinishedStudy(folder=tmp_path)
    front = json.loads(study.command("front", "--study-name", NAME, "-f", "json"))
    for figures in (front["teacher"], front["baseline"], *front["students"]):
        for split in ("valid", "test"):
            assert figures[split]["fixes"] == 15
            low, high = figures[split]["ordered_pairs_interval"]
            assert low <= figures[split]["ordered_pairs"] <= high
            assert {name: own["inputs"] for name, own in figures[split]["by_group"].items()} == {
                f"CWE-{place} | x": 10 for place in range(3)
            }
    for student in front["students"]:
        assert student["effectiveness"] == student["valid"]["ordered_pairs"]
        curve = [entry["valid"]["ordered_pairs"] for entry in _history(study, student["job"])]
        assert max(curve) == pytest.approx(student["effectiveness"])
    table = study.command("front", "--study-name", NAME, "--metrics")
    assert all(title in table for title in ("fixes in order", "MCC", "TF-IDF", "on test, which is only reported"))
    study.command("report", "--study-name", NAME, "--out", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "fixes in order by group, on test" in page.lower()
    study.command("export", "--study-name", NAME, "--student", str(front["students"][0]["job"]), "--out", "student")
    card = (tmp_path / "student/README.md").read_text()
    assert re.search(r"\| fixes in order \| \d+\.\d % \(\d+\.\d to \d+\.\d\) \| \d+\.\d %", card)
    assert "| CWE-0 \\| x |" in card


def _history(study: FinishedStudy, job: int) -> list[dict[str, dict[str, float]]]:
    trial = study.open().distilled.get_trials(deepcopy=False)[job]
    history: list[dict[str, dict[str, float]]] = trial.user_attrs["history"]
    return history
