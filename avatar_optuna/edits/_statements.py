"""Edits of statements that leave what a function does as it is. Each changes one place, drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from avatar_optuna.edits._source import Replacement, Source, field_of, replace_node, walk

if TYPE_CHECKING:
    from avatar_optuna.syntax import Node

Edit = Callable[[Source, np.random.Generator], "Source | None"]
"""Changes one place of a function; None where there is none that it can change."""

_BLOCKS = frozenset({"block", "compound_statement", "constructor_body"})
_FUNCTIONS = frozenset({"function_definition", "method_declaration", "constructor_declaration"})
_CONSTANTS = frozenset(
    {
        *("decimal_integer_literal", "decimal_floating_point_literal", "string_literal", "character_literal"),
        *("number_literal", "char_literal", "integer", "float", "true", "false", "null", "none"),
    }
)
_PURE = _CONSTANTS | {"identifier", "binary_expression", "binary_operator", "parenthesized_expression"}
_PURE_OPERATORS = frozenset({"+", "-", "*", "&", "|", "^"})  # no division: it may fail


def dead_code(source: Source, rng: np.random.Generator) -> Source | None:
    """A branch that is never taken, before a statement that is not the first of the function."""
    places = [
        (statement, indentation)
        for block in _bodies(source)
        for statement in _statements(block)[1:]
        if (indentation := source.indentation(statement)) is not None
    ]
    if not places:
        return None
    statement, indentation = places[int(rng.integers(len(places)))]
    name = _free_name(source)
    code = {
        "python": b"if False:\n" + indentation + b"    " + name + b" = 0\n" + indentation,
        "java": b"if (false) { int " + name + b" = 0; " + name + b"++; }\n" + indentation,
    }.get(source.language.name, b"if (0) { int " + name + b" = 0; " + name + b"++; }\n" + indentation)
    return source.replaced([Replacement(statement.start_byte, statement.start_byte, code)])


def reordered(source: Source, rng: np.random.Generator) -> Source | None:
    """Two neighbouring statements exchanged that give values to different variables and do nothing else."""
    pairs = [
        (one, other)
        for block in _blocks(source)
        for one, other in _neighbours(_statements(block))
        if _are_independent(source, one, other)
    ]
    if not pairs:
        return None
    one, other = pairs[int(rng.integers(len(pairs)))]
    return source.replaced([replace_node(one, source.of(other)), replace_node(other, source.of(one))])


def negated_branch(source: Source, rng: np.random.Generator) -> Source | None:
    """`if (a) b else c` as `if (!(a)) c else b`."""
    change = _negated_python if source.language.name == "python" else _negated_c
    return _any_of(source, rng, "if_statement", change)


def other_loop(source: Source, rng: np.random.Generator) -> Source | None:
    """A loop in another form: `for` as `while`, `while` as `for`; in Python, `while True` with a `break`."""
    if source.language.name == "python":
        return _any_of(source, rng, "while_statement", _python_while)
    kind = ("for_statement", "while_statement")[int(rng.integers(2))]
    change = _for_as_while if kind == "for_statement" else _while_as_for
    return _any_of(source, rng, kind, change)


def mirrored_comparison(source: Source, rng: np.random.Generator) -> Source | None:
    """`a < b` as `b > a`, between names and constants."""
    if source.language.name == "cpp":
        return None  # a class may have the one operator and not the other
    kind = "comparison_operator" if source.language.name == "python" else "binary_expression"
    return _any_of(source, rng, kind, _mirrored)


def _any_of(
    source: Source,
    rng: np.random.Generator,
    kind: str,
    change: Callable[[Source, Node], Sequence[Replacement] | None],
) -> Source | None:
    """The function with one node of a type changed, the first in a random order that can be."""
    nodes = [node for node in source.nodes if node.type == kind]
    for place in rng.permutation(len(nodes)):
        replacements = change(source, nodes[int(place)])
        if replacements is not None:
            return source.replaced(replacements)
    return None


def _bodies(source: Source) -> list[Node]:
    return [
        body
        for node in source.nodes
        if node.type in _FUNCTIONS and (body := node.child_by_field_name("body")) is not None and body.type in _BLOCKS
    ]


def _blocks(source: Source) -> list[Node]:
    return [node for node in source.nodes if node.type in _BLOCKS]


def _statements(block: Node) -> list[Node]:
    return [node for node in block.named_children if node.type != "comment" and not node.type.startswith("preproc")]


def _neighbours(statements: Sequence[Node]) -> Iterable[tuple[Node, Node]]:
    return (
        (one, other)
        for one, other in pairwise(statements)
        if one.next_named_sibling is not None and one.next_named_sibling.id == other.id
    )


def _free_name(source: Source) -> bytes:
    number = 0
    while (name := f"unused{number}".encode()) in source.words:
        number += 1
    return name


def _are_independent(source: Source, one: Node, other: Node) -> bool:
    first, second = _assignment(source, one), _assignment(source, other)
    if first is None or second is None:
        return False
    (targets, names), (other_targets, other_names) = first, second
    return not (targets & other_names or other_targets & names)


def _assignment(source: Source, statement: Node) -> tuple[set[bytes], set[bytes]] | None:
    """The variables that a statement gives a value, and all its names; None where it may do anything else."""
    if statement.type in ("local_variable_declaration", "declaration"):
        declarators = statement.children_by_field_name("declarator")
        parts = [(_target(node), node.child_by_field_name("value")) for node in declarators]
    elif statement.type == "expression_statement" and len(statement.named_children) == 1:
        assignment = statement.named_children[0]
        operator = assignment.children[1].type if assignment.child_count == 3 else ""
        if assignment.type not in ("assignment", "assignment_expression") or operator != "=":
            return None
        parts = [(assignment.child_by_field_name("left"), assignment.child_by_field_name("right"))]
    else:
        return None
    targets: set[bytes] = set()
    for target, value in parts:
        if target is None or target.type != "identifier" or (value is not None and not _is_pure(value)):
            return None
        targets.add(source.of(target))
    if not targets or any(node.type == "storage_class_specifier" for node in statement.children):
        return None
    names = {source.of(node) for node in walk(statement) if "identifier" in node.type}
    return targets, names


def _target(declarator: Node) -> Node | None:
    if declarator.type == "identifier":
        return declarator
    return declarator.child_by_field_name("name") or declarator.child_by_field_name("declarator")


def _is_pure(value: Node) -> bool:
    """Whether a value is made of names and constants by operators that cannot fail."""
    if value.type in _CONSTANTS or value.type == "identifier":
        return True
    if value.type not in _PURE:
        return False
    operator = value.child_by_field_name("operator")
    is_safe = operator is None or operator.type in _PURE_OPERATORS
    return is_safe and all(_is_pure(child) for child in value.named_children)


def _is_braced(node: Node) -> bool:
    return node.type in _BLOCKS


def _braced(source: Source, node: Node) -> bytes:
    return source.of(node) if _is_braced(node) else b"{ " + source.of(node) + b" }"


def _condition(source: Source, node: Node) -> bytes | None:
    """What stands between the parentheses of a condition; None where it declares something."""
    condition = node.child_by_field_name("condition")
    if condition is None:
        return None
    parts = [child for child in condition.named_children if child.type != "comment"]
    kinds = {child.type for child in walk(condition)}
    if len(parts) != 1 or kinds & {"declaration", "init_statement", "condition_declaration", "type_pattern"}:
        return None
    if any(field_of(child) == "name" for child in walk(condition) if child.type == "identifier"
           and child.parent is not None and child.parent.type == "instanceof_expression"):  # fmt: skip
        return None
    return source.of(parts[0])


def _negated_c(source: Source, node: Node) -> Sequence[Replacement] | None:
    condition, then = _condition(source, node), node.child_by_field_name("consequence")
    otherwise = node.child_by_field_name("alternative")
    if otherwise is not None and otherwise.type == "else_clause":
        otherwise = otherwise.named_children[-1]
    if condition is None or then is None or otherwise is None or any(c.type == "constexpr" for c in node.children):
        return None
    text = b"if (!(" + condition + b")) " + _braced(source, otherwise) + b" else " + _braced(source, then)
    return [replace_node(node, text)]


def _negated_python(source: Source, node: Node) -> Sequence[Replacement] | None:
    condition, then = node.child_by_field_name("condition"), node.child_by_field_name("consequence")
    others = node.children_by_field_name("alternative")
    if condition is None or then is None or len(others) != 1 or others[0].type != "else_clause":
        return None
    otherwise = others[0].child_by_field_name("body")
    if otherwise is None or source.indentation(then) is None:
        return None
    if source.indentation(then) != source.indentation(otherwise):
        return None
    return [
        replace_node(condition, b"not (" + source.of(condition) + b")"),
        replace_node(then, source.of(otherwise)),
        replace_node(otherwise, source.of(then)),
    ]


def _while_as_for(source: Source, node: Node) -> Sequence[Replacement] | None:
    condition, body = _condition(source, node), node.child_by_field_name("body")
    if condition is None or body is None:
        return None
    return [replace_node(node, b"for (; " + condition + b"; ) " + source.of(body))]


def _for_as_while(source: Source, node: Node) -> Sequence[Replacement] | None:
    condition, body = node.child_by_field_name("condition"), node.child_by_field_name("body")
    is_labelled = node.parent is not None and node.parent.type == "labeled_statement"
    if condition is None or body is None or is_labelled:
        return None
    if any(child.type == "continue_statement" for child in walk(body)):
        return None
    starts = [*node.children_by_field_name("init"), *node.children_by_field_name("initializer")]
    start = b", ".join(source.of(part).rstrip(b"; \n") for part in starts)
    if len(starts) > 1:
        start = start.replace(b", ", b"; ") if source.language.name == "java" else start
    updates = [source.of(part) + b";" for part in node.children_by_field_name("update")]
    text = b" ".join(
        [
            b"{",
            start + b";" if start else b"",
            b"while (" + source.of(condition) + b") {",
            source.of(body) if body.type != ";" else b"",
            *updates,
            b"} }",
        ]
    )
    return [replace_node(node, text)]


def _python_while(source: Source, node: Node) -> Sequence[Replacement] | None:
    condition, body = node.child_by_field_name("condition"), node.child_by_field_name("body")
    if condition is None or body is None or node.child_by_field_name("alternative") is not None:
        return None
    indentation = source.indentation(body)
    if indentation is None or condition.type == "true":
        return None
    check = b"if not (" + source.of(condition) + b"):\n" + indentation + b"    break\n" + indentation
    return [
        replace_node(condition, b"True"),
        Replacement(body.start_byte, body.start_byte, check),
    ]


_MIRRORED = {b"<": b">", b">": b"<", b"<=": b">=", b">=": b"<="}


def _mirrored(source: Source, node: Node) -> Sequence[Replacement] | None:
    if node.child_count != 3:
        return None
    left, operator, right = node.children
    sides = {left.type, right.type}
    if source.of(operator) not in _MIRRORED or not sides <= _CONSTANTS | {"identifier"}:
        return None
    return [
        replace_node(left, source.of(right)),
        replace_node(operator, _MIRRORED[source.of(operator)]),
        replace_node(right, source.of(left)),
    ]
