"""Labels of functions, given by a student that `export` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from avatar_optuna.decision import Decision
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import source_fault
from avatar_optuna.runtimes import load_numpy_student
from avatar_optuna.sources import SourceReader


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The answer to one input.

    Args:
        label: Index of the most probable label; of two labels, 1 from the threshold on.
        label_name: Its name.
        probabilities: Of each label, from 0 to 1; their sum is 1.
    """

    label: int
    label_name: str
    probabilities: tuple[float, ...]


class Runtime(Protocol):
    """What computes a student's answers: NumPy (`runtimes`) or torch."""

    @property
    def label_names(self) -> tuple[str, ...]: ...
    @property
    def arity(self) -> int: ...
    @property
    def language(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def temperature(self) -> float: ...
    @property
    def window(self) -> int: ...
    def encode(self, functions: Sequence[str]) -> npt.NDArray[np.float32]: ...
    def classify(self, joined: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]: ...
    def is_truncated(self, functions: Sequence[str]) -> Sequence[bool]: ...


class ExportedStudent:
    """A student loaded from its directory; `load_student` makes one.

    Args:
        runtime: What computes its answers.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in their order."""
        return self._runtime.label_names

    @property
    def arity(self) -> int:
        """Functions that one input holds: 1, or 2 for a pair."""
        return self._runtime.arity

    @property
    def language(self) -> str:
        """Of the functions it learnt from, such as "java"; "" where it is not known."""
        return self._runtime.language

    @property
    def threshold(self) -> float:
        """Of two labels, the label 1 is given from this probability on."""
        return self._runtime.threshold

    @property
    def temperature(self) -> float:
        """Its logits are divided by this, so that probabilities are as often right as they say."""
        return self._runtime.temperature

    @property
    def window(self) -> int:
        """Tokens of a function that it reads at most."""
        return self._runtime.window

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        """Of each function, whether it is longer than the window: only its beginning is read."""
        return [bool(is_long) for is_long in self._runtime.is_truncated(functions)]

    def encode(self, functions: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of functions, shape (functions, k)."""
        return self._runtime.encode(functions)

    def logits(self, joined: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (inputs, labels) of the vectors of each input, one after the other: (inputs, arity k).

        They are divided by the temperature: their softmax are the probabilities of `predict`.
        """
        return self._runtime.classify(joined) / np.float32(self.temperature)

    def predict(
        self, inputs: Sequence[str | tuple[str, ...]], *, threshold: float | None = None
    ) -> list[Classification]:
        """Classify inputs; a function that occurs in several of them is encoded once.

        Args:
            inputs: The text of a function each, or a tuple of two texts for a student of pairs.
            threshold: In place of the student's own, from 0 to 1; for two labels only.

        Returns:
            One classification an input, in their order.

        Raises:
            InputError: An input holds another number of functions than the student reads, or there is a threshold and
                not two labels.
        """
        if threshold is not None and len(self.label_names) != 2:
            raise InputError(f"a threshold needs a student of two labels, this one has {len(self.label_names)}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError(f"a threshold must be from 0 to 1, got {threshold}")
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
        vectors = self.encode(list(places))  # (functions, k)
        joined = vectors[[places[text] for row in rows for text in row]].reshape(len(rows), -1)  # (inputs, arity k)
        probabilities = Decision(temperature=self.temperature).probabilities(self._runtime.classify(joined))
        limit = self.threshold if threshold is None else threshold
        return [self._classification(row, limit) for row in probabilities]

    def _classification(self, probabilities: npt.NDArray[np.float64], threshold: float) -> Classification:
        label = int(probabilities[1] >= threshold) if len(probabilities) == 2 else int(probabilities.argmax())
        return Classification(
            label=label,
            label_name=self._runtime.label_names[label],
            probabilities=tuple(float(value) for value in probabilities),
        )


def load_student(
    directory: Path | str,
    *,
    device: str = "cpu",
    threads: int | None = None,
    runtime: Literal["auto", "numpy", "torch"] = "auto",
) -> ExportedStudent:
    """Load a student that was exported in the format `hf` or `numpy`; each file is checked by its SHA-256.

    Args:
        directory: The exported student.
        device: cpu, cuda or cuda:N.
        threads: Threads that compute on the CPU, in this whole process; None leaves them.
        runtime: numpy starts in a fraction of a second, torch computes many functions at once and on GPUs. auto takes
            numpy on a CPU where the student's family has a runtime for it.

    Raises:
        InputError: The directory holds no such student, a file was changed, or numpy is asked for and cannot run it.
    """
    path = Path(directory)
    if not path.is_dir():
        raise InputError(f"DIR must be a directory that `avatar-optuna export` wrote, {path} is none")
    if runtime != "torch" and device == "cpu" and (student := load_numpy_student(path)) is not None:
        if threads is not None:
            from threadpoolctl import threadpool_limits

            threadpool_limits(threads)
        return ExportedStudent(student)
    if runtime == "numpy":
        raise InputError(f"{path}: the runtime numpy must know the student's family and files, on a CPU; it does not")
    from avatar_optuna.distillation import TorchStudent  # loads torch, which takes seconds

    return ExportedStudent(TorchStudent.load(path, device=device, threads=threads))


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a student says of files.

    Args:
        student: Its directory.
        threshold: From which probability on it gives the label 1; None where there are not two labels.
        inputs: One object an input: `files`, `line` (of a row of JSON Lines only), `label` (its number), `label_name`,
            `probability` (of the label 1 where there are two labels, else of the label given), and `is_truncated`.
        faults: What could not be read, a sentence each.
        functions: How many functions were read, each counted once.
        truncated: How many of these are longer than the student's window.
        window: The window, in tokens.
    """

    student: str
    threshold: float | None
    inputs: tuple[Mapping[str, Any], ...]
    faults: tuple[str, ...]
    functions: int
    truncated: int
    window: int

    def to_dict(self) -> dict[str, Any]:
        """What `predict -f json` prints."""
        return {"student": self.student, "threshold": self.threshold, "inputs": list(self.inputs)}


def predict_files(
    directory: Path,
    files: Sequence[Path],
    *,
    is_jsonl: bool = False,
    threshold: float | None = None,
) -> Predictions:
    """What an exported student says of source files: each on its own, or two as a pair.

    Args:
        directory: The exported student.
        files: Files with the text of one function each, folders, patterns, or "-" for standard input.
        is_jsonl: Whether each row of the files is an input: an object with `func`, or `func1` and `func2` for a pair.
        threshold: In place of the student's own.

    Returns:
        Its answers; what cannot be read is left out and named in `faults`.

    Raises:
        InputError: Nothing can be read, the student reads pairs and the files are not two, or a threshold is given for
            another number of labels than two.
    """
    student = load_student(directory)
    reader = SourceReader(arity=student.arity, language=student.language)
    sources = reader.read_rows(files) if is_jsonl else reader.read_files(files)
    faults = tuple(map(str, reader.faults))
    if not sources:
        raise InputError("; ".join(faults) or "FILE must hold an input, there is none")
    answers = student.predict([source.texts for source in sources], threshold=threshold)
    functions = list(dict.fromkeys(text for source in sources for text in source.texts))
    truncated = {text for text, is_long in zip(functions, student.is_truncated(functions), strict=True) if is_long}
    has_threshold = len(student.label_names) == 2
    return Predictions(
        student=str(directory),
        threshold=(student.threshold if threshold is None else threshold) if has_threshold else None,
        inputs=tuple(
            {
                "files": list(source.files),
                **({} if source.line is None else {"line": source.line}),
                "label": answer.label,
                "label_name": answer.label_name,
                "probability": round(answer.probabilities[1 if has_threshold else answer.label], 6),
                "is_truncated": not truncated.isdisjoint(source.texts),
            }
            for source, answer in zip(sources, answers, strict=True)
        ),
        faults=faults,
        functions=len(functions),
        truncated=len(truncated),
        window=student.window,
    )
