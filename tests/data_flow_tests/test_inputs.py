"""What a model is given, beside what the published implementations give it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, RobertaModel

from avatar_optuna.costs import TaskShape
from avatar_optuna.data_flow import VARIANTS, FlowInput, variant_named
from avatar_optuna.distillation import Classifier, DataFlowReader, with_data_flow
from avatar_optuna.distillation._data_flow import DataFlowNetwork, FlowInputs
from avatar_optuna.distillation._networks import PairClassifier, PairHead
from avatar_optuna.exceptions import InputError
from tests.data_flow_tests.oracle import rows_of

INPUTS = [
    ("java", "java", "graphcodebert-split-strings"),
    ("java_string_leaf", "java", "graphcodebert"),
    ("c_avatar", "c", "avatar"),
    ("c_compressor", "c", "compressor"),
]


@pytest.fixture(scope="module")
def tokenizer(oracle: Path) -> Any:
    return AutoTokenizer.from_pretrained(oracle / "tokenizer")


def _reader(tokenizer: Any, row: dict[str, Any], language: str, variant: str) -> DataFlowReader:
    return DataFlowReader(tokenizer, VARIANTS[variant], language, row["code_length"], row["data_flow_length"])


def _ranges(row: np.ndarray) -> list[list[int]]:
    steps = np.diff(np.r_[0, row.astype(int), 0])
    return [list(pair) for pair in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)]


def _assert_is(one: FlowInput, row: dict[str, Any]) -> None:
    length, size = len(row["input_ids"]), len(one.ids)
    filling = [one.padding] * (length - size)
    assert [*one.ids, *filling] == row["input_ids"]
    assert [*one.positions, *filling] == row["position_idx"]
    assert [list(places) for places in one.node_code] == row["dfg_to_code"]
    assert [list(nodes) for nodes in one.node_sources] == row["dfg_to_dfg"]
    attention = np.zeros((length, length), dtype=bool)
    attention[:size, :size] = one.attention()
    assert [_ranges(line) for line in attention] == row["attention_rows"]


@pytest.mark.parametrize(("name", "language", "variant"), INPUTS)
def test_inputs_are_the_oracles(oracle: Path, tokenizer: Any, name: str, language: str, variant: str) -> None:
    rows = rows_of(oracle / f"model_inputs_{name}.jsonl")
    for row in rows:
        reader = _reader(tokenizer, row, language, variant)
        _assert_is(reader.read([row["source"]], torch.device("cpu")).inputs[0], row)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("name", "language", "variant"), INPUTS[:2])
def test_vectors_are_the_oracles(
    oracle: Path, tokenizer: Any, name: str, language: str, variant: str, attention: str
) -> None:
    rows = rows_of(oracle / f"model_inputs_{name}.jsonl")
    encoder = RobertaModel.from_pretrained(
        oracle / "tiny_roberta", add_pooling_layer=False, attn_implementation=attention
    )
    network = DataFlowNetwork(PairClassifier(encoder, PairHead(32, 2)), padding=1).eval()
    read = _reader(tokenizer, rows[0], language, variant).read([row["source"] for row in rows], torch.device("cpu"))
    expected = torch.tensor([row["first_token_vector"] for row in rows_of(oracle / f"model_outputs_{name}.jsonl")])
    with torch.inference_mode():
        exact = network.encode(*FlowInputs(read.inputs, read.device, length=320).batch(np.arange(len(rows))))
        trimmed = torch.cat([network.encode(*read.batch(np.array([place]))) for place in range(len(rows))])
    assert (exact - expected).abs().max() < 1e-5
    assert (trimmed - expected).abs().max() < 1e-4  # rows that attend to nothing see the padding


def test_vectors_of_code_and_nodes_are_the_oracles(oracle: Path, tokenizer: Any) -> None:
    """At all places that are no padding: an embedding of a node is made of those of its token's pieces."""
    name, language, variant = INPUTS[0]
    rows = rows_of(oracle / f"model_inputs_{name}.jsonl")
    outputs = load_file(oracle / f"model_outputs_{name}.safetensors")
    encoder = RobertaModel.from_pretrained(oracle / "tiny_roberta", add_pooling_layer=False)
    states: list[torch.Tensor] = []
    encoder.register_forward_hook(lambda _module, _inputs, output: states.append(output.last_hidden_state))
    network = DataFlowNetwork(PairClassifier(encoder, PairHead(32, 2)), padding=1).eval()
    read = _reader(tokenizer, rows[0], language, variant).read([row["source"] for row in rows], torch.device("cpu"))
    with torch.inference_mode():
        network.encode(*FlowInputs(read.inputs, read.device, length=320).batch(np.arange(len(rows))))
    valid = outputs["valid"].bool()
    assert (valid.sum(dim=1).numpy() == read.host_lengths).all()
    assert (states[0] - outputs["last_hidden_state"])[valid].abs().max() < 1e-5


