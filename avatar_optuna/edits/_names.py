"""Local variables and parameters that may be renamed, by language: where each is named, and no place besides.

What cannot be known from a function alone keeps its name: what is declared elsewhere, fields, what a preprocessor
directive mentions. A macro whose body names a local variable of its caller is not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from avatar_optuna.edits._source import Source, field_of, walk

if TYPE_CHECKING:
    from avatar_optuna.syntax import Node

_DECLARATORS = frozenset(
    {"pointer_declarator", "array_declarator", "init_declarator", "parenthesized_declarator", "reference_declarator"}
)
_PYTHON_PATTERNS = frozenset(
    {"pattern_list", "tuple_pattern", "list_pattern", "list_splat_pattern", "dictionary_splat_pattern"}
)
_PYTHON_OPAQUE = frozenset({b"eval", b"exec", b"locals", b"vars", b"globals"})


@lru_cache(maxsize=1)
def local_names(source: Source) -> Mapping[bytes, Sequence[Node]]:
    """Each name that may be changed, and all nodes that are it."""
    rules = _LANGUAGES.get(source.language.name)
    if rules is None or source.root.has_error:
        return {}
    declared, blocked, is_variable = rules
    nodes = source.nodes
    names = {source.of(name) for node in nodes for name in declared(node)}
    names -= {source.of(name) for node in nodes for name in blocked(node)}
    if source.language.name == "python" and source.words & _PYTHON_OPAQUE:
        return {}
    names -= _mentioned_by_directives(source, nodes)
    places: dict[bytes, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.type == "identifier" and source.of(node) in names and is_variable(node):
            places[source.of(node)].append(node)
    return dict(places)


def _mentioned_by_directives(source: Source, nodes: Sequence[Node]) -> set[bytes]:
    texts = [source.of(node) for node in nodes if node.type in ("preproc_arg", "preproc_def", "preproc_function_def")]
    words = b" ".join(texts)
    return {word for word in source.words if word and word in words} if words else set()


def _children(node: Node, field: str) -> list[Node]:
    return node.children_by_field_name(field)


def _identifiers(nodes: list[Node]) -> Iterator[Node]:
    return (node for node in nodes if node.type == "identifier")


# Java


def _java_declared(node: Node) -> Iterator[Node]:
    kind = node.type
    if kind in ("formal_parameter", "enhanced_for_statement", "catch_formal_parameter", "resource"):
        yield from _identifiers(_children(node, "name"))
    elif kind in ("local_variable_declaration", "spread_parameter"):
        for declarator in node.children:
            if declarator.type == "variable_declarator":
                yield from _identifiers(_children(declarator, "name"))
    elif kind == "lambda_expression":
        yield from _identifiers(_children(node, "parameters"))
    elif kind == "inferred_parameters":
        yield from _identifiers(node.children)


def _java_blocked(node: Node) -> Iterator[Node]:
    if node.type == "field_declaration":
        yield from (child for child in walk(node) if child.type == "identifier")
    elif node.type == "switch_label":
        yield from _identifiers(node.children)


def _java_is_variable(node: Node) -> bool:
    parent, field = node.parent, field_of(node)
    if parent is None:
        return False
    if (parent.type, field) in _JAVA_OTHER:
        return False
    if parent.type == "method_reference":
        return node.id == parent.children[0].id
    return parent.type not in _JAVA_OTHER_PARENTS


_JAVA_OTHER = frozenset(
    {
        ("field_access", "field"),
        ("method_invocation", "name"),
        ("method_declaration", "name"),
        ("constructor_declaration", "name"),
        ("class_declaration", "name"),
        ("interface_declaration", "name"),
        ("enum_constant", "name"),
        ("annotation", "name"),
        ("marker_annotation", "name"),
        ("element_value_pair", "key"),
    }
)
_JAVA_OTHER_PARENTS = frozenset(
    {"break_statement", "continue_statement", "labeled_statement", "scoped_identifier", "package_declaration"}
)


# C and C++


_C_DECLARATIONS = frozenset(
    {"declaration", "parameter_declaration", "optional_parameter_declaration", "for_range_loop"}
)


def _c_declared(node: Node) -> Iterator[Node]:
    if node.type in _C_DECLARATIONS and not _is_extern(node):
        yield from _c_names(_children(node, "declarator"))


def _c_names(declarators: list[Node]) -> Iterator[Node]:
    for declarator in declarators:
        if declarator.type == "identifier":
            yield declarator
        elif declarator.type == "structured_binding_declarator":
            yield from _identifiers(declarator.children)
        elif declarator.type == "function_declarator":
            inner = _children(declarator, "declarator")
            yield from _c_names([node for node in inner if node.type == "parenthesized_declarator"])
        elif declarator.type in _DECLARATORS:
            inner = _children(declarator, "declarator") or declarator.named_children[:1]
            yield from _c_names(inner)


def _is_extern(declaration: Node) -> bool:
    return any(
        node.type == "storage_class_specifier" and node.children and node.children[0].type == "extern"
        for node in declaration.children
    )


def _c_blocked(node: Node) -> Iterator[Node]:
    if node.type == "declaration":
        if _is_extern(node):
            yield from _c_names(_children(node, "declarator"))
        yield from _prototypes(node)
    elif node.type == "function_definition":
        yield from _prototypes(node)
    elif node.type in ("preproc_ifdef", "preproc_defined", "qualified_identifier", "template_function"):
        yield from (child for child in walk(node) if child.type == "identifier" and child.parent == node)


def _prototypes(node: Node) -> Iterator[Node]:
    """Names of functions that are declared or defined."""
    for declarator in _children(node, "declarator"):
        for child in walk(declarator):
            if child.type == "function_declarator":
                yield from _identifiers(_children(child, "declarator"))


def _c_is_variable(node: Node) -> bool:
    return node.parent is not None and node.parent.type not in ("qualified_identifier", "preproc_ifdef")


# Python


def _python_declared(node: Node) -> Iterator[Node]:
    if not _is_in_function(node):
        return
    kind = node.type
    if kind in ("parameters", "lambda_parameters"):
        yield from _python_names([child for child in node.children if child.type in _PYTHON_PARAMETERS])
    elif kind in ("default_parameter", "typed_default_parameter", "named_expression"):
        yield from _identifiers(_children(node, "name"))
    elif kind == "typed_parameter":
        yield from _python_names(node.children[:1])
    elif kind in ("assignment", "augmented_assignment", "for_statement", "for_in_clause"):
        yield from _python_names(_children(node, "left"))
    elif kind == "as_pattern_target":
        yield from _python_names(node.children)


_PYTHON_PARAMETERS = frozenset({"identifier", "list_splat_pattern", "dictionary_splat_pattern"})


def _python_names(nodes: list[Node]) -> Iterator[Node]:
    for node in nodes:
        if node.type == "identifier":
            if node.text not in (b"self", b"cls"):
                yield node
        elif node.type in _PYTHON_PATTERNS:
            yield from _python_names(node.children)


def _is_in_function(node: Node) -> bool:
    parent: Node | None = node
    while parent is not None:
        if parent.type in ("function_definition", "lambda"):
            return True
        if parent.type == "class_definition":
            return False
        parent = parent.parent
    return False


def _python_blocked(node: Node) -> Iterator[Node]:
    kind = node.type
    if kind in ("global_statement", "nonlocal_statement", "import_statement", "import_from_statement", "case_pattern"):
        yield from (child for child in walk(node) if child.type == "identifier")
    elif kind in ("function_definition", "class_definition"):
        yield from _children(node, "name")
    elif kind == "assignment" and not _is_in_function(node):
        yield from _python_names(_children(node, "left"))
    elif kind == "keyword_argument" and _callee_may_be_local(node):
        yield from _children(node, "name")


def _callee_may_be_local(keyword: Node) -> bool:
    """Whether the call names a function, so that its parameters may be among those that are renamed."""
    call = keyword.parent.parent if keyword.parent is not None else None
    function = call.child_by_field_name("function") if call is not None else None
    return function is None or function.type != "attribute"


def _python_is_variable(node: Node) -> bool:
    parent = node.parent
    if parent is None:
        return False
    return (parent.type, field_of(node)) not in _PYTHON_OTHER


_PYTHON_OTHER = frozenset({("attribute", "attribute"), ("keyword_argument", "name")})


_Rules = tuple["Callable[[Node], Iterator[Node]]", "Callable[[Node], Iterator[Node]]", "Callable[[Node], bool]"]

# By language: the names that a node declares, those that it forbids to change, and whether an identifier is a variable.
_LANGUAGES: Mapping[str, _Rules] = {
    "java": (_java_declared, _java_blocked, _java_is_variable),
    "c": (_c_declared, _c_blocked, _c_is_variable),
    "cpp": (_c_declared, _c_blocked, _c_is_variable),
    "python": (_python_declared, _python_blocked, _python_is_variable),
}
