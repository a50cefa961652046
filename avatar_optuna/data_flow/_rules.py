"""What the walk does at each kind of node: one table a published extractor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from avatar_optuna.data_flow._edges import Rule, State, Walk, union_of_states

if TYPE_CHECKING:
    from avatar_optuna.syntax import Node


def _field(node: Node, name: str) -> Node | None:
    return node.child_by_field_name(name)


def _definition(walk: Walk, node: Node, state: State) -> State:
    """A name with a value, or without: the name comes from every variable of the value."""
    name, value = _field(node, "name"), _field(node, "value")
    names = walk.tree.variables(name) if name else []
    if value is None:
        return _begun(walk, names, state)
    state = walk.visit(value, state)
    return _assigned(walk, names, walk.tree.variables(value), state, "comesFrom")


def _begun(walk: Walk, tokens: Iterable[int], state: State) -> State:
    for token in tokens:
        walk.begin(token)
        state = {**state, walk.name(token): (token,)}
    return state


def _assigned(walk: Walk, targets: list[int], sources: list[int], state: State, relation: str) -> State:
    """One edge for each pair of a target and a source."""
    for target in targets:
        for source in sources:
            walk.note(target, "comesFrom" if relation == "comesFrom" else "computedFrom", [source])
        state = {**state, walk.name(target): (target,)}
    return state


def _assignment(walk: Walk, node: Node, state: State) -> State:
    left, right = _field(node, "left"), _field(node, "right")
    assert left is not None
    assert right is not None
    state = walk.visit(right, state)
    return _assigned(walk, walk.tree.variables(left), walk.tree.variables(right), state, "computedFrom")


def _update(walk: Walk, node: Node, state: State) -> State:
    tokens = walk.tree.variables(node)
    return _assigned(walk, tokens, tokens, state, "computedFrom")


def _first_declarator(walk: Walk, node: Node, state: State) -> State:
    """Every variable of the first declarator begins there, those of its value too; the others are not looked at."""
    declarator = _field(node, "declarator")
    return _begun(walk, walk.tree.variables(declarator) if declarator else [], state)


def _declarator(walk: Walk, node: Node, state: State) -> State:
    """The names of a pointer or an array begin there; a function's own declarator is looked through."""
    if node.parent is not None and node.parent.type == "function_definition":
        while node.type == "pointer_declarator":
            inner = _field(node, "declarator")
            if inner is None or inner.type != "pointer_declarator":
                break
            node = inner
        return walk.visit_all(node.children, state)
    declarator = _field(node, "declarator")
    return _begun(walk, walk.tree.variables(declarator) if declarator else [], state)


def _parameter(walk: Walk, node: Node, state: State) -> State:
    """The name of a parameter begins there."""
    declarator = _field(node, "declarator")
    while declarator is not None and declarator.type != "identifier":
        if declarator.type == "parenthesized_declarator":
            declarator = declarator.children[1]
        else:
            declarator = _field(declarator, "declarator")
    return state if declarator is None else _begun(walk, [walk.tree.index(declarator)], state)


def _nothing(walk: Walk, node: Node, state: State) -> State:
    """The node is not looked at."""
    return state


def _branches(walk: Walk, node: Node, state: State, *, sees_else: bool = True, joins_clauses: bool = False) -> State:
    """Condition and first branch follow each other; what stands behind the first `else` starts from before.

    Args:
        sees_else: Whether there is an `else` where a child is called so, and not only where the node is.
        joins_clauses: Whether `else` and what follows it are children of the statement itself, in no clause; only an
            `if` among them starts from before.
    """
    has_else = "else" in node.type
    current, ends, is_behind = state, [], False
    for child in _joined(node.children) if joins_clauses else node.children:
        has_else |= sees_else and "else" in child.type
        is_behind |= child.type == "if_statement" or (child.type == "else" and not joins_clauses)
        if is_behind:
            ends.append(walk.visit(child, state))
        else:
            current = walk.visit(child, current)
    return union_of_states((*ends, current) if has_else else (*ends, current, state))


def _joined(nodes: Iterable[Node]) -> Iterator[Node]:
    """Nodes, with the children of each `else_clause` in its place."""
    for node in nodes:
        if node.type == "else_clause":
            yield from node.children
        else:
            yield node


