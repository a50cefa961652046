"""What GraphCodeBERT is given: pieces of code, a node for each edge of the data flow, and who attends to whom.

As the paper's code makes it (section 4.2 and figure 2 of Guo et al., ICLR 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from avatar_optuna.data_flow._variants import DataFlow, Variant


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer says about pieces of text.

    Args:
        pieces: Ids of the pieces of a text that stands behind a space, and of one that begins the input.
        begin: Id of the piece that begins an input.
        end: Id of the piece that ends the code.
        padding: Id of the piece that fills an input.
        node: Id that stands for a node of the data flow.
    """

    pieces: Callable[[str], Sequence[int]]
    first_pieces: Callable[[str], Sequence[int]]
    begin: int
    end: int
    padding: int
    node: int


@dataclass(frozen=True)
class FlowInput:
    """One model input: the code, then the nodes of its data flow; nothing is filled up.

    Args:
        ids: Ids, shape `(length,)`.
        code_length: So many of them are code, special tokens included; the rest are nodes.
        node_code: For each node, the half-open range of positions that hold the pieces of its token.
        node_sources: For each node, the nodes that it comes from.
        sees_all: Whether a position attends to all others, nodes included: those of the special tokens.
        padding: Id of the piece that fills an input: positions of code count from it.
    """

    ids: npt.NDArray[np.int64]
    code_length: int
    node_code: tuple[tuple[int, int], ...]
    node_sources: tuple[tuple[int, ...], ...]
    sees_all: npt.NDArray[np.bool_]
    padding: int

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """Position ids, shape `(length,)`: code counts from behind the padding's, nodes have 0."""
        positions = np.zeros(len(self.ids), dtype=np.int64)
        positions[: self.code_length] = np.arange(self.code_length) + self.padding + 1
        return positions

    def attention(self) -> npt.NDArray[np.bool_]:
        """Whether row attends to column, shape `(length, length)`.

        Code attends to code; a node and the pieces of its token to each other; a node to the nodes that it comes
        from, not to itself. A node whose token was cut off attends to no code.
        """
        n = self.code_length
        attention = np.zeros((len(self.ids), len(self.ids)), dtype=np.bool_)
        attention[:n, :n] = True
        attention[self.sees_all] = True
        for node, (begin, end) in enumerate(self.node_code, start=n):
            if begin < n and end < n:
                attention[node, begin:end] = True
                attention[begin:end, node] = True
        for node, sources in enumerate(self.node_sources, start=n):
            attention[node, [source + n for source in sources]] = True
        return attention


def flow_input(
    flow: DataFlow, vocabulary: Vocabulary, variant: Variant, *, code_length: int, data_flow_length: int
) -> FlowInput:
    """The model input of a function.

    Args:
        flow: Its tokens and data flow.
        vocabulary: The model's tokenizer.
        variant: How the published implementation cuts.
        code_length: Pieces of code that an input holds where there are `data_flow_length` nodes.
        data_flow_length: Nodes that it holds beside them; where the code is short, more.
    """
    total = code_length + data_flow_length
    pieces = [
        list((vocabulary.pieces if index else vocabulary.first_pieces)(token))
        for index, token in enumerate(flow.tokens)
    ]
    ends = list(accumulate(map(len, pieces), initial=1))  # position 0 holds the piece that begins an input
    room = total - variant.reserved - min(len(flow.edges), data_flow_length)
    code = list(chain.from_iterable(pieces))[:room][: variant.longest_code]
    ids = [vocabulary.begin, *code, vocabulary.end]
    edges = flow.edges[: total - len(ids)]
    node_of = {edge.token: node for node, edge in enumerate(edges)}  # of several nodes of one token, the last
    all_ids = np.array([*ids, *[vocabulary.node] * len(edges)], dtype=np.int64)
    return FlowInput(
        ids=all_ids,
        code_length=len(ids),
        node_code=tuple((ends[edge.token], ends[edge.token + 1]) for edge in edges),
        node_sources=tuple(tuple(node_of[s] for s in edge.sources if s in node_of) for edge in edges),
        sees_all=np.isin(all_ids, (vocabulary.begin, vocabulary.end)),
        padding=vocabulary.padding,
    )
