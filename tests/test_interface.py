"""The Python interface: what `__all__` names, and a small story told with nothing else."""

from __future__ import annotations

import csv
import inspect
import io
import sys
from pathlib import Path
from typing import assert_type

import optuna
import pytest

import avatar_optuna
from avatar_optuna import (
    DistillationSettings,
    Feasibility,
    FeasibleNSGAIISampler,
    IndicatorSettings,
    InputError,
    MeasurementSettings,
    SearchSettings,
    SearchSpace,
    Study,
    StudySettings,
    TaskSettings,
    TaskShape,
    TeacherSettings,
    load_student,
    load_study_file,
    open_study,
    run,
)
from tests.finished_study import NAME, FinishedStudy, write_study

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", avatar_optuna.__all__)
def test_a_public_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(avatar_optuna, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    if inspect.isclass(value) and not issubclass(value, Exception):
        methods = [m for m in vars(value).values() if inspect.isfunction(m) and not m.__name__.startswith("_")]
        assert all(inspect.getdoc(method) for method in methods)


def test_names_that_do_not_exist_are_refused_and_those_that_do_are_listed() -> None:
    assert set(avatar_optuna.__all__) <= set(dir(avatar_optuna))
    assert sorted(avatar_optuna.__all__) == avatar_optuna.__all__
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = avatar_optuna.Nothing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interface")
    write_study(folder)
    return folder


@pytest.fixture(scope="module")
def settings(folder: Path) -> StudySettings:
    architecture = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    return StudySettings(
        name="in-python",
        task=TaskSettings(kind="vulnerability-prediction", data=str(folder / "data")),
        teacher=TeacherSettings(
            epochs=6,
            learning_rate=1e-3,
            batch_size=8,
            max_sequence_length=64,
            architecture={"vocab_size": 300, **architecture},
        ),
        space=SearchSpace.from_mapping(
            {
                "vocab_size": {"low": 200, "high": 400},
                "num_hidden_layers": 1,
                "hidden_size": [8, 16],
                "intermediate_size": {"low": 16, "high": 32},
                "num_attention_heads": [1, 2],
                "max_sequence_length": [48, 64],
                "learning_rate": [1e-2, 3e-3],
                "batch_size": [4, 8],
            }
        ),
        constraints=("size_mb <= 0.1",),
        indicator=IndicatorSettings(samples=5, epochs=1),
        search=SearchSettings(n_trials=40, population_size=20),
        distillation=DistillationSettings(epochs=2, students=1),
        measurement=MeasurementSettings(repeats=5, audit=False),
    )


@pytest.mark.slow
def test_a_study_from_settings_to_a_prediction(settings: StudySettings, folder: Path) -> None:
    url = f"sqlite:///{folder}/studies.db"
    study = run(settings, storage=url, artifacts=str(folder / "artifacts"), cache=folder / "cache", workers=1)
    assert_type(study, Study)
    front = study.front()
    (student,) = front.students
    assert 0 <= student.effectiveness <= 1
    assert student.size_bytes <= 100_000
    assert all(predicted.size_bytes <= 100_000 for predicted in front.predicted)
    frame = front.to_dataframe()
    assert list(frame["trial"]) == [student.trial, *(predicted.trial for predicted in front.predicted)]
    assert frame["effectiveness"].notna().sum() == 1
    exported = load_student(study.export(student.job, folder / "student", threshold=0.3))
    assert exported.threshold == 0.3
    answers = exported.predict(["int f(int n) { free(p); }", "int g(int n) { keep(p); }"])
    assert [sum(answer.probabilities) for answer in answers] == pytest.approx([1, 1])
    assert all(answer.label_name == exported.label_names[answer.label] for answer in answers)
    assert study.write_report(folder / "report.html").read_text().count("<section") >= 9
    again = run(settings, storage=url, artifacts=str(folder / "artifacts"), cache=folder / "cache", workers=1)
    assert again.front().to_dicts() == front.to_dicts()


def test_a_stored_study_gives_the_rows_of_its_csv(finished_study: FinishedStudy) -> None:
    rows = open_study(NAME, storage=finished_study.url).front().to_dicts()
    printed = finished_study.command("front", "--study-name", NAME, "-f", "csv")
    shown = list(csv.DictReader(io.StringIO(printed)))
    assert [{name: "" if row.get(name) is None else str(row[name]) for name in shown[0]} for row in rows] == shown


def test_an_unknown_study_is_refused(finished_study: FinishedStudy) -> None:
    with pytest.raises(InputError, match="got 'nowhere'"):
        open_study("nowhere", storage=finished_study.url)


def test_a_data_frame_needs_pandas(finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    front = open_study(NAME, storage=finished_study.url).front()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="to_dataframe needs pandas"):
        front.to_dataframe()
    assert front.to_dicts()


def test_settings_in_code_are_those_of_the_study_file(folder: Path) -> None:
    loaded = load_study_file(folder / "study.toml")
    built = StudySettings(**{name: getattr(loaded, name) for name in StudySettings.__dataclass_fields__})
    assert built == loaded
    defaults = StudySettings(name="x", task=loaded.task, teacher=loaded.teacher)
    assert defaults.search == SearchSettings()
    assert defaults.space == SearchSpace.paper()


@pytest.mark.parametrize(
    ("fault", "message"),
    [({"name": "a b"}, "name must be letters"), ({"constraints": ("size_mb <=",)}, "size_mb <=")],
)
def test_faulty_settings_in_code_are_refused(folder: Path, fault: dict[str, object], message: str) -> None:
    loaded = load_study_file(folder / "study.toml")
    with pytest.raises(InputError, match=message):
        StudySettings(**{"name": "x", "task": loaded.task, "teacher": loaded.teacher, **fault})  # type: ignore[arg-type]


def test_the_sampler_serves_a_plain_optuna_study() -> None:
    space = SearchSpace.paper()
    feasibility = Feasibility(space=space, constraints=("size_mb <= 3",), task_shape=TaskShape(arity=2))
    sampler = FeasibleNSGAIISampler(feasibility=feasibility, population_size=10, seed=0)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        student = space.configuration(space.suggest(trial))
        return float(student.vocab_size), float(student.hidden_size)

    study.optimize(objective, n_trials=25)
    assert len(study.trials) == 25
    assert all(feasibility.check(trial.params).feasible for trial in study.trials)


def test_inputs_of_another_arity_are_refused(tmp_path: Path) -> None:
    from avatar_optuna.testing.exports import random_student

    pairs = load_student(random_student(tmp_path, arity=2).files)
    assert pairs.predict([]) == []
    with pytest.raises(InputError, match="inputs must hold 2 functions each, input 1 holds 1"):
        pairs.predict([("int f();", "int g();"), "int h();"])
    with pytest.raises(InputError, match="DIR must be a directory"):
        load_student(tmp_path / "nowhere")
