"""Presets stand below what a study file says, key by key, and are studies by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar_optuna.exceptions import StudyFileError
from avatar_optuna.presets import preset_names
from avatar_optuna.settings import StudySettings, load_study_file
from avatar_optuna.space import SearchSpace
from avatar_optuna.space_union import SpaceUnion

_REST = '[task]\nkind = "python-clones"\n[teacher]\npretrained = "somewhere"\n'


def _study(folder: Path, preset: str, more: str = "") -> StudySettings:
    path = folder / "study.toml"
    path.write_text(f'name = "s"\npreset = "{preset}"\n{_REST}{more}')
    return load_study_file(path)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_a_study_that_can_be_stored(tmp_path: Path, name: str) -> None:
    settings = _study(tmp_path, name)
    assert StudySettings.from_dict(settings.to_dict()) == settings


def test_the_papers_is_what_a_study_without_a_preset_searches(tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(f'name = "s"\n{_REST}')
    plain, paper = load_study_file(tmp_path / "plain.toml"), _study(tmp_path, "paper")
    assert paper.space == plain.space
    assert paper.search.policy == "paper"
    assert paper.search.n_trials == 50 * paper.search.population_size
    assert [str(one) for one in paper.constraints] == ["size_mb <= 3"]


def test_what_the_file_says_goes_before_key_by_key(tmp_path: Path) -> None:
    more = '[constraints]\nflops = "<= 1e9"\n[distillation]\nepochs = 7\n[space]\nnum_hidden_layers = [2]\n'
    settings = _study(tmp_path, "paper", more)
    assert {str(one) for one in settings.constraints} == {"size_mb <= 3", "flops <= 1e9"}
    assert (settings.distillation.epochs, settings.distillation.weight_decay) == (7, 0.0)
    assert isinstance(settings.space, SearchSpace)
    assert settings.space.distributions["num_hidden_layers"].choices == (2,)  # type: ignore[attr-defined]


def test_of_one_family_its_own_table_is_taken(tmp_path: Path) -> None:
    settings = _study(tmp_path, "recommended", '[space]\nfamily = "hashed"\nprecision = ["int4"]\n')
    assert isinstance(settings.space, SearchSpace)
    assert settings.space.family.name == "hashed"
    assert settings.space.distributions["precision"].choices == ("int4",)  # type: ignore[attr-defined]
    assert settings.space.distributions["batch_size"].choices == (64,)  # type: ignore[attr-defined]


def test_of_several_families_the_files_tables_and_what_holds_for_all_go_before(tmp_path: Path) -> None:
    more = '[space]\nprecision = ["int8"]\n[space.transformer]\nnum_hidden_layers = [1]\n'
    space = _study(tmp_path, "recommended", more).space
    assert isinstance(space, SpaceUnion)
    names = ("transformer.num_hidden_layers", "transformer.precision", "hashed.precision", "hashed.num_hidden_layers")
    choices = [space.distributions[name].choices for name in names]  # type: ignore[attr-defined]
    assert choices == [(1,), ("int8",), ("int8",), (0, 1, 2)]


def test_another_name_is_refused_and_so_is_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="preset must be one of paper, recommended, got 'best'"):
        _study(tmp_path, "best")
    (tmp_path / "study.toml").write_text(f'name = "s"\npreset = "paper"\nsearch = 3\nspace = 4\n{_REST}')
    with pytest.raises(StudyFileError, match=r"search.*table"):
        load_study_file(tmp_path / "study.toml")
