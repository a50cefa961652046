from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avatar_optuna.exceptions import StudyFileError
from avatar_optuna.settings import StudySettings, load_study_file

MINIMAL = """
name = "demo"
[task]
kind = "python-clones"
[teacher]
pretrained = "microsoft/codebert-base"
"""


def _write(path: Path, text: str) -> Path:
    file = path / "study.toml"
    file.write_text(text)
    return file


def test_a_minimal_file_gets_the_papers_space_and_defaults(tmp_path: Path) -> None:
    settings = load_study_file(_write(tmp_path, MINIMAL))
    assert settings.name == "demo"
    assert (settings.teacher.kind, settings.teacher.source) == ("pretrained", "microsoft/codebert-base")
    assert settings.search.objectives == ("effectiveness", "size_bytes", "flops")
    assert settings.space.distributions["vocab_size"].low == 1000  # type: ignore[attr-defined]
    assert settings.constraints == ()


def test_everything_survives_json(tmp_path: Path) -> None:
    text = MINIMAL + (
        "[space]\nvocab_size = {low = 500, high = 4500, step = 500}\nbatch_size = [8]\n"
        '[constraints]\nsize_mb = "<= 3"\nexpressions = ["hidden_size % 16 == 0"]\n'
        "[measurement]\nbatch_sizes = [1, 8]\n"
    )
    settings = load_study_file(_write(tmp_path, text))
    assert settings.constraints == ("size_mb <= 3", "hidden_size % 16 == 0")
    assert settings.measurement.batch_sizes == (1, 8)
    assert StudySettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_without_a_wait_is_for_what_the_policy_is_without_being_named(tmp_path: Path) -> None:
    search = load_study_file(_write(tmp_path, f"{MINIMAL}[search]\nbudget_minutes = 5\nasynchronous = true\n")).search
    assert (search.policy, search.asynchronous) == ("rounds", True)
    with pytest.raises(StudyFileError, match=r"asynchronous is for the policies rounds and .*, got policy 'paper'"):
        load_study_file(_write(tmp_path, f"{MINIMAL}[search]\nasynchronous = true\n"))


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = 'name = "a"\n[task]\nkind = "clone-detection"\ndata = "../data"\n[teacher]\ncheckpoint = "teacher"\n'
    (tmp_path / "studies" / "teacher").mkdir(parents=True)
    settings = load_study_file(_write(tmp_path / "studies", text))
    assert settings.task.data == str(tmp_path / "data")
    assert settings.teacher.source == str(tmp_path / "studies" / "teacher")


def test_all_faults_at_once(tmp_path: Path) -> None:
    text = """
name = "bad name"
nonsense = 1
[task]
kind = "python-clones"
data = "here"
[teacher]
checkpoint = "a"
soft_labels = "b"
[space]
vocab = 3
hidden_size = {low = 5, high = 2}
[constraints]
size_mb = 3
[search]
n_trials = "many"
seeds = 1
[measurement]
country = "France"
"""
    with pytest.raises(StudyFileError) as caught:
        load_study_file(_write(tmp_path, text))
    faults = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 10
    for words in (
        "name must be letters",
        "nonsense is unknown",
        "task.data must be absent",
        "teacher needs exactly one",
        "space.vocab: unknown",
        "space.hidden_size: low must not exceed",
        "constraints.size_mb must be a comparison",
        "search.seeds is unknown",
        "search.n_trials must be a whole number",
        "measurement.country must be an ISO",
    ):
        assert words in faults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "it must be TOML"),
        (
            MINIMAL + f"[search]\nn_trials = 0x{'f' * 4_000}",
            "search.n_trials must be a whole number of at most 64 bits",
        ),
        (MINIMAL + f"[space]\nhidden_size = [0x{'f' * 4_000}]", "space.hidden_size must be a whole number of at most"),
        ('name = "a"', r"\[task\] is missing"),
        ('name = "a"\ntask = 3\n[teacher]\ncheckpoint = "a"', "task must be a table"),
        (MINIMAL + "[search]\nobjectives = ['flops']", "objectives must be effectiveness"),
    ],
)
def test_one_fault(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        load_study_file(_write(tmp_path, text))


def test_faulty_expressions_are_faults_of_the_file(tmp_path: Path) -> None:
    text = (
        MINIMAL + '[constraints]\nsise_mb = "<= 3"\nexpressions = ["flops <= 2e9", "hidden_size % 0.5 == 0", "1 < 2"]\n'
    )
    with pytest.raises(StudyFileError) as caught:
        load_study_file(_write(tmp_path, text))
    first, second, third = caught.value.faults
    assert first.startswith("constraints.sise_mb: sise_mb is unknown, expected one of")
    assert second.startswith("constraints.expressions: 'hidden_size % 0.5' must divide whole numbers")
    assert third.startswith(
        "constraints.expressions: a comparison must mention a hyperparameter or a cost, got '1 < 2'"
    )


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"absent\.toml: the study file cannot be read: No such file"):
        load_study_file(tmp_path / "absent.toml")


@pytest.mark.parametrize("value", [{"vocab_size": 1}, 3, {}])
def test_an_architecture_is_complete(tmp_path: Path, value: Any) -> None:
    text = (
        f'name = "a"\n[task]\nkind = "python-clones"\n[teacher]\narchitecture = {json.dumps(value).replace(":", "=")}'
    )
    with pytest.raises(StudyFileError, match=r"teacher\.architecture must be a table with exactly"):
        load_study_file(_write(tmp_path, text))


def test_what_needs_a_predictor_is_known(tmp_path: Path) -> None:
    assert load_study_file(_write(tmp_path, MINIMAL)).predicted_names == frozenset()
    text = MINIMAL + (
        '[search]\nobjectives = ["predicted_effectiveness", "size_bytes", "latency_ms"]\n'
        '[constraints]\nenergy_j = "<= 0.5"\nhidden_act = "!= \'relu\'"\n'
    )
    settings = load_study_file(_write(tmp_path, text))
    assert settings.search.objectives == ("effectiveness", "size_bytes", "latency_ms")
    assert settings.predicted_names == {"latency_ms", "energy_j"}
    assert settings.constraints[1] == "hidden_act != 'relu'"


def test_a_country_without_a_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"measurement\.country must be a country whose grid .* got 'XYZ'"):
        load_study_file(_write(tmp_path, MINIMAL + '[measurement]\ncountry = "XYZ"'))


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[1] / "studies").glob("*.toml")), ids=lambda file: file.stem
)
def test_study_files_of_the_project_are_read(file: Path) -> None:
    """A study is named as its file is; its data is not looked at."""
    expected = {"demo": "demo-bytecode"}.get(file.stem, file.stem.replace("_", "-"))  # "demo" was of another task
    assert load_study_file(file).name == expected
