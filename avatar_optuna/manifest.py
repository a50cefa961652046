"""The manifest of a student (`avatar.json`): its form, labels and window, how it decides, and the hash of each file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from avatar_optuna.costs import TaskShape
from avatar_optuna.decision import EVEN, Decision
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import read_json, sha256_of, write_text

MANIFEST_FILE = "avatar.json"
DEFAULT_THRESHOLD = EVEN
DEFAULT_TEMPERATURE = 1.0
DEFAULT_FAMILY = "transformer"
"""Of a student whose manifest names none, as none did before there were several."""


def write_manifest(
    directory: Path,
    *,
    task_shape: TaskShape,
    label_names: Sequence[str],
    max_sequence_length: int,
    is_student: bool,
    **more: Any,
) -> None:
    """Write `avatar.json` over the files that stand in the directory."""
    names = sorted(
        p.name for p in directory.iterdir() if p.suffix in (".json", ".safetensors") and p.name != MANIFEST_FILE
    )
    manifest: Mapping[str, Any] = {
        "form": task_shape.form,
        "num_labels": task_shape.num_labels,
        "label_names": list(label_names),
        "is_student": is_student,
        "max_sequence_length": max_sequence_length,
        **more,
        "sha256": {name: sha256_of(directory / name) for name in names},
    }
    _write(directory, manifest)


def store_threshold(directory: Path, threshold: float) -> None:
    """Write a threshold, from 0 to 1, into the manifest of a student of two labels."""
    _write(directory, {**read_manifest(directory), "threshold": threshold})


def store_decision(directory: Path, decision: Decision) -> None:
    """Write into the manifest of a student or a teacher how its logits become probabilities and labels."""
    manifest = {**read_manifest(directory), "temperature": decision.temperature}
    threshold = {} if decision.threshold is None else {"threshold": decision.threshold}
    _write(directory, {**manifest, **threshold})


def stored_decision(directory: Path) -> Decision | None:
    """What `store_decision` wrote; None of a directory without a manifest, or whose manifest says nothing of it.

    Raises:
        InputError: The manifest is malformed, or a temperature or threshold is none.
    """
    if not (directory / MANIFEST_FILE).is_file():
        return None
    manifest = read_manifest(directory)
    if "temperature" not in manifest and "threshold" not in manifest:
        return None
    return Decision(
        temperature=float(manifest.get("temperature", DEFAULT_TEMPERATURE)),
        threshold=float(manifest["threshold"]) if "threshold" in manifest else None,
    )


def renew_hashes(directory: Path) -> None:
    """List the files of a student as they are now: an export changed what is said of them, not what they compute."""
    manifest = read_json(directory / MANIFEST_FILE)
    _write(directory, {**manifest, "sha256": {name: sha256_of(directory / name) for name in manifest["sha256"]}})


def is_whole(directory: Path) -> bool:
    """Whether a directory holds a student or a trained teacher, each file as it was written."""
    try:
        return bool(read_manifest(directory))
    except InputError:
        return False


def family_name(manifest: Mapping[str, Any]) -> str:
    """The family of a student."""
    return str(manifest.get("family", DEFAULT_FAMILY))


def read_manifest(directory: Path, needed: Callable[[str], Sequence[str]] = lambda family: ()) -> dict[str, Any]:
    """The manifest of a directory, with each file that it lists compared with its SHA-256.

    Args:
        needed: Files that it must list, by the name of the family.

    Raises:
        InputError: It is none, or a file is missing or changed.
    """
    try:
        manifest: dict[str, Any] = read_json(directory / MANIFEST_FILE)
        expected = {str(name): str(digest) for name, digest in manifest["sha256"].items()}
        task_shape = TaskShape.from_form(manifest["form"], manifest.get("num_labels", 2))
        names = manifest.get("label_names") or ["0"] * task_shape.num_labels
        if not isinstance(names, list) or len(names) != task_shape.num_labels:
            raise ValueError("label_names must be a list of as many names as there are labels")
        _ = int(manifest["max_sequence_length"]), manifest["is_student"]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{directory}: {MANIFEST_FILE} must list form, length and hashes, it does not") from error
    _check_decision(directory, manifest, task_shape.num_labels)
    for name in needed(family_name(manifest)):
        if name not in expected:
            raise InputError(f"{directory}: {MANIFEST_FILE} must list {name}, it does not")
    for name, digest in expected.items():
        path = directory / Path(name).name
        if not path.is_file() or sha256_of(path) != digest:
            raise InputError(
                f"{directory}: {name} must have the SHA-256 that {MANIFEST_FILE} lists, it is missing or changed"
            )
    return manifest


def _check_decision(directory: Path, manifest: Mapping[str, Any], num_labels: int) -> None:
    """Refuse (`InputError`) a temperature or a threshold that is none."""
    place = f"{directory}: {MANIFEST_FILE}"
    temperature = manifest.get("temperature", DEFAULT_TEMPERATURE)
    if not (_is_number(temperature) and 0 < temperature < sys.float_info.max):
        raise InputError(f"{place}: temperature must be a number above 0, got {temperature!r}")
    if "threshold" not in manifest:
        return
    threshold = manifest["threshold"]
    if not (_is_number(threshold) and 0 <= threshold <= 1):
        raise InputError(f"{place}: threshold must be a number from 0 to 1, got {threshold!r}")
    if num_labels != 2:
        raise InputError(f"{place}: a threshold needs two labels, there are {num_labels}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _write(directory: Path, manifest: Mapping[str, Any]) -> None:
    write_text(directory / MANIFEST_FILE, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
