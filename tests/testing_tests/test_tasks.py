"""The contract of task kinds: the built-in ones and a stranger's keep it, and one that does not is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from avatar_optuna.kinds import TASK_KINDS
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, TaskKind, load_task, task_kind, task_shape_of, with_labels
from avatar_optuna.testing.tasks import check_task_kind
from tests.finished_study import write_study
from tests.stranger import loop_kinds


class _Folders:
    """Labels that come from the data: the names of its files."""

    title, arity, language, is_built_in = "folders", 1, "any", False
    option_names: tuple[str, ...] = ("labels",)
    path_names: tuple[str, ...] = ("data",)

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        stated = settings.options.get("labels")
        return tuple(stated or sorted(path.stem for path in Path(settings.data or "").iterdir()))

    def faults(self, settings: TaskSettings) -> list[str]:
        return []

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        names = self.label_names(settings)
        texts = [(Path(settings.data or "") / f"{name}.txt").read_text() for name in names]
        split = Split(functions=tuple(texts), inputs=np.arange(len(names))[:, None], labels=np.arange(len(names)))
        return dict.fromkeys(("train", "valid", "test"), split)


class _Unsteady(_Folders):
    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        (Path(settings.data or "") / "a.txt").write_text(str(np.random.default_rng().random()))
        return super().read(settings, cache_dir=cache_dir)


@pytest.fixture
def kinds() -> Iterator[None]:
    entries: dict[str, TaskKind] = {"loops": loop_kinds.KIND, "folders": _Folders(), "unsteady": _Unsteady()}
    for name, kind in entries.items():
        TASK_KINDS.register(name, kind)
    yield
    for name in entries:
        TASK_KINDS.unregister(name)


def _write_folder(folder: Path) -> str:
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(f"int {name};")
    return str(folder)


@pytest.mark.parametrize("name", ["vulnerability-prediction", "loops", "folders"])
def test_a_kind_keeps_the_contract(name: str, kinds: None, tmp_path: Path) -> None:
    write_study(tmp_path)
    data = {"vulnerability-prediction": str(tmp_path / "data"), "folders": _write_folder(tmp_path / "folder")}
    check_task_kind(task_kind(name), TaskSettings(kind=name, data=data.get(name)), cache_dir=tmp_path / "cache")


def test_python_clones_keep_the_contract(tmp_path: Path) -> None:
    settings = TaskSettings(kind="python-clones", max_train=40, max_valid=20, max_test=20)
    check_task_kind(task_kind("python-clones"), settings, cache_dir=tmp_path)


def test_data_that_changes_breaks_the_contract(kinds: None, tmp_path: Path) -> None:
    settings = TaskSettings(kind="unsteady", data=_write_folder(tmp_path / "folder"))
    with pytest.raises(AssertionError, match="read must give the same data each time"):
        check_task_kind(task_kind("unsteady"), settings, cache_dir=tmp_path)


def test_labels_of_the_data_are_stored_with_the_settings(kinds: None, tmp_path: Path) -> None:
    settings = with_labels(TaskSettings(kind="folders", data=_write_folder(tmp_path / "folder")))
    assert settings.options == {"labels": ["a", "b", "c"]}
    stored = TaskSettings.from_mapping(json.loads(json.dumps({**settings.to_dict(), "data": "/gone"})))
    assert task_shape_of(stored).num_labels == 3


def test_a_task_of_five_labels_is_whole(kinds: None) -> None:
    task = load_task(TaskSettings(kind="loops", max_train=33))
    assert (task.shape.num_labels, len(task.train)) == (5, 33)
    assert np.bincount(task.train.labels).tolist() == [7, 6, 7, 6, 7] or min(np.bincount(task.train.labels)) >= 6
