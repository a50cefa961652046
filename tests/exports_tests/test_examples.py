"""The examples of a student's page."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tree_sitter import Node

from avatar_optuna.exports._examples import EXAMPLES
from avatar_optuna.languages import LANGUAGES
from avatar_optuna.syntax import function_nodes, parse


def test_each_language_has_examples() -> None:
    assert set(EXAMPLES) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_example_is_a_function_of_its_language(language: str) -> None:
    for text in EXAMPLES[language]:
        # A class around it, for Java has no functions outside classes.
        source = f"class A {{\n{text}}}\n" if language == "java" else text
        root = parse(source.encode(), LANGUAGES[language])
        assert not root.has_error, text
        assert len(_outermost(function_nodes(root, LANGUAGES[language]))) == 1, text


def _outermost(nodes: Sequence[Node]) -> list[Node]:
    spans = [(node.start_byte, node.end_byte) for node in nodes]
    return [node for node in nodes if not any(start < node.start_byte < end for start, end in spans)]
