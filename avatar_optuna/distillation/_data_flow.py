"""GraphCodeBERT's way to read a function, in transformers 5: code, nodes of its data flow, and who attends to whom.

Held to what the published implementations give for the same functions and weights (tests/distillation_tests).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from avatar_optuna.data_flow import FlowInput, Variant, Vocabulary, extract, flow_input
from avatar_optuna.distillation._classifier import Classifier
from avatar_optuna.distillation._networks import PairClassifier, SingleClassifier
from avatar_optuna.distillation._tokens import chunks_by_length
from avatar_optuna.exceptions import InputError
from avatar_optuna.languages import language_named

_FIRST_CODE_POSITION = 2
_SURELY_SOME = 10  # functions, of which some have data flow


class DataFlowNetwork(nn.Module):
    """A RoBERTa classifier that is given code and data flow.

    Args:
        network: The classifier, as it reads plain text.
        padding: Id of the piece that fills an input.
    """

    def __init__(self, network: PairClassifier | SingleClassifier, padding: int) -> None:
        super().__init__()
        self.network = network
        self.padding = padding

    def encode(self, input_ids: Tensor, positions: Tensor, attention: Tensor) -> Tensor:
        """Vectors (n, k) of functions.

        Args:
            input_ids: Ids (n, t).
            positions: Position ids (n, t): 0 for nodes, the padding's id for padding.
            attention: Whether row attends to column, (n, t, t).
        """
        words: Tensor = self.network.word_embeddings(input_ids)  # (n, t, w)
        embeddings = torch.where((positions == 0)[..., None], self._node_embeddings(words, positions, attention), words)
        # A finite value: rows that attend to nothing would be NaN, and a mask of truth values is added as it is.
        lowest = torch.finfo(words.dtype).min
        mask = torch.where(attention, 0.0, lowest).to(words.dtype)[:, None]  # (n, 1, t, t)
        return self.network.encode_embedded(embeddings, attention_mask=mask, position_ids=positions)

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors."""
        return self.network.classify(joined)

    def save(self, directory: Any) -> None:
        """Write the classifier; what reads the data flow has no weights of its own."""
        self.network.save(directory)

    @staticmethod
    def _node_embeddings(words: Tensor, positions: Tensor, attention: Tensor) -> Tensor:
        """For each node the mean of its token's pieces (n, t, w); zero where they were cut off."""
        pieces = attention & (positions == 0)[:, :, None] & (positions >= _FIRST_CODE_POSITION)[:, None, :]  # (n, t, t)
        weights = pieces.to(words.dtype)
        return (weights / (weights.sum(-1, keepdim=True) + 1e-10)) @ words