def _loop(walk: Walk, node: Node, state: State) -> State:
    begin = len(walk.edges)
    for _ in range(2):
        state = walk.visit_all(node.children, state)
    walk.merge(begin)
    return state


def _counted_loop(walk: Walk, node: Node, state: State) -> State:
    """A second time only what stands behind a declaration."""
    begin = len(walk.edges)
    state = walk.visit_all(node.children, state)
    types = [child.type for child in node.children]
    if "local_variable_declaration" in types:
        state = walk.visit_all(node.children[types.index("local_variable_declaration") + 1 :], state)
    walk.merge(begin)
    return state


def _for_each(walk: Walk, node: Node, state: State) -> State:
    name, value, body = (_field(node, field) for field in ("name", "value", "body"))
    assert name is not None
    assert value is not None
    assert body is not None
    begin = len(walk.edges)
    for _ in range(2):
        state = walk.visit(value, state)
        state = _assigned(walk, walk.tree.variables(name), walk.tree.variables(value), state, "computedFrom")
        state = walk.visit(body, state)
    walk.merge(begin)
    return state


def _paired(left: Node, right: Node) -> list[tuple[Node, Node]]:
    """Targets and their values; as a whole where there are not as many of both."""
    lefts, rights = ([child for child in side.children if child.type != ","] for side in (left, right))
    if len(lefts) != len(rights) or not lefts:
        return [(left, right)]
    return list(zip(lefts, rights, strict=True))


def _joint(walk: Walk, pairs: list[tuple[Node, Node]], state: State) -> State:
    """One edge a target, from all variables of its value."""
    state = walk.visit_all((right for _, right in pairs), state)
    for left, right in pairs:
        sources = walk.tree.variables(right)
        for target in walk.tree.variables(left):
            walk.note(target, "computedFrom", sources)
            state = {**state, walk.name(target): (target,)}
    return state


def _python_assignment(walk: Walk, node: Node, state: State) -> State:
    left, right = _field(node, "left"), _field(node, "right")
    return state if left is None or right is None else _joint(walk, _paired(left, right), state)


def _python_clause(walk: Walk, node: Node, state: State) -> State:
    left = _field(node, "left")
    assert left is not None
    return _joint(walk, [(left, node.children[-1])], state)


def _python_branches(walk: Walk, node: Node, state: State) -> State:
    current, ends, has_else = state, [], False
    for child in node.children:
        has_else |= "else" in child.type
        if child.type in ("elif_clause", "else_clause"):
            ends.append(walk.visit(child, state))
        else:
            current = walk.visit(child, current)
    return union_of_states((*ends, current) if has_else else (*ends, current, state))


def _python_loop(walk: Walk, node: Node, state: State) -> State:
    left, right = _field(node, "left"), _field(node, "right")
    assert left is not None
    assert right is not None
    begin = len(walk.edges)
    for _ in range(2):
        state = _joint(walk, _paired(left, right), state)
        if node.children[-1].type == "block":
            state = walk.visit(node.children[-1], state)
    walk.merge(begin)
    return state


_STATEMENTS: Mapping[str, Rule] = {
    "assignment_expression": _assignment,
    "update_expression": _update,
    "if_statement": _branches,
    "else": _branches,
    "for_statement": _counted_loop,
    "enhanced_for_statement": _for_each,
    "while_statement": _loop,
}
JAVA: Mapping[str, Rule] = MappingProxyType({**_STATEMENTS, "variable_declarator": _definition})
C: Mapping[str, Rule] = MappingProxyType({**_STATEMENTS, "declaration": _first_declarator})
COMPRESSOR_C: Mapping[str, Rule] = MappingProxyType(
    {
        **_STATEMENTS,
        "if_statement": partial(_branches, sees_else=False),
        "assignment_expression": _nothing,
        "pointer_declarator": _declarator,
        "array_declarator": _declarator,
        "parameter_declaration": _parameter,
    }
)
C_2022: Mapping[str, Rule] = MappingProxyType({**C, "if_statement": partial(_branches, joins_clauses=True)})
PYTHON: Mapping[str, Rule] = MappingProxyType(
    {
        "default_parameter": _definition,
        "assignment": _python_assignment,
        "augmented_assignment": _python_assignment,
        "for_in_clause": _python_clause,
        "if_statement": _python_branches,
        "for_statement": _python_loop,
        "while_statement": _loop,
    }
)
