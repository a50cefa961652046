"""The training engine: one loop for students that learn from a teacher and for teachers that learn from labels."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from avatar_optuna.distillation._batches import Indices, plan_functions, plan_inputs, plan_reading
from avatar_optuna.distillation._checkpoint import CheckpointStore, read_checkpoint, write_checkpoint
from avatar_optuna.distillation._chunked_encoder import ChunkedEncoder
from avatar_optuna.distillation._classifier import classify_all, encode_all
from avatar_optuna.distillation._contrastive import GroupPlan
from avatar_optuna.distillation._fixed_steps import MAX_GRADIENT_NORM, FixedSteps, own_stream
from avatar_optuna.distillation._lesson import Lesson, has_bf16
from avatar_optuna.distillation._randomness import seed_of, seeded
from avatar_optuna.distillation._recipe import EpochRecord, Examples, Judge, OnEpoch, Recipe, SoftLabels
from avatar_optuna.distillation._representation import new_projection
from avatar_optuna.distillation._schedule import Cooldown, Schedule, cooldown_of
from avatar_optuna.exceptions import DivergenceError
from avatar_optuna.students import FULL_PRECISION
from avatar_optuna.students.packing import is_packed
from avatar_optuna.students.weights import rounded_weights
from avatar_optuna.tasks import accuracies

logger = logging.getLogger(__name__)

EVALUATION_BATCH = {"cpu": 16, "cuda": 512}  # functions
_CHECKED_EVERY = 50  # steps between looks at the loss on a GPU, each of which waits for the device


class Trainer:
    """Trains one network; `run` goes on from the checkpoint in its folder, exactly.

    Order, dropout and learning rate are pure functions of the seed and the step, so the state of a run is its weights,
    their average and the optimizer's moments. A projection to the teacher's vectors is trained beside the network, and
    is a part of that state. On one machine, versions and thread count, an interrupted run ends with
    the same weights as another, on a CPU to the last bit.

    Args:
        network: What is trained, on its device (see `Network`).
        valid: The validation split; the best epoch is the one with the best balanced accuracy on it.
        fingerprint: Names the run; a checkpoint of another run is left unread and replaced.
        num_labels: Of the task.
        store: Where the checkpoint is kept besides, or None.
        has_fixed_steps: Whether steps have fixed shapes (see `FixedSteps`); None: on a GPU. Where the memory is too
            small for them, and otherwise, a step reads its functions in chunks of like length.
        is_captured: Whether steps of fixed shapes are captured, on a GPU.
        is_narrow: Whether steps of fixed shapes compute with a copy of the network in bf16 (see `NarrowCopy`); the
            network must read and give bf16 throughout. None: where packed functions are read, and the GPU has bf16.
        precision: Of the weights once they are written: epochs are judged by what will be read back.
        stop_after: Epochs after which a part of the recipe's training ends; None trains to its end.
        judge: Says by another figure than balanced accuracy which epoch is the best; None by that.
        before_evaluation: Called with the weights that are evaluated in the network; settles what no gradient teaches.
    """

    def __init__(
        self,
        network: Any,
        *,
        recipe: Recipe,
        train: Examples,
        valid: Examples,
        soft_labels: SoftLabels | None,
        directory: Path,
        fingerprint: str,
        num_labels: int,
        store: CheckpointStore | None = None,
        has_fixed_steps: bool | None = None,
        is_captured: bool = True,
        is_narrow: bool | None = None,
        precision: str = FULL_PRECISION,
        stop_after: int | None = None,
        judge: Judge | None = None,
        before_evaluation: Callable[[], None] | None = None,
    ) -> None:
        self.judge, self.before_evaluation = judge, before_evaluation
        self.network, self.recipe, self.train, self.valid = network, recipe, train, valid
        self.soft_labels, self.directory, self.fingerprint, self.store = soft_labels, directory, fingerprint, store
        self.device = train.tokens.ids.device
        self.num_functions = len(train.tokens) // (1 + recipe.num_others)
        self.projection = self._new_projection()
        self.lesson = Lesson(
            train,
            soft_labels,
            num_labels=num_labels,
            num_functions=self.num_functions,
            views=recipe.views,
            label_weights=recipe.label_weights,
            projection=self.projection,
        )
        self.group_plan = GroupPlan(train.groups, train.inputs, train.labels) if train.groups is not None else None
        self.encoder = ChunkedEncoder(network, train.tokens, token_dropout_prob=recipe.token_dropout_prob)
        self.steps_per_epoch = len(self._plan(0))
        self.schedule = Schedule(
            steps_per_epoch=self.steps_per_epoch,
            steps=recipe.epochs * self.steps_per_epoch,
            highest_rate=recipe.learning_rate,
            warmup_ratio=recipe.warmup_ratio,
        )
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.trained = [*self.parameters, *(self.projection.parameters() if self.projection is not None else ())]
        self.has_fixed_steps = self.device.type == "cuda" if has_fixed_steps is None else has_fixed_steps
        self.is_captured, self.precision = is_captured, precision
        computes_narrow = is_packed(network, self.device) and has_bf16(self.device)
        self.is_narrow = computes_narrow if is_narrow is None else is_narrow
        self.num_epochs = recipe.epochs if stop_after is None else min(stop_after, recipe.epochs)
        self.fixed_steps: FixedSteps | None = None
        rate = torch.zeros((), device=self.device) if self.has_fixed_steps else 0.0
        self.optimizer = torch.optim.AdamW(self._groups(), lr=rate, fused=True, capturable=self.device.type == "cuda")
        self.average = [p.detach().clone() for p in self.parameters]
        self.best: list[Tensor] = []
        self.history: list[EpochRecord] = []

    def run(self, on_epoch: OnEpoch | None = None) -> EpochRecord:
        """Train to the end (sooner where patience runs out) and leave the best epoch's weights in the network.

        Returns:
            The record of the best epoch.

        Raises:
            DivergenceError: The loss or the weights are no longer finite.
            AvatarError: The device's memory does not hold even one function.
        """
        with own_stream(self.device):
            self._resume()
            while len(self.history) < self.num_epochs:
                cooldown = self._cooldown()
                if cooldown is not None and len(self.history) >= cooldown.end:
                    break
                record = self._epoch(len(self.history), cooldown)
                self.history.append(record)
                self._write_checkpoint()
                if on_epoch is not None:
                    on_epoch(record)
            self._assign(self.best)
        return self.best_record

    @property
    def best_record(self) -> EpochRecord:
        """Record of the best epoch so far."""
        return next(record for record in reversed(self.history) if record.is_best)

    def _cooldown(self) -> Cooldown | None:
        if self.recipe.patience is None:
            return None
        labels = self.valid.labels
        num_labels = len(np.unique(labels))
        return cooldown_of(self.history, patience=self.recipe.patience, num_inputs=len(labels), num_labels=num_labels)

    def _new_projection(self) -> nn.Linear | None:
        """What is trained beside the network and thrown away with the trainer, where the teacher's vectors are learnt.

        Raises:
            ValueError: The teacher's vectors are to be learnt, and there are none.
        """
        if not self.recipe.representation_weight:
            return None
        if self.soft_labels is None or self.soft_labels.vectors is None:
            raise ValueError("a representation weight above 0 needs the teacher's function vectors")
        size = self.soft_labels.vectors.shape[1]
        return new_projection(self.network, self.train, size, seed=self.recipe.seed)

    def _groups(self) -> list[dict[str, Any]]:
        """Weight decay on matrices, none on biases and norms."""
        return [
            {"params": [p for p in self.trained if p.ndim > 1], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in self.trained if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def _plan(self, epoch: int) -> list[Indices]:
        rng = np.random.default_rng([self.recipe.seed, epoch])
        size = self.recipe.batch_size
        if self.group_plan is not None:
            return self.group_plan.batches(size, rng)
        if self.lesson.learns_all_pairs:
            return plan_functions(self.train.inputs, self.train.labels, batch_size=size, rng=rng)
        return plan_inputs(len(self.train.labels), batch_size=size, limit=self.recipe.max_train_inputs, rng=rng)

    def _epoch(self, epoch: int, cooldown: Cooldown | None) -> EpochRecord:
        started = time.perf_counter()
        self.schedule = replace(self.schedule, cooldown=cooldown)
        if cooldown is not None and epoch == cooldown.after:  # it falls from the best epoch, not from what followed
            self._assign(self.best)
            torch._foreach_copy_(self.average, self.best)
        total = self.train_epoch(epoch)
        self._check_finite(total, epoch, (epoch + 1) * self.steps_per_epoch)
        valid = self._evaluate()
        is_best = not self.history or self._rank(valid) > self._rank(self.best_record.valid)
        if is_best:
            self.best = [p.clone() for p in self._kept]
        return EpochRecord(
            epoch=epoch + 1,
            epochs=self.recipe.epochs,
            loss=total.item() / self.steps_per_epoch,
            valid=valid,
            seconds=time.perf_counter() - started,
            is_best=is_best,
        )

    def train_epoch(self, epoch: int) -> Tensor:
        """Do the steps of an epoch; returns the sum of their losses, on the device."""
        self.network.train()
        plan = self._plan(epoch)
        reading = plan_reading(
            self.num_functions, self.recipe.num_others, np.random.default_rng([self.recipe.seed, epoch, 1])
        )
        seed = seed_of(self.recipe.seed, epoch)
        if self.has_fixed_steps:
            before = {name: tensor.clone() for name, tensor in self._state().items()}
            try:
                return self._fixed_epoch(epoch, plan, reading, seed)
            except torch.OutOfMemoryError as error:
                self.has_fixed_steps, self.fixed_steps = False, None
                self.encoder.halve(error)
                self._restore(before)
        self.lesson.read(reading)
        total, step = torch.zeros((), device=self.device), epoch * self.steps_per_epoch
        with seeded(seed, self.device), self.encoder.computing():
            for window in self.lesson.in_windows(plan, self.recipe):
                for number, dealt in enumerate(window.dealt):
                    total += self._step(dealt, window.of_step(number), step)
                    if self.device.type == "cpu" or step % _CHECKED_EVERY == _CHECKED_EVERY - 1:
                        self._check_finite(total, epoch, step)
                    step += 1
        return total

    def _fixed_epoch(self, epoch: int, plan: list[Indices], reading: Indices, seed: int) -> Tensor:
        if self.fixed_steps is None:
            self.fixed_steps = FixedSteps(self)
        steps = range(epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch)
        rates = [self.schedule.rate_at(step) for step in steps]
        weights = [self.schedule.weight_at(step) for step in steps]
        return self.fixed_steps.epoch(plan, reading, rates=rates, weights=weights, seed=seed)

    def _check_finite(self, total: Tensor, epoch: int, step: int) -> None:
        if not torch.isfinite(total):
            raise DivergenceError(
                f"the training diverged: the loss was {total.item()} by step {step} of epoch {epoch + 1}, "
                f"at a learning rate of {self.recipe.learning_rate:g}"
            )

    def _step(self, dealt: Tensor, of_step: tuple[Tensor, Tensor] | None, step: int) -> Tensor:
        """One update; where the device's memory runs out, the step is begun anew in chunks of half the size."""
        rate = self.schedule.rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        while True:
            try:
                self.optimizer.zero_grad(set_to_none=True)
                loss = self.lesson.loss(self.network, dealt, self.encoder, self.recipe, of_step)
                loss.backward()
                break
            except torch.OutOfMemoryError as error:
                self.encoder.halve(error)
        nn.utils.clip_grad_norm_(self.trained, MAX_GRADIENT_NORM, foreach=True)
        self.optimizer.step()
        if self.recipe.averaging:
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], self.schedule.weight_at(step))
        return loss.detach()

    @property
    def _kept(self) -> list[Tensor]:
        """The weights that are evaluated and kept: the average, or the parameters themselves."""
        return self.average if self.recipe.averaging else [p.detach() for p in self.parameters]

    @property
    def _written(self) -> list[Tensor]:
        """The kept weights at the precision in which they are written."""
        if self.precision == FULL_PRECISION:
            return self._kept
        return rounded_weights(self.network, self._kept, self.precision)

    def _assign(self, weights: list[Tensor]) -> None:
        torch._foreach_copy_([p.detach() for p in self.parameters], weights)

    def _evaluate(self) -> dict[str, float]:
        trained = [p.detach().clone() for p in self.parameters]
        self._assign(self._written)
        self.network.eval()
        if self.before_evaluation is not None:
            self.before_evaluation()
        vectors = encode_all(self.network, self.valid.tokens, batch_size=EVALUATION_BATCH[self.device.type])
        logits = classify_all(self.network, vectors, self.valid.inputs).cpu()
        figures = validation_figures(logits, self.valid.labels)
        if self.judge is not None:
            logits_of = partial(classify_all, self.network, vectors)
            figures[self.judge.metric] = self.judge(logits.numpy(), lambda inputs: logits_of(inputs).cpu().numpy())
        self._assign(trained)
        return figures

    def _rank(self, valid: Mapping[str, float]) -> tuple[float, float]:
        """Better epochs rank higher: by balanced accuracy (or what the judge says), then by loss."""
        loss, metric = valid["loss"], self.judge.metric if self.judge is not None else "balanced_accuracy"
        return valid[metric], -loss if math.isfinite(loss) else -math.inf

    def _state(self) -> dict[str, Tensor]:
        """All tensors of the run; a parameter that no gradient has reached yet has no moments."""
        groups = {"parameter": self.trained, "average": self.average, "best": self.best}
        tensors = {f"{name}.{i}": tensor for name, group in groups.items() for i, tensor in enumerate(group)}
        for i, parameter in enumerate(self.trained):
            tensors |= {f"{name}.{i}": tensor for name, tensor in self.optimizer.state[parameter].items()}
        return tensors

    def _write_checkpoint(self) -> None:
        state = {"fingerprint": self.fingerprint, "history": [record.to_dict() for record in self.history]}
        write_checkpoint(self.directory, self._state(), state)
        if self.store is not None:
            self.store.save(self.directory)

    def _resume(self) -> None:
        """Take up the checkpoint of this very run, if there is one here or in the store."""
        checkpoint = read_checkpoint(self.directory, self.device)
        if checkpoint is None and self.store is not None and self.store.load(self.directory):
            checkpoint = read_checkpoint(self.directory, self.device)
        if checkpoint is None or checkpoint[1]["fingerprint"] != self.fingerprint:
            return
        tensors, state = checkpoint
        self.history = [EpochRecord(**record) for record in state["history"]]
        self._restore(tensors)
        logger.info("resumed after epoch %d of %d", len(self.history), self.recipe.epochs)

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `_state` gave."""
        count = range(len(self.parameters))
        for i, parameter in enumerate(self.trained):
            parameter.detach().copy_(tensors[f"parameter.{i}"])
        self.average = [tensors[f"average.{i}"] for i in count]
        self.best = [tensors[f"best.{i}"] for i in count if f"best.{i}" in tensors]
        self.optimizer.state.clear()
        for i, parameter in enumerate(self.trained):
            if f"step.{i}" in tensors:
                self.optimizer.state[parameter] = {name: tensors[f"{name}.{i}"] for name in _MOMENTS}


_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of torch's AdamW


def validation_figures(logits: Tensor, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and balanced accuracy (fractions) of logits (n, labels), and their mean cross-entropy as `loss`."""
    loss = float(functional.cross_entropy(logits.float(), torch.from_numpy(labels)))
    return {**accuracies(logits.argmax(dim=1).numpy(), labels), "loss": loss}
