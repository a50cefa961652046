"""`clone-detection`: do two functions do the same? Files in CodeXGLUE's layout of BigCloneBench."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from avatar_optuna.tasks import SPLITS, Split
from avatar_optuna.tasks._codexglue import CodexglueKind, read_functions, read_groups, read_pairs


def read(folder: Path, keys: Mapping[str, str]) -> Mapping[str, Split]:
    """`data.jsonl` (`idx`, `func`) and `train.txt`, `valid.txt`, `test.txt` (`idx1<TAB>idx2<TAB>label`).

    Args:
        keys: Which field of `data.jsonl` says the `group` of a function, all members of which are clones.
    """
    path = folder / "data.jsonl"
    functions = read_functions(path)
    groups = read_groups(path, keys["group"]) if "group" in keys else None
    return {name: read_pairs(folder / f"{name}.txt", functions, groups) for name in SPLITS}


KIND = CodexglueKind(
    title="clone detection: do two functions do the same?",
    arity=2,
    language="java",
    names=("different", "clone"),
    read_folder=read,
    field_names=("group",),
)
