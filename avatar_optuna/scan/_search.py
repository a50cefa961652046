"""The comparison of all functions of a scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from avatar_optuna.inference import ExportedStudent
from avatar_optuna.scan._candidates import ALL_PAIRS_UP_TO, candidates
from avatar_optuna.scan._encoding import FunctionTable
from avatar_optuna.scan._findings import Finding, Place, Threshold
from avatar_optuna.scan._groups import clone_groups
from avatar_optuna.scan._neighbours import all_pairs
from avatar_optuna.scan._scores import Pairs, Scores, random_pairs, scores
from avatar_optuna.scan._threshold import Aim, choose_threshold

_RANDOM_PAIRS = 1_000_000
_SEED = 0
Scored = tuple[int, float | None]
"""A function, and its score with the first of its group."""


@dataclass(kw_only=True)
class Search:
    """Finds what is to be reported; `threshold` and `compared` are known then.

    Args:
        student: Whose head is asked.
        table: The functions.
        file_names: Of the files that the table numbers.
        neighbours: Candidates of each function.
        threads: That compute.
        aim: What sets the threshold.
        compared: Inputs that the head was asked about, those that set the threshold aside.
    """

    student: ExportedStudent
    table: FunctionTable
    file_names: Sequence[str]
    neighbours: int
    threads: int
    aim: Aim
    threshold: Threshold = field(init=False)
    compared: int = field(init=False)

    def suspicious(self) -> list[Finding]:
        """Functions to which the student gives its second label."""
        count = self.compared = len(self.table)
        values = scores(self.student.logits, self.table.vectors, np.arange(count)[:, None])
        self.threshold = choose_threshold(values, self.aim, inputs=count, functions=count, arity=1)
        found = np.flatnonzero(values >= self.threshold.margin).tolist()
        return [self._finding("suspicious", [(index, float(values[index]))]) for index in found]

    def clones(self) -> list[Finding]:
        """Groups of copies and clones: of equal functions one is compared, and the others join its group."""
        rng = np.random.default_rng(_SEED)
        rows, copies = distinct_rows(self.table.digests)
        vectors, count = self.table.vectors[rows], len(rows)
        drawn = all_pairs(count) if count <= ALL_PAIRS_UP_TO else random_pairs(count, _RANDOM_PAIRS, rng)
        self.threshold = choose_threshold(
            scores(self.student.logits, vectors, drawn),
            self.aim,
            inputs=count * (count - 1) // 2,
            functions=count,
            arity=2,
        )
        pairs = candidates(self.student.logits, vectors, neighbours=self.neighbours, threads=self.threads, rng=rng)
        self.compared = len(pairs)

        least = self.threshold.margin

        def score(asked: Pairs) -> Scores:
            values = scores(self.student.logits, vectors, asked)
            alike = np.flatnonzero(values >= least)
            values[alike[self._is_nested(rows[asked[alike]])]] = -np.inf
            return values

        groups = clone_groups(pairs[score(pairs) >= least], score, least)
        findings = []
        for group in groups:
            first, *others = group.members
            members: list[Scored] = [(index, None) for index in copies[first]]
            for member, value in zip(others, group.scores, strict=True):
                members += [(index, value) for index in copies[member]]
            findings.append(self._finding("clones", members))
        grouped = {member for group in groups for member in group.members}
        alone = (equal for place, equal in enumerate(copies) if place not in grouped and len(equal) > 1)
        return [*findings, *(self._finding("copies", [(index, None) for index in equal]) for equal in alone)]

    def _finding(self, kind: Literal["copies", "clones", "suspicious"], members: Iterable[Scored]) -> Finding:
        places = tuple(self._place(index, score) for index, score in members)
        first = next(index for index, _ in members)
        return Finding(
            kind=kind, label=self.student.label_names[1], lines=int(self.table.spans[first, 4]), places=places
        )

    def _place(self, index: int, score: float | None) -> Place:
        line, end_line = self.table.spans[index, :2].tolist()
        return Place(
            file=self.file_names[int(self.table.files[index])],
            name=self.table.names[index],
            line=line,
            end_line=end_line,
            digest=self.table.digests[index].tobytes().hex(),
            margin=score,
        )

    def _is_nested(self, pairs: Pairs) -> npt.NDArray[np.bool_]:
        """Of pairs of functions (m, 2), whether one holds the other."""
        files, spans = self.table.files[pairs], self.table.spans[pairs]
        overlap = np.minimum(spans[:, 0, 3], spans[:, 1, 3]) > np.maximum(spans[:, 0, 2], spans[:, 1, 2])
        return np.asarray((files[:, 0] == files[:, 1]) & overlap)


def distinct_rows(digests: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], list[list[int]]]:
    """The first of each set of equal rows, ascending, and of each of these all rows that equal it, itself included."""
    places: dict[bytes, list[int]] = {}
    for index, digest in enumerate(digests):
        places.setdefault(digest.tobytes(), []).append(index)
    copies = list(places.values())
    return np.asarray([equal[0] for equal in copies], dtype=np.int64), copies
