"""Example inputs for the page of an exported student: functions such as it learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.kinds import TASK_KINDS
from avatar_optuna.languages import known_language
from avatar_optuna.manifest import read_manifest

_C = (
    "int sum(int *values, int count) {\n    int total = 0;\n    for (int i = 0; i < count; i++) total += values[i];\n"
    "    return total;\n}\n",
    "int add_all(int *numbers, int length) {\n    int result = 0;\n"
    "    while (length > 0) result += numbers[--length];\n    return result;\n}\n",
)
_CPP = (
    "int sum(const std::vector<int>& values) {\n    int total = 0;\n    for (int value : values) total += value;\n"
    "    return total;\n}\n",
    "int add_all(const std::vector<int>& numbers) {\n"
    "    return std::accumulate(numbers.begin(), numbers.end(), 0);\n}\n",
)
_JAVA = (
    "static int sum(int[] values) {\n    int total = 0;\n    for (int value : values) total += value;\n"
    "    return total;\n}\n",
    "static int addAll(int[] numbers) {\n    int result = 0;\n"
    "    for (int i = numbers.length - 1; i >= 0; i--) result += numbers[i];\n    return result;\n}\n",
)
_JAVASCRIPT = (
    "function sum(values) {\n  let total = 0;\n  for (const value of values) total += value;\n  return total;\n}\n",
    "function addAll(numbers) {\n  return numbers.reduce((result, number) => result + number, 0);\n}\n",
)
_PYTHON = (
    "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n",
    "def average(numbers):\n    result = 0.0\n    index = 0\n    while index < len(numbers):\n"
    "        result = result + numbers[index]\n        index += 1\n    return result / len(numbers)\n",
)
EXAMPLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"c": _C, "cpp": _CPP, "java": _JAVA, "javascript": _JAVASCRIPT, "python": _PYTHON}
)
"""Of each language two functions that do the same."""


@runtime_checkable
class HasExample(Protocol):
    """A kind of task whose inputs are not functions of its language alone, and which therefore brings an example."""

    def example(self) -> tuple[str, ...]:
        """The texts of one input."""


def example_texts(student: StudentToExport) -> tuple[str, ...]:
    """The texts of one input, by the kind of task or by its language; none where neither tells."""
    manifest = read_manifest(student.files)
    try:
        kind: object = TASK_KINDS.get(str(manifest.get("task", "")))
    except InputError:  # the package that declares the kind is not installed here
        kind = None
    if isinstance(kind, HasExample):
        return kind.example()
    language = known_language(str(manifest.get("language", "")))
    return EXAMPLES[language.name][: student.task_shape.arity] if language is not None else ()


def language_title(student: StudentToExport) -> str:
    """What people call the language of the functions that a student learnt from, "" where it is not known."""
    language = known_language(str(read_manifest(student.files).get("language", "")))
    return language.title if language is not None else ""
