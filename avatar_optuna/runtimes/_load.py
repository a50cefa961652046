"""A stored student for NumPy, where it is exactly what its runtime expects."""

from __future__ import annotations

from pathlib import Path

from avatar_optuna.exceptions import is_failure
from avatar_optuna.manifest import MANIFEST_FILE, family_name, read_manifest
from avatar_optuna.runtimes._registry import find_runtime
from avatar_optuna.runtimes.weights import NumpyStudent

_PROBE = "int main() { return 0; }"


def load_numpy_student(directory: Path) -> NumpyStudent | None:
    """The student of a directory, each file compared with its SHA-256.

    Returns:
        None where its family has no runtime, or its files are not exactly those that the runtime expects: torch then
        runs it, or says what is wrong.

    Raises:
        InputError: The manifest is none, or a file is missing or changed.
    """
    if not (directory / MANIFEST_FILE).is_file():
        return None
    manifest = read_manifest(directory, lambda family: getattr(find_runtime(family), "FILES", ()))
    runtime = find_runtime(family_name(manifest)) if manifest["is_student"] else None
    if runtime is None:
        return None
    try:
        student = runtime.load(directory)
        student.predict([(_PROBE,) * student.arity])
    except BaseException as error:  # whatever a malformed configuration, tokenizer or weights file raises
        if not is_failure(error):
            raise
        return None
    return student
