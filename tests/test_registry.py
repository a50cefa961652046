"""Registries: built-in entries, entries registered in code, entries of other packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.registry import Registry


def _codecs() -> Registry[object]:
    built_in = {"json": "json:JSONDecoder", "csv": "csv:DictReader"}
    return Registry("codecs", noun="codec", built_in=built_in)


def test_a_built_in_entry_is_loaded_by_its_import_path() -> None:
    from json import JSONDecoder

    assert _codecs().get("json") is JSONDecoder


def test_a_built_in_entry_is_imported_only_when_it_is_asked_for() -> None:
    registry: Registry[object] = Registry("codecs", noun="codec", built_in={"tables": "sndhdr_missing:Nothing"})
    assert registry.names() == ("tables",)
    with pytest.raises(ImportError):
        registry.get("tables")


def test_an_unknown_name_is_answered_with_all_that_are_known() -> None:
    with pytest.raises(InputError, match=r"^codec must be one of csv, json, got 'xml'$"):
        _codecs().get("xml")


def test_an_entry_can_be_registered_and_removed() -> None:
    registry, entry = _codecs(), object()
    registry.register("toml", entry)
    assert registry.get("toml") is entry
    assert registry.names() == ("csv", "json", "toml")
    registry.unregister("toml")
    assert registry.names() == ("csv", "json")


@pytest.mark.parametrize("name", ["json", "toml"])
def test_a_name_is_registered_once(name: str) -> None:
    registry = _codecs()
    registry.register("toml", object())
    with pytest.raises(InputError, match=f"the codec '{name}' is registered already"):
        registry.register(name, object())


@pytest.fixture
def installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that declares two codecs, one of which cannot be imported, as pip would install it."""
    (tmp_path / "stranger_codecs.py").write_text("TEXT = ('a codec',)\n")
    metadata = tmp_path / "stranger_codecs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-codecs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[avatar_optuna.codecs]\ntext = stranger_codecs:TEXT\nbroken = stranger_codecs:MISSING\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_entry_of_another_package_is_found_by_its_entry_point(installed_package: Path) -> None:
    registry = _codecs()
    assert registry.names() == ("broken", "csv", "json", "text")
    assert registry.get("text") == ("a codec",)


def test_an_entry_point_that_cannot_be_imported_is_said_in_one_line(installed_package: Path) -> None:
    with pytest.raises(InputError, match=r"^the codec 'broken' must be importable from stranger_codecs:MISSING, .*$"):
        _codecs().get("broken")


def test_a_registry_imports_nothing_heavy() -> None:
    code = "import sys, avatar_optuna.registry; print({'torch', 'z3', 'sklearn', 'optuna'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in result.stdout
    assert "z3" not in result.stdout
