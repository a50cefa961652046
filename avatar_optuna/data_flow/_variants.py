"""The published extractors by name: a checkpoint must be given the data flow that it was trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from avatar_optuna.data_flow import _rules
from avatar_optuna.data_flow._comments import without_comments
from avatar_optuna.data_flow._edges import Edge, Rule, Walk, connected_edges
from avatar_optuna.data_flow._tokens import TokenizedTree, tokenized_tree
from avatar_optuna.exceptions import InputError
from avatar_optuna.languages import language_named


@dataclass(frozen=True)
class Extractor:
    """How one published implementation extracts the data flow of one language.

    Args:
        rules: What it does at nodes of a type.
        whole: Types of nodes that are one token though they have children.
        first: Types of nodes that it visits before their siblings.
        begins: Types of nodes whose new names begin a value; None where every new name does.
        prepare: What it does to a text before comments are removed.
        prune: Whether edges that nothing is connected to are left out.
        types_are_names_in: Types of nodes in which the name of a type is taken for a variable's.
        hidden: Types of nodes that are no tokens, comments apart.
        words: Types of nodes whose keyword is taken for a name.
        is_semicolon_missed: Whether the parser missed a semicolon before the parameters: an empty token stands there.
    """

    rules: Mapping[str, Rule]
    whole: frozenset[str]
    first: frozenset[str] = frozenset()
    begins: frozenset[str] | None = None
    prepare: Callable[[str], str] = str
    prune: bool = True
    types_are_names_in: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    is_semicolon_missed: bool = False

    def edges(self, tree: TokenizedTree) -> tuple[Edge, ...]:
        """Data flow of a tree, by token."""
        walk = Walk(tree, self.rules, first=self.first, begins=self.begins, types_are_names_in=self.types_are_names_in)
        walk.visit(tree.root, {})
        return connected_edges(walk.edges) if self.prune else tuple(sorted(walk.edges, key=lambda edge: edge.token))


@dataclass(frozen=True)
class Variant:
    """A published implementation.

    Args:
        name: What study files call it.
        extractors: Its extractor of each language, by the language's name.
        code_length: Pieces of code that a model input holds by default, three special tokens included.
        data_flow_length: Nodes of data flow that it holds beside them.
        reserved: Places of an input that are kept free of code beside those of the nodes.
        longest_code: At most so many pieces of code, however long an input is; None where nothing limits them.
    """

    name: str
    extractors: Mapping[str, Extractor]
    code_length: int
    data_flow_length: int
    reserved: int = 3
    longest_code: int | None = 509

    def extractor(self, language: str) -> Extractor:
        """Its extractor of a language.

        Raises:
            InputError: It has none.
        """
        if language not in self.extractors:
            raise InputError(
                f"data flow as {self.name} extracts it is that of {' and '.join(self.extractors)}, got {language!r}"
            )
        return self.extractors[language]


def _one_line(source: str) -> str:
    """The text as Compressor reads it: a `//` removes all behind it, and newlines written in strings become real."""
    return " ".join(source.split()).replace("\\n", "\n")


_STRING_NODES = frozenset({"string", "string_literal"})
_JAVA = Extractor(_rules.JAVA, _STRING_NODES)
# The grammar of 2021 took a method without its class for a declaration that lacks its semicolon.
_JAVA_2021 = replace(_JAVA, types_are_names_in=frozenset({"throws"}), is_semicolon_missed=True)
_PYTHON = Extractor(_rules.PYTHON, frozenset({"string"}), first=frozenset({"for_in_clause"}))
_AVATAR_C = Extractor(_rules.C, _STRING_NODES, first=frozenset({"do_statement"}))
_COMPRESSOR_C = Extractor(
    _rules.COMPRESSOR_C,
    frozenset({"string"}),
    begins=frozenset({"declaration"}),
    prepare=_one_line,
    prune=False,
)
# The grammar of 2022 had no node for what stands in quotes, took NULL for a name, and an `else` stood in no clause.
_AVATAR_C_2022 = replace(_AVATAR_C, rules=_rules.C_2022, hidden=frozenset({"character"}), words=frozenset({"null"}))
_COMPRESSOR_C_2022 = replace(_COMPRESSOR_C, hidden=frozenset({"character", "string_content"}))
_AVATAR = Variant("avatar", {"c": _AVATAR_C, "java": _JAVA}, code_length=400, data_flow_length=114)
_COMPRESSOR = Variant(
    "compressor", {"c": _COMPRESSOR_C}, code_length=384, data_flow_length=128, reserved=2, longest_code=None
)
_ALL = (
    Variant("graphcodebert", {"java": _JAVA, "python": _PYTHON}, code_length=256, data_flow_length=64),
    Variant("graphcodebert-2021", {"java": _JAVA_2021, "python": _PYTHON}, code_length=256, data_flow_length=64),
    Variant(
        "graphcodebert-split-strings",
        {"java": Extractor(_rules.JAVA, frozenset({"string"})), "python": _PYTHON},
        code_length=256,
        data_flow_length=64,
    ),
    _AVATAR,
    replace(_AVATAR, name="avatar-2022", extractors={"c": _AVATAR_C_2022, "java": _JAVA}),
    _COMPRESSOR,
    replace(_COMPRESSOR, name="compressor-2022", extractors={"c": _COMPRESSOR_C_2022}),
)
VARIANTS: Mapping[str, Variant] = MappingProxyType({variant.name: variant for variant in _ALL})


@dataclass(frozen=True)
class DataFlow:
    """Tokens of a function and the data flow between them."""

    tokens: tuple[str, ...]
    edges: tuple[Edge, ...]

    def with_empty_token(self, before: str) -> DataFlow:
        """The same with an empty token before the first token of a text; unchanged where there is none."""
        if before not in self.tokens:
            return self
        place = self.tokens.index(before)

        def moved(token: int) -> int:
            return token + (token >= place)

        edges = (replace(e, token=moved(e.token), sources=tuple(map(moved, e.sources))) for e in self.edges)
        return DataFlow((*self.tokens[:place], "", *self.tokens[place:]), tuple(edges))


def variant_named(name: str) -> Variant:
    """The published implementation of this name.

    Raises:
        InputError: There is none.
    """
    if name not in VARIANTS:
        raise InputError(f"data_flow must be one of {', '.join(VARIANTS)}, got {name!r}")
    return VARIANTS[name]


def extract(source: str, *, language: str, variant: Variant) -> DataFlow:
    """The data flow of a function.

    Raises:
        InputError: The variant has no extractor of the language.
    """
    extractor = variant.extractor(language)
    code = without_comments(extractor.prepare(source), language=language)
    tree = tokenized_tree(
        code, language_named(language), whole=extractor.whole, hidden=extractor.hidden, words=extractor.words
    )
    flow = DataFlow(tree.tokens, extractor.edges(tree))
    return flow.with_empty_token("(") if extractor.is_semicolon_missed else flow