@dataclass(frozen=True)
class FlowInputs:
    """Functions with their data flow, ready to be given to a `DataFlowNetwork`.

    Args:
        inputs: One a function.
        device: Where batches are made for.
        length: Every batch is filled up to so many places; None fills up to its longest function.
    """

    inputs: tuple[FlowInput, ...]
    device: torch.device
    length: int | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def host_lengths(self) -> npt.NDArray[np.int64]:
        """Places of each function, code and nodes, shape (functions,)."""
        return np.array([len(one.ids) for one in self.inputs], dtype=np.int64)

    @cached_property
    def ids(self) -> Tensor:
        """All ids end to end, shape (sum of lengths,)."""
        return torch.from_numpy(np.concatenate([one.ids for one in self.inputs])).to(self.device)

    def batch(self, functions: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (n, t), positions (n, t) and attention (n, t, t) of these functions."""
        chosen = [self.inputs[place] for place in functions]
        length = self.length or int(self.host_lengths[functions].max())
        padding = chosen[0].padding
        ids = np.full((len(chosen), length), padding, dtype=np.int64)
        positions = np.full((len(chosen), length), padding, dtype=np.int64)
        attention = np.zeros((len(chosen), length, length), dtype=np.bool_)
        for row, one in enumerate(chosen):
            size = len(one.ids)
            ids[row, :size], positions[row, :size] = one.ids, one.positions
            attention[row, :size, :size] = one.attention()
        return (
            torch.from_numpy(ids).to(self.device),
            torch.from_numpy(positions).to(self.device),
            torch.from_numpy(attention).to(self.device),
        )

    def chunks(self, functions: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
        """Places in `functions`, by length, in chunks of at most `size`."""
        return chunks_by_length(self.host_lengths[functions], size)


@dataclass(frozen=True)
class DataFlowReader:
    """Turns functions into code with data flow.

    Args:
        tokenizer: The model's.
        variant: The published implementation whose extraction and cuts are followed.
        language: Of the functions.
        code_length: Pieces of code that an input holds where there are `data_flow_length` nodes.
        data_flow_length: Nodes that it holds beside them.
        fills: Whether every batch is filled up to the longest input, as the published code does. What attends to
            nothing attends to the padding: without it some vectors differ by up to 5e-5.
    """

    tokenizer: PreTrainedTokenizerBase
    variant: Variant
    language: str
    code_length: int
    data_flow_length: int
    fills: bool = False

    @property
    def length(self) -> int:
        """Places of an input at most."""
        return self.code_length + self.data_flow_length

    @property
    def longest_code(self) -> int:
        """Pieces of code at most, special ones included: of a function without data flow."""
        room = self.length - self.variant.reserved
        return 2 + (room if self.variant.longest_code is None else min(room, self.variant.longest_code))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the tokenizer says of pieces; each text is asked for once."""
        tokenizer: Any = self.tokenizer
        # Every token but the first stands behind a space, as in the middle of a line. Some tokenizers put one there
        # themselves, as those of Compressor's students do; for the others a mark stands before it, and is left out.
        puts_space = tokenizer.tokenize("@ a")[:1] != ["@"]

        def split(text: str) -> list[str]:
            # Not verbose: a token of more pieces than an input holds is cut later, and no error.
            return tokenizer.tokenize(text, verbose=False)  # type: ignore[no-any-return]

        @lru_cache(maxsize=1_000_000)
        def pieces(text: str) -> list[int]:
            texts = split(text) if puts_space else split(f"@ {text}")[1:]
            return tokenizer.convert_tokens_to_ids(texts)  # type: ignore[no-any-return]

        return Vocabulary(
            pieces=pieces,
            first_pieces=lambda text: tokenizer.convert_tokens_to_ids(split(text)),
            begin=tokenizer.cls_token_id,
            end=tokenizer.sep_token_id,
            padding=tokenizer.pad_token_id,
            node=tokenizer.unk_token_id,
        )

    def read(self, functions: Sequence[str], device: torch.device) -> FlowInputs:
        """Functions with their data flow.

        Raises:
            InputError: None of them has any.
        """
        inputs = tuple(self._input(function) for function in functions)
        if len(inputs) >= _SURELY_SOME and not any(one.node_code for one in inputs):
            raise InputError(
                f"teacher.data_flow: none of {len(inputs)} functions has any, as {self.variant.name} extracts it from "
                f"{self.language}: is that their language?"
            )
        return FlowInputs(inputs, device, self.length if self.fills else None)

    def to_dict(self) -> dict[str, Any]:
        """What its inputs depend on besides the tokenizer; all but the grammar's version is read from `avatar.json`."""
        return {
            "grammar": language_named(self.language).grammar_version,
            "variant": self.variant.name,
            "language": self.language,
            "code_length": self.code_length,
            "data_flow_length": self.data_flow_length,
        }

    def is_truncated(self, functions: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Of each function, whether code of it was cut off."""
        widest = replace(self, code_length=10**6, variant=replace(self.variant, longest_code=None))
        return np.array(
            [self._input(text).code_length < widest._input(text).code_length for text in functions], dtype=np.bool_
        )

    def full_input(self, arity: int, device: torch.device) -> tuple[Tensor, ...]:
        """An input that fills all places, `arity` functions of it: what is counted where costs are given."""
        ids = np.full(self.length, self.vocabulary.node, dtype=np.int64)
        nodes = self.data_flow_length
        one = FlowInput(ids, self.code_length, ((1, 2),) * nodes, ((),) * nodes, ids < 0, self.vocabulary.padding)
        return FlowInputs((one,) * arity, device).batch(np.arange(arity))

    def _input(self, function: str) -> FlowInput:
        flow = extract(function, language=self.language, variant=self.variant)
        return flow_input(
            flow,
            self.vocabulary,
            self.variant,
            code_length=self.code_length,
            data_flow_length=self.data_flow_length,
        )


def with_data_flow(
    classifier: Classifier,
    variant: Variant,
    *,
    source: str,
    language: str,
    code_length: int | None = None,
    data_flow_length: int | None = None,
) -> Classifier:
    """A classifier that is given data flow beside the code.

    Args:
        classifier: A RoBERTa classifier, as it reads plain text.
        variant: The published implementation that it was trained with.
        source: What messages call it.
        language: Of the functions.
        code_length: Pieces of code of an input; None takes the variant's own.
        data_flow_length: Nodes beside them; None takes the variant's own.

    Raises:
        InputError: It is no RoBERTa, has too few positions, or the variant does not know the language.
    """
    variant.extractor(language)
    network = classifier.network
    if not isinstance(network, PairClassifier | SingleClassifier) or network.config.model_type != "roberta":
        raise InputError(f"teacher {source}: a model that is given data flow must be a RoBERTa, it is not")
    reader = DataFlowReader(
        classifier.tokenizer,
        variant,
        language,
        code_length or variant.code_length,
        variant.data_flow_length if data_flow_length is None else data_flow_length,
    )
    longest = network.config.max_position_embeddings - _FIRST_CODE_POSITION
    if reader.longest_code > longest:
        raise InputError(
            f"teacher {source}: code_length and data_flow_length must leave at most {longest} pieces of code an input, "
            f"got {reader.code_length} and {reader.data_flow_length}"
        )
    padding = reader.vocabulary.padding
    return replace(
        classifier,
        network=DataFlowNetwork(network, padding).eval(),
        reader=reader,
        max_sequence_length=reader.length,
    )
