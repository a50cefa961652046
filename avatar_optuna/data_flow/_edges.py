"""Data flow of a function, as GraphCodeBERT reads it (Guo et al., ICLR 2021, section 3.2).

An edge says from which tokens the value of a token comes. The walk follows the text, with the tokens that hold each
variable's value so far. What each kind of node does is a table a language: the published extractors differ by it, and
a model must be given what it was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from avatar_optuna.data_flow._tokens import TokenizedTree

if TYPE_CHECKING:
    from avatar_optuna.syntax import Node

State = Mapping[str, tuple[int, ...]]  # name: the tokens that hold its value
Relation = Literal["comesFrom", "computedFrom"]


@dataclass(frozen=True)
class Edge:
    """Where the value of one token comes from.

    Args:
        name: Text of the token.
        token: Its index.
        relation: Whether the value is that of its sources, or computed from them.
        source_names: Texts of the sources, each once. May be shorter than `sources`.
        sources: Indexes of the tokens that it comes from; none where the value begins here.
    """

    name: str
    token: int
    relation: Relation
    source_names: tuple[str, ...] = ()
    sources: tuple[int, ...] = ()


def connected_edges(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Edges by their token, without those that have no source and are nobody's source."""
    ordered = sorted(edges, key=lambda edge: edge.token)
    used = {source for edge in ordered for source in edge.sources} | {edge.token for edge in ordered if edge.sources}
    return tuple(edge for edge in ordered if edge.token in used)


class Walk:
    """Walks over a tree and notes its edges.

    Args:
        tree: The function.
        rules: What is done at nodes of a type; at all others the children are visited in their order.
        first: Types of children that are visited before their siblings.
        begins: Types of nodes whose names begin a value where they are new; None where every new name does.
        types_are_names_in: Types of nodes in which the name of a type is taken for a variable's.
    """

    def __init__(
        self,
        tree: TokenizedTree,
        rules: Mapping[str, Rule],
        *,
        first: frozenset[str] = frozenset(),
        begins: frozenset[str] | None = None,
        types_are_names_in: frozenset[str] = frozenset(),
    ) -> None:
        self.tree = tree
        self._begins = begins
        self._types_are_names_in = types_are_names_in
        self.edges: list[Edge] = []
        self._rules = rules
        self._first = first

    def visit(self, node: Node, state: State) -> State:
        """Note the edges at and below a node.

        Returns:
            The state behind it.
        """
        if node.type in self.tree.hidden:
            return state
        if self.tree.is_leaf(node):
            return self._visit_leaf(node, state)
        rule = self._rules.get(node.type)
        return rule(self, node, state) if rule else self.visit_all(self._in_order(node.children), state)

    def visit_all(self, nodes: Iterable[Node], state: State) -> State:
        """Visit nodes one after another."""
        for node in nodes:
            state = self.visit(node, state)
        return state

    def note(self, token: int, relation: Relation, sources: Iterable[int]) -> None:
        """An edge from tokens to a token."""
        sources = tuple(sources)
        names = tuple(dict.fromkeys(self.name(source) for source in sources))
        self.edges.append(Edge(self.name(token), token, relation, names, sources))

    def begin(self, token: int) -> None:
        """A token whose value comes from nowhere that is seen."""
        self.edges.append(Edge(self.name(token), token, "comesFrom"))

    def name(self, token: int) -> str:
        """Text of a token."""
        return self.tree.tokens[token]

    def merge(self, begin: int) -> None:
        """Make one edge of those since `begin` that have the same token and relation: a loop is walked twice."""
        merged: dict[tuple[int, Relation], Edge] = {}
        for edge in self.edges[begin:]:
            key = (edge.token, edge.relation)
            other = merged.get(key)
            merged[key] = edge if other is None else _union(other, edge)
        self.edges[begin:] = merged.values()

    def _visit_leaf(self, leaf: Node, state: State) -> State:
        if not self.tree.is_variable(leaf):
            return state
        token = self.tree.index(leaf)
        name = self.name(token)
        if name in state:
            self.edges.append(Edge(name, token, "comesFrom", (name,), state[name]))
            return state
        if self._begins is not None and not self._is_begun(leaf, self._begins):
            return state
        self.begin(token)
        return {**state, name: (token,)} if self._is_name(leaf) else state

    def _is_name(self, leaf: Node) -> bool:
        if leaf.type == "type_identifier" and leaf.parent is not None:
            return leaf.parent.type in self._types_are_names_in
        return self.tree.is_identifier(leaf)

    @staticmethod
    def _is_begun(leaf: Node, types: frozenset[str]) -> bool:
        return leaf.type == "identifier" and leaf.parent is not None and leaf.parent.type in types

    def _in_order(self, nodes: list[Node]) -> list[Node]:
        return sorted(nodes, key=lambda node: node.type not in self._first)


Rule = Callable[[Walk, "Node", State], State]


def union_of_states(states: Iterable[State]) -> State:
    """What may hold each variable's value behind branches."""
    union: dict[str, set[int]] = {}
    for state in states:
        for name, tokens in state.items():
            union.setdefault(name, set()).update(tokens)
    return {name: tuple(sorted(tokens)) for name, tokens in union.items()}


def _union(one: Edge, other: Edge) -> Edge:
    names = tuple(dict.fromkeys((*one.source_names, *other.source_names)))
    return Edge(one.name, one.token, one.relation, names, tuple(sorted({*one.sources, *other.sources})))
