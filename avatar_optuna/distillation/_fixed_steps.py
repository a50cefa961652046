"""An epoch's steps on fixed shapes, on the device alone: on a GPU each shape is captured once and then replayed.

A small student's step is some hundred kernels of microseconds; launched one by one, they keep the device waiting for
the host. A captured graph launches them at once. So nothing in a step may ask the host: which functions it reads, its
learning rate and its dropout come from tensors that are filled before the epoch and from counters in the step itself.

The first step of a shape runs as it is, which warms up what is made on first use; the second is captured. Both are
steps of the training: captured or not, they compute the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from avatar_optuna.distillation._batches import Indices
from avatar_optuna.distillation._lesson import WINDOW_ROWS, Window
from avatar_optuna.distillation._narrow_copy import NarrowCopy
from avatar_optuna.distillation._randomness import drawing_from, seeded
from avatar_optuna.students.packing import is_packed

if TYPE_CHECKING:
    from avatar_optuna.distillation._training import Trainer

MAX_GRADIENT_NORM = 1.0
_SIZES_PER_BATCH = 10  # packed batches are filled up to the next tenth of a mean batch
_PADDED_TO = 32  # tokens; padded batches are filled up to the next multiple

Shape = tuple[int, int]

_of_thread = threading.local()


class FixedSteps:
    """Updates a trainer's network, optimizer and average by the steps of an epoch; on a GPU, captured if it says so."""

    def __init__(self, trainer: Trainer) -> None:
        self.network, self.recipe, self.lesson = trainer.network, trainer.recipe, trainer.lesson
        self.optimizer, self.average, self.parameters = trainer.optimizer, trainer.average, trainer.parameters
        self.trained = trainer.trained
        self.tokens, self.device = trainer.train.tokens, trainer.device
        self.is_captured = trainer.is_captured and self.device.type == "cuda"
        self.is_packed = is_packed(self.network, self.device)
        self.narrow = NarrowCopy(self.network) if trainer.is_narrow else None
        self.rate: Tensor = self.optimizer.param_groups[0]["lr"]  # on the device
        self.generator = torch.Generator(self.device)
        self.graphs: dict[Shape, Any] = {}
        self._seen: set[Shape] = set()
        self._ranges: dict[int, Tensor] = {}
        self._moves: dict[tuple[int, int], Tensor] = {}
        self._pool = torch.cuda.graph_pool_handle() if self.is_captured else None
        self.total = torch.zeros((), device=self.device)
        self.counters = torch.zeros(4, dtype=torch.int64, device=self.device)
        self.begin, self.number, self.row, self.in_window = self.counters
        self.order, self.rates, self.weights, self.of_logs, self.least = (
            torch.empty(0, device=self.device) for _ in range(5)
        )
        self.rows = 0  # of a step's coefficients

    def epoch(
        self, plan: Sequence[Indices], reading: Indices, *, rates: Sequence[float], weights: Sequence[float], seed: int
    ) -> Tensor:
        """Do the steps of an epoch, without waiting for the device.

        Args:
            plan: What each step is dealt.
            reading: The text of each function in this epoch.
            rates: Learning rate of each step.
            weights: Weight of the new parameters in their average, of each step.

        Returns:
            The sum of the steps' losses.
        """
        self.lesson.read(reading)
        self.order = self._filled(self.order, np.concatenate(plan))
        self.rates = self._filled(self.rates, np.array(rates, dtype=np.float32))
        self.weights = self._filled(self.weights, np.array(weights, dtype=np.float32))
        for counter in (self.total, self.begin, self.number):
            counter.zero_()
        self.generator.manual_seed(seed)
        if self.narrow is not None:
            self.narrow.refresh()
        with nullcontext() if self.device.type == "cuda" else seeded(seed):
            for window in self.lesson.in_windows(plan, self.recipe):
                self._begin_window(window)
                for dealt in window.steps:
                    self._do(self._shape(dealt, reading))
        return self.total

    def _begin_window(self, window: Window) -> None:
        """Put the coefficients of some steps where these look for them."""
        found = window.coefficients
        if found is None:
            return
        self.rows = found.of_logs.shape[1]
        self.of_logs = self._held(self.of_logs, found.of_logs.flatten(0, 1))
        self.least = self._held(self.least, found.least)
        self.row.zero_()
        self.in_window.zero_()

    def _held(self, buffer: Tensor, values: Tensor) -> Tensor:
        """Values at the head of a buffer, the same one for as long as it is large enough: captured graphs read it."""
        if len(buffer) < len(values):
            self.graphs.clear()
            self._seen.clear()
            buffer = values.new_empty((max(WINDOW_ROWS, len(values)), *values.shape[1:]))
        buffer[: len(values)].copy_(values)
        return buffer

    def _filled(self, buffer: Tensor, values: Any) -> Tensor:
        """Values on the device, in the same buffer in every epoch: captured graphs read it."""
        if not len(buffer):
            return torch.from_numpy(values).to(self.device)
        return buffer.copy_(torch.from_numpy(values))

    def _shape(self, dealt: Indices, reading: Indices) -> Shape:
        """What is fixed in a step: how much it is dealt, and the tokens that it has place for."""
        functions = dealt if self.lesson.learns_all_pairs else self.lesson.host_inputs[dealt].reshape(-1)
        lengths = self.tokens.host_lengths[reading[functions]]
        if not self.is_packed:
            longest = -(-int(lengths.max()) // _PADDED_TO) * _PADDED_TO
            return len(dealt), min(longest, self.tokens.max_sequence_length)
        mean = self.tokens.host_lengths.mean() * len(functions)
        unit = max(1, round(mean / _SIZES_PER_BATCH / 128)) * 128
        return len(dealt), -(-int(lengths.sum()) // unit) * unit

    def _do(self, shape: Shape) -> None:
        if shape in self.graphs:
            self.graphs[shape].replay()
            return
        with drawing_from(self.generator) if self.device.type == "cuda" else nullcontext():
            if not self.is_captured or shape not in self._seen:
                self._seen.add(shape)
                self._step(shape)
                return
            graph = torch.cuda.CUDAGraph()
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                self._step(shape)
            finally:
                graph.capture_end()
        self.graphs[shape] = graph
        graph.replay()

    def _step(self, shape: Shape) -> None:
        """One update; what it is dealt, its rate and its weight stand at the counters."""
        count, size = shape
        dealt = self.order[self.begin + self._range(count)]
        self.rate.copy_(self.rates.take(self.number))
        self.optimizer.zero_grad(set_to_none=True)
        network = self.network if self.narrow is None else self.narrow.network
        encode = partial(self._encoded, network, size=size)
        loss = self.lesson.loss(network, dealt, encode, self.recipe, self._of_step())
        loss.backward()
        if self.narrow is not None:
            self.narrow.hand_over_gradients()
        nn.utils.clip_grad_norm_(self.trained, MAX_GRADIENT_NORM, foreach=True)
        self.optimizer.step()
        if self.recipe.averaging:
            moves = torch._foreach_sub([p.detach() for p in self.parameters], self.average)
            torch._foreach_mul_(moves, self.weights.take(self.number))
            torch._foreach_add_(self.average, moves)
        if self.narrow is not None:
            self.narrow.refresh()
        self.total += loss.detach()
        self.counters += self._move(count)

    def _of_step(self) -> tuple[Tensor, Tensor] | None:
        """The coefficients of the step at the counters (see `Coefficients`)."""
        if not self.rows:
            return None
        return self.of_logs[self.row + self._range(self.rows)], self.least.take(self.in_window)

    def _range(self, count: int) -> Tensor:
        """Numbers (count,) from 0, kept: a captured graph reads them."""
        if count not in self._ranges:
            self._ranges[count] = torch.arange(count, device=self.device)
        return self._ranges[count]

    def _move(self, count: int) -> Tensor:
        """How far a step that is dealt so much moves the counters, kept as well."""
        key = count, self.rows
        if key not in self._moves:
            self._moves[key] = torch.tensor([count, 1, self.rows, 1], device=self.device)
        return self._moves[key]

    def _encoded(self, network: Any, texts: Tensor, *, size: int) -> Tensor:
        """Vectors (n, k) of texts (n,)."""
        probability = self.recipe.token_dropout_prob
        if self.is_packed:
            return network.encode_packed(self.tokens.packed(texts, size, dropout=probability))  # type: ignore[no-any-return]
        ids, mask = self.tokens.padded(texts, size)
        if probability:
            ids = self.tokens.with_dropout(ids, torch.arange(size, device=self.device) == 0, probability)
        return network.encode(ids, mask)  # type: ignore[no-any-return]


@contextmanager
def own_stream(device: torch.device | str) -> Iterator[None]:
    """Give a thread's work on a GPU a stream of its own, where it has none: only there can steps be captured."""
    device = torch.device(device)
    if device.type != "cuda" or torch.cuda.current_stream(device) != torch.cuda.default_stream(device):
        yield
        return
    # One for as long as the thread lives: torch hands out 32 streams by turns, and a shared one cannot be captured.
    if not hasattr(_of_thread, "stream"):
        _of_thread.stream = torch.cuda.Stream(device)
    default, own = torch.cuda.default_stream(device), _of_thread.stream
    own.wait_stream(default)
    with torch.cuda.stream(own):
        yield
    default.wait_stream(own)
