"""Data flow of functions, beside what the published implementations give, and of some that are read at a glance."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from avatar_optuna.data_flow import VARIANTS, extract, variant_named
from avatar_optuna.exceptions import InputError
from avatar_optuna.languages import language_named
from tests.data_flow_tests.oracle import plain, rows_of, stored


@pytest.mark.parametrize(
    ("variant", "language", "key"),
    [
        ("graphcodebert-split-strings", "java", None),
        ("graphcodebert", "java", "string_leaf"),
        ("avatar", "java", "string_leaf"),
        ("graphcodebert", "python", None),
        ("avatar", "c", None),
        ("compressor", "c", "compressor"),
    ],
)
def test_tokens_and_edges_are_the_oracles(oracle: Path, variant: str, language: str, key: str | None) -> None:
    for row in rows_of(oracle / f"dataflow_{language}.jsonl"):
        expected = row[key] if key else row
        flow = extract(row["source"], language=language, variant=VARIANTS[variant])
        assert list(flow.tokens) == expected["code_tokens"], row["id"]
        assert plain(flow.edges) == stored(expected["dfg"]), row["id"]


@pytest.mark.parametrize(
    ("variant", "language", "key", "tokens", "edges"),
    [
        ("graphcodebert-2021", "java", "grammar_2021_02", 51, 49),
        ("graphcodebert-2021", "python", "grammar_2021_02", 75, 75),
        ("avatar-2022", "c", "grammar_2022_08", 59, 46),
        ("compressor-2022", "c", "compressor_grammar_2022_08", 51, 53),
    ],
)
def test_most_functions_are_read_as_by_the_grammar_of_their_time(
    oracle: Path, variant: str, language: str, key: str, tokens: int, edges: int
) -> None:
    rows = rows_of(oracle / f"dataflow_{language}.jsonl")
    flows = [extract(row["source"], language=language, variant=VARIANTS[variant]) for row in rows]
    expected = [row[key] for row in rows]
    same_tokens = [list(flow.tokens) == one["code_tokens"] for flow, one in zip(flows, expected, strict=True)]
    same_edges = [plain(flow.edges) == stored(one["dfg"]) for flow, one in zip(flows, expected, strict=True)]
    assert (sum(same_tokens), sum(same_edges)) == (tokens, edges)


def _edges(source: str, language: str, variant: str) -> list[str]:
    flow = extract(source, language=language, variant=VARIANTS[variant])
    return [
        f"{edge.name}{edge.token} {'=' if edge.relation == 'computedFrom' else '<'} "
        + " ".join(f"{flow.tokens[source]}{source}" for source in edge.sources)
        for edge in flow.edges
    ]


def test_a_value_is_followed_through_python() -> None:
    source = 'def f(a):\n    """Says."""  # comment\n    b = a\n    return b\n'
    assert _edges(source, "python", "graphcodebert") == ["a3 < ", "b6 = a8", "a8 < a3", "b10 < b6"]


def test_behind_branches_a_value_may_come_from_each() -> None:
    """From before them too: that is how the published extractor treats the word `else`."""
    source = "int f(int a) { if (a) { a = 1; } else { a = 2; } return a; }"
    assert _edges(source, "java", "graphcodebert")[-1] == "a25 < a4 a12 a19"


def test_a_loop_is_walked_twice() -> None:
    """What the body assigns is what the condition reads the second time."""
    source = "int f(int a) { while (a > 0) { a = g(a); } return a; }"
    edges = _edges(source, "java", "graphcodebert")
    assert edges[:3] == ["a4 < ", "a9 < a4 a14", "a14 = g16 a18"]
    assert edges[-1] == "a23 < a14"


def test_avatar_and_compressor_read_c_apart() -> None:
    source = "int f(int a) { int b = a; // the rest\n b = a + 1; return b; }"
    assert _edges(source.replace("\n", " \n"), "c", "avatar")[1:3] == ["b12 = a14", "b12 = 116"]
    assert _edges(source, "c", "compressor") == ["a4 < ", "a10 < a4"]


def test_c_is_read_as_by_the_grammar_of_2022() -> None:
    source = """int f(char *a) { a = NULL; g('x', "y"); if (a) { a = 1; } else if (b) { h(a); } return a; }"""
    tokens = {name: extract(source, language="c", variant=VARIANTS[name]).tokens for name in VARIANTS if "2022" in name}
    for name, strings in {"avatar-2022": ['"y"'], "compressor-2022": ['"', '"']}.items():
        assert "x" not in tokens[name]
        assert [token for token in tokens[name] if '"' in token or token == "y"] == strings
    today, then = _edges(source, "c", "avatar"), _edges(source, "c", "avatar-2022")
    assert not any(edge.startswith("NULL") for edge in today)
    assert then[:2] == ["a8 = NULL10", "NULL10 < "]
    # The branch of `else if` starts from before the first branch.
    assert "a39 < a26" in today
    assert "a38 < a8" in then


@pytest.mark.parametrize("text", ["", "\n", "(((", "\N{LATIN SMALL LETTER E WITH ACUTE} = (", "'" * 99, "#if 1"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_text_that_is_no_function_has_data_flow_too(name: str, text: str) -> None:
    for language in VARIANTS[name].extractors:
        flow = extract(text, language=language, variant=VARIANTS[name])
        assert all(0 <= edge.token < len(flow.tokens) for edge in flow.edges)


def test_its_grammars_are_pinned_exactly() -> None:
    """To the versions with which the oracle was made: others give other tokens."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {one.name: str(one.specifier) for one in map(Requirement, project["dependencies"])}
    languages = {language for variant in VARIANTS.values() for language in variant.extractors}
    expected = {"c": "==0.24.2", "java": "==0.23.5", "python": "==0.25.0"}
    assert {language: pinned[f"tree-sitter-{language}"] for language in languages} == expected
    assert {language: f"=={language_named(language).grammar_version}" for language in languages} == expected


def test_what_no_published_extractor_reads_is_refused() -> None:
    with pytest.raises(InputError, match=r"data_flow must be one of graphcodebert, .* got 'codebert'"):
        variant_named("codebert")
    with pytest.raises(InputError, match="as graphcodebert extracts it is that of java and python, got 'c'"):
        extract("int f();", language="c", variant=variant_named("graphcodebert"))
