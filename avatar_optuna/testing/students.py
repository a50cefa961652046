"""What every family of students must do: formulas that equal the built network, one formula in several readings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution

from avatar_optuna.configurations import ConfigurationTable, Lattice
from avatar_optuna.constraints import implied_constraints, parse_constraint
from avatar_optuna.costs import TaskShape, flops, num_parameters, size_bytes
from avatar_optuna.distillation import build_student
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import FAMILIES, PRECISION, PRECISIONS, REQUIRED_NAMES, Configuration, StudentFamily
from avatar_optuna.students.weights import rounded_weights

FUNCTIONS = (
    "def add(a, b):\n    return a + b",
    "def mean(values):\n    return sum(values) / len(values)",
    "int copy(char *to, const char *from) { while ((*to++ = *from++)) ; return 0; }",
    "int area(int width, int height) { return width * height; }",
)
_SHAPES = (TaskShape(arity=1), TaskShape(arity=2), TaskShape(arity=1, num_labels=5))
_FORMULAS = (size_bytes, num_parameters, flops)


def check_family(family: StudentFamily, folder: Path, *, space: SearchSpace | None = None, students: int = 4) -> None:
    """Check a family against the contract; it must be registered under its name.

    Args:
        family: The entry.
        folder: An empty folder, to be written to.
        space: Where students are drawn that are built; None takes the family's default, which may be large.
        students: How many are built; four or more have every precision of a family that knows several.

    Raises:
        AssertionError: The family breaks the contract; the message says how.
    """
    space = _at_every_precision(SearchSpace.default(family) if space is None else space)
    check_declarations(family)
    for task_shape in _SHAPES:
        feasibility = Feasibility(space=space, constraints=(), task_shape=task_shape)
        drawn = draw(feasibility, students, seed=0, pool=500)
        assert drawn, "no student of the space is feasible"
        assert all(space.contains(student) for student in drawn), "a drawn student lies outside of its space"
        check_readings(feasibility, drawn)
        for index, student in enumerate(drawn):
            directory = folder / f"{task_shape.form}-{task_shape.num_labels}-{index}"
            directory.mkdir(parents=True)
            if PRECISION.name in family.by_name:
                student = student.replace(precision=PRECISIONS[index % len(PRECISIONS)])
            check_network(student, task_shape, directory)


def check_declarations(family: StudentFamily) -> None:
    """The family is registered, its names fit together, its defaults lie within its limits."""
    assert FAMILIES.get(family.name) is family, f"the family {family.name!r} must be registered under its name"
    assert len(set(family.names)) == len(family.names), "a hyperparameter is declared twice"
    reads = {*family.names, *family.derived, *family.quotients}
    assert set(REQUIRED_NAMES) <= reads, f"the family must have {sorted(set(REQUIRED_NAMES) - reads)}"
    assert set(family.exact_order) == family.formula_names, "exact_order must hold what the formulas read"
    for spec in family.hyperparameters:
        assert spec.name.isidentifier(), f"{spec.name!r} must be usable in expressions"
        assert spec.is_category == bool(spec.choices), f"{spec.name}: categories have choices, numbers have none"
    for rule in family.divides:
        for name in (rule.divisor, rule.dividend):
            assert family.by_name[name].is_whole, f"{name} must be a whole number: it stands in {rule.text!r}"
    for text in implied_constraints(family):
        parse_constraint(text, family)
    lattice = Lattice(SearchSpace.default(family))
    for name, axis in zip(lattice.names, lattice.axes, strict=True):
        for value in (axis[0].item(), axis[-1].item()):
            fault = family.by_name[name].fault(value)
            assert fault is None, f"the default of {name} {fault}"


def check_readings(feasibility: Feasibility, students: Sequence[Configuration]) -> None:
    """Formulas of single students, of columns of them, and of the solver's terms give the same figures."""
    task_shape = feasibility.task_shape
    columns = ConfigurationTable.from_students(students)
    for formula in _FORMULAS:
        single = [formula(student, task_shape) for student in students]
        assert all(isinstance(figure, int) for figure in single), f"{formula.__name__} must give whole numbers"
        assert min(single) > 0, f"{formula.__name__} must be above 0"
        many = np.broadcast_to(np.asarray(formula(columns, task_shape)), len(students))
        assert many.tolist() == single, f"{formula.__name__} of columns must be that of each student"
    for student in students:
        exact = [f"size_bytes == {size_bytes(student, task_shape)}", f"flops == {flops(student, task_shape)}"]
        judge = Feasibility(space=_only(feasibility.space, student), constraints=exact, task_shape=task_shape)
        assert judge.check(student.values).feasible, "the solver's terms must give the figures of the student"
        assert judge.satisfy() == student, "the solver must find the only student of a space"
    names = {frozenset(student.family.flops_terms(student, task_shape)) for student in students}
    assert len(names) == 1, "terms must have fixed names"