def test_a_token_of_more_pieces_than_an_input_holds_is_cut_without_a_warning(
    oracle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = rows_of(oracle / "model_inputs_c_avatar.jsonl")[0]
    tokenizer = AutoTokenizer.from_pretrained(oracle / "tokenizer", model_max_length=16)
    reader = _reader(tokenizer, row, "c", "avatar")
    transformers_logger = logging.getLogger("transformers")
    transformers_logger.addHandler(caplog.handler)
    try:
        reader.read(['void f() { g("' + "x y " * 600 + '"); }'], torch.device("cpu"))
    finally:
        transformers_logger.removeHandler(caplog.handler)
    assert not caplog.records


@pytest.fixture
def classifier(oracle: Path, tokenizer: Any) -> Classifier:
    encoder = RobertaModel.from_pretrained(oracle / "tiny_roberta", add_pooling_layer=False)
    return Classifier(
        network=PairClassifier(encoder, PairHead(32, 2)).eval(),
        tokenizer=tokenizer,
        task_shape=TaskShape(arity=2, num_labels=2),
        label_names=("different", "clone"),
        max_sequence_length=512,
        device=torch.device("cpu"),
    )


def test_a_classifier_is_given_data_flow(oracle: Path, classifier: Classifier) -> None:
    sources = [row["source"] for row in rows_of(oracle / "model_inputs_java.jsonl")]
    flow = with_data_flow(classifier, variant_named("graphcodebert"), source="here", language="java")
    pairs = np.arange(len(sources)).reshape(-1, 2)
    logits = flow.predict_logits(sources, pairs, batch_size=4)
    assert np.allclose(logits, flow.predict_logits(sources, pairs, batch_size=20), atol=1e-4)
    assert not np.allclose(logits, classifier.predict_logits(sources, pairs), atol=1e-2)
    assert np.allclose(flow.forward(*flow.prepare(sources)).numpy(), logits, atol=1e-4)
    assert flow.is_truncated([*sources[:1], "int f() { return 1; }"]).tolist() == [True, False]
    assert [tuple(part.shape) for part in flow.full_input()] == [(2, 320), (2, 320), (2, 320, 320)]


def test_functions_of_another_language_are_refused(oracle: Path, classifier: Classifier) -> None:
    flow = with_data_flow(classifier, variant_named("graphcodebert"), source="here", language="python")
    with pytest.raises(InputError, match="none of 20 functions has any, as graphcodebert extracts it from python"):
        flow.tokens(["((("] * 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "c"}, "that of java and python, got 'c'"),
        ({"language": "c", "code_length": 600}, "must leave at most 512 pieces of code an input, got 600 and 128"),
    ],
)
def test_what_a_model_cannot_be_given_is_refused(classifier: Classifier, options: dict[str, Any], message: str) -> None:
    name = "compressor" if "code_length" in options else "graphcodebert"
    with pytest.raises(InputError, match=message):
        with_data_flow(classifier, variant_named(name), source="here", **options)
