"""Labels of functions, given by a student that `export` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.distillation import Classifier
from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.files import read_text
from avatar_optuna.tasks import source_fault


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The answer to one input.

    Args:
        label: Index of the most probable label; of two equally probable ones, 1.
        label_name: Its name.
        probabilities: Of each label, from 0 to 1; their sum is 1.
    """

    label: int
    label_name: str
    probabilities: tuple[float, ...]


class ExportedStudent:
    """A student loaded from its directory; `load_student` makes one.

    Args:
        classifier: Its network and tokenizer.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in their order."""
        return self._classifier.label_names

    @property
    def arity(self) -> int:
        """Functions that one input holds: 1, or 2 for a pair."""
        return self._classifier.task_shape.arity

    def predict(self, inputs: Sequence[str | tuple[str, ...]]) -> list[Classification]:
        """Classify inputs; a function that occurs in several of them is encoded once.

        Args:
            inputs: The text of a function each, or a tuple of two texts for a student of pairs.

        Returns:
            One classification an input, in their order.

        Raises:
            InputError: An input holds another number of functions than the student reads.
        """
        rows = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in inputs]
        for number, row in enumerate(rows):
            if len(row) != self.arity:
                raise InputError(f"inputs must hold {self.arity} functions each, input {number} holds {len(row)}")
            for text in row:
                if (fault := source_fault(text)) is not None:
                    raise InputError(f"each function of an input {fault}, input {number}")
        if not rows:
            return []
        places = {text: place for place, text in enumerate(dict.fromkeys(text for row in rows for text in row))}
        indices = np.asarray([[places[text] for text in row] for row in rows], dtype=np.int32)
        logits = self._classifier.predict_logits(list(places), indices).astype(np.float64)  # (inputs, labels)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        return [self._classification(row) for row in probabilities]

    def _classification(self, probabilities: npt.NDArray[np.float64]) -> Classification:
        label = int(probabilities[1] >= 0.5) if len(probabilities) == 2 else int(probabilities.argmax())
        return Classification(
            label=label,
            label_name=self._classifier.label_names[label],
            probabilities=tuple(float(value) for value in probabilities),
        )


def load_student(directory: Path | str, *, device: str = "cpu", threads: int | None = None) -> ExportedStudent:
    """Load a student that was exported in the format `hf`; each file is checked by its SHA-256.

    Args:
        directory: The exported student.
        device: cpu, cuda or cuda:N.
        threads: Threads that torch computes with on the CPU, in this whole process; None leaves them.

    Raises:
        InputError: The directory holds no such student, or a file was changed.
    """
    path = Path(directory)
    if not path.is_dir():
        raise InputError(f"DIR must be a directory that `avatar-optuna export` wrote, {path} is none")
    return ExportedStudent(Classifier.load(path, device=device, threads=threads))


def predict_files(directory: Path, files: Sequence[Path]) -> dict[str, Any]:
    """What an exported student says of source files: each on its own, or two as a pair.

    Args:
        directory: The exported student.
        files: Each the text of one function.

    Returns:
        `inputs`: one object an input with `files`, `label` (its number), `label_name`, and `probability`: of the label
        1 where there are two labels, else of the label given.

    Raises:
        InputError: The student reads pairs and the files are not two.
        DataError: A file cannot be read as UTF-8 text.
    """
    student = load_student(directory)
    if student.arity == 2 and len(files) != 2:
        raise InputError(f"FILE must be two files for a student of pairs, got {len(files)}")
    rows = [tuple(files[at : at + student.arity]) for at in range(0, len(files), student.arity)]
    answers = student.predict([tuple(_read(path) for path in row) for row in rows])
    return {
        "student": str(directory),
        "inputs": [
            {
                "files": [str(path) for path in row],
                "label": answer.label,
                "label_name": answer.label_name,
                "probability": round(answer.probabilities[1 if len(answer.probabilities) == 2 else answer.label], 6),
            }
            for row, answer in zip(rows, answers, strict=True)
        ],
    }


def _read(path: Path) -> str:
    text = read_text(path)
    if (fault := source_fault(text)) is not None:
        raise DataError(path, None, fault)
    return text