def check_network(student: Configuration, task_shape: TaskShape, directory: Path) -> None:
    """The built network has the parameters and the bytes of the formulas, and gives the same logits once reloaded.

    At a precision below float32 these are the logits of the rounded weights.
    """
    family = student.family
    network: Any = build_student(student, task_shape, seed=1).eval()
    built = sum(parameter.numel() for parameter in network.parameters())
    assert num_parameters(student, task_shape) == built, (
        f"num_parameters must be that of the network, {built}, got {num_parameters(student, task_shape)} for {student}"
    )
    family.save_network(network, directory)
    _round(network, student.precision_on_disk)
    stored = (directory / "model.safetensors").stat().st_size
    predicted = size_bytes(student, task_shape)
    assert stored <= predicted <= stored * 1.02 + 4096, f"the file has {stored} bytes, size_bytes says {predicted}"
    tokenizer = family.make_tokenizer(student, FUNCTIONS * 8, None)
    logits = _logits(network, tokenizer, student, task_shape)
    assert logits.shape == (len(FUNCTIONS) // task_shape.arity, task_shape.num_labels), "logits have a wrong shape"
    assert torch.isfinite(logits).all(), "logits must be finite"
    tokenizer.save_pretrained(directory)
    missing = [name for name in family.files if not (directory / name).is_file()]
    assert not missing, f"a stored student must hold {', '.join(missing)}"
    again = _logits(family.load_network(directory), family.load_tokenizer(directory), student, task_shape)
    assert torch.equal(logits, again), "a reloaded network with its tokenizer must give the same logits"


@torch.no_grad()
def _round(network: torch.nn.Module, precision: str) -> None:
    """Give a network the weights that are read back once it is written at a precision."""
    parameters = list(network.parameters())
    for parameter, weights in zip(parameters, rounded_weights(network, parameters, precision), strict=True):
        parameter.copy_(weights)


@torch.inference_mode()
def _logits(network: Any, tokenizer: Any, student: Configuration, task_shape: TaskShape) -> torch.Tensor:
    """Logits (m, labels) of the functions above, each encoded on its own."""
    options = {"truncation": True, "max_length": student.max_sequence_length, "split_special_tokens": True}
    rows = tokenizer(list(FUNCTIONS), **options)["input_ids"]
    assert max(map(max, rows)) < student.vocab_size, "a token's id must be below vocab_size"
    vectors = torch.cat([network.encode(torch.tensor([row])) for row in rows])  # (n, k)
    logits: torch.Tensor = network.classify(vectors.reshape(-1, task_shape.arity * vectors.shape[-1]))
    return logits


def _at_every_precision(space: SearchSpace) -> SearchSpace:
    if PRECISION.name not in space.omitted:
        return space
    return space.replace(precision=CategoricalDistribution(PRECISIONS))


def _only(space: SearchSpace, student: Configuration) -> SearchSpace:
    """The space that holds one student."""
    return SearchSpace.from_mapping({"family": space.family.name, **student.values})
