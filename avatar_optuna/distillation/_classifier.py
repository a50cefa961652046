"""Logits of functions, from a student or a teacher alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from avatar_optuna.costs import TaskShape
from avatar_optuna.data_flow import variant_named
from avatar_optuna.distillation._fine_tuned import load_fine_tuned, shape_of_checkpoint
from avatar_optuna.distillation._models import first_line, model_directory
from avatar_optuna.distillation._networks import SingleClassifier, config_of
from avatar_optuna.distillation._padding import settle_padding
from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.exceptions import AvatarError, InputError, is_failure
from avatar_optuna.manifest import DEFAULT_TEMPERATURE, DEFAULT_THRESHOLD, MANIFEST_FILE, family_name, read_manifest
from avatar_optuna.students import FAMILIES
from avatar_optuna.students.packing import is_packed
from avatar_optuna.students.transformer import POSITION_OFFSET
from avatar_optuna.students.transformer.network import StudentForSequenceClassification

_UNLIMITED = 10**6
_VOCABULARY_FILES = frozenset({"tokenizer.json", "vocab.json", "vocab.txt", "merges.txt"})


class FunctionInputs(Protocol):
    """Functions that are ready to be given to a network, such as `Tokens`."""

    def __len__(self) -> int:
        """How many there are."""

    @property
    def ids(self) -> Tensor:
        """All token ids end to end."""

    @property
    def host_lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each function, shape (functions,)."""

    def batch(self, functions: npt.NDArray[np.int64]) -> tuple[Tensor | None, ...]:
        """What `Network.encode` takes for these functions."""

    def chunks(self, functions: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
        """Places in `functions`, by length, in chunks of at most `size`."""


class Reader(Protocol):
    """Turns functions into what a network takes, where that is more than token ids."""

    def read(self, functions: Sequence[str], device: torch.device) -> FunctionInputs:
        """Functions, ready for the network."""

    def is_truncated(self, functions: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Of each function, whether its end is not read."""

    def full_input(self, arity: int, device: torch.device) -> tuple[Tensor, ...]:
        """What `Network.encode` takes for `arity` functions that fill all places."""


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A classifier with its tokenizer, on one device.

    Args:
        network: Student or teacher, in evaluation mode, on `device` (see `Network`).
        task_shape: Functions an input, and labels.
        label_names: Names of the labels in their order.
        max_sequence_length: Longer functions are cut to this many tokens, special ones included.
        device: Where it computes.
        threshold: Of two labels, the label 1 is given from this probability on.
        temperature: By which its logits are divided where probabilities are asked for; no logits here are.
        language: Of the functions it learnt from, such as "java"; "" where its directory does not say.
        reader: Turns functions into what the network takes; None where that is token ids.
    """

    network: Any
    tokenizer: PreTrainedTokenizerBase
    task_shape: TaskShape
    label_names: tuple[str, ...]
    max_sequence_length: int
    device: torch.device
    threshold: float = DEFAULT_THRESHOLD
    temperature: float = DEFAULT_TEMPERATURE
    language: str = ""
    reader: Reader | None = None

    @classmethod
    def load(
        cls,
        directory: Path | str,
        *,
        task_shape: TaskShape | None = None,
        label_names: Sequence[str] | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Classifier:
        """Load a student (a directory with `avatar.json`, each file checked by hash) or a fine-tuned checkpoint.

        Only JSON and safetensors are read; nothing is unpickled and no code of the directory is run.

        Args:
            directory: The directory; for a checkpoint without `avatar.json` a hub name will do.
            task_shape: The form of the task; None takes the student's own, or what the checkpoint's files show.
            label_names: The task's: a classifier that names the same labels in another order answers in this one. None
                keeps its own.
            threads: Threads that torch computes with on the CPU, in this whole process; None leaves them.

        Raises:
            InputError: The directory holds no such model, a file was changed, or the form is another.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        path = Path(directory)
        if (path / MANIFEST_FILE).is_file():
            manifest = read_manifest(path, _files)
            stored = TaskShape.from_form(manifest["form"], manifest.get("num_labels", 2))
            if task_shape is not None and task_shape != stored:
                raise InputError(f"{directory}: the model must serve {task_shape}, it serves {stored}")
            task_shape = stored
            length = int(manifest["max_sequence_length"])
        else:
            manifest, length = {}, 0
            task_shape = task_shape if task_shape is not None else shape_of_checkpoint(str(directory))
        if manifest.get("is_student"):
            family = FAMILIES.get(family_name(manifest))
            network, tokenizer = family.load_network(path), family.load_tokenizer(path)
        else:
            network, tokenizer = load_fine_tuned(str(directory), task_shape), load_tokenizer(str(directory))
            settle_padding(str(directory), network, tokenizer)
            require_embeddings(str(directory), network, tokenizer)
        own_names = tuple(manifest.get("label_names") or _label_names(network, task_shape.num_labels))
        if label_names is not None and isinstance(network, SingleClassifier):
            network.reorder(own_names, label_names, f"teacher {directory}")
        classifier = cls(
            network=network.to(device).eval(),
            tokenizer=tokenizer,
            task_shape=task_shape,
            label_names=own_names if label_names is None else tuple(label_names),
            max_sequence_length=length or longest_sequence(network, tokenizer),
            device=torch.device(device),
            threshold=float(manifest.get("threshold", DEFAULT_THRESHOLD)),
            temperature=float(manifest.get("temperature", DEFAULT_TEMPERATURE)),
            language=str(manifest.get("language", "")),
        )
        return classifier._given_data_flow(str(directory), manifest)

    def _given_data_flow(self, source: str, manifest: Mapping[str, Any]) -> Classifier:
        """The classifier given data flow beside the code, where its manifest says that it was trained with it."""
        if not (about := manifest.get("data_flow")):
            return self
        from avatar_optuna.distillation._data_flow import with_data_flow

        variant = variant_named(str(about["variant"]))
        options = {name: int(about[name]) for name in ("code_length", "data_flow_length")}
        return with_data_flow(self, variant, source=source, language=str(about["language"]), **options)

    @property
    def has_vectors(self) -> bool:
        """Whether each function has a vector of its own."""
        return True

    @property
    def num_parameters(self) -> int:
        """Parameters, head included."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def prepare(self, functions: Sequence[str]) -> tuple[Tensor | None, ...]:
        """What `forward` takes for these functions, on the device; two rows an input for pairs."""
        return self.tokens(functions).batch(np.arange(len(functions)))

    def full_input(self) -> tuple[Tensor | None, ...]:
        """What `forward` takes for one input at full length: what costs are counted on."""
        arity = self.task_shape.arity
        if self.reader is not None:
            return self.reader.full_input(arity, self.device)
        return self._filled(arity)

    def _filled(self, rows: int) -> tuple[Tensor | None, ...]:
        """Ids (rows, t) that fill all places, with the end that encoder-decoders classify by, and no mask."""
        ids = torch.full((rows, self.max_sequence_length), 5, device=self.device)
        end = getattr(self.tokenizer, "eos_token_id", None)
        if end is not None:
            ids[:, -1] = end
        return ids, None

    @torch.inference_mode()
    def forward(self, *prepared: Tensor | None) -> Tensor:
        """Logits (m, labels) of prepared functions: what is timed, tokenization apart."""
        vectors = self.network.encode(*prepared)  # (n, k)
        return self.network.classify(vectors.reshape(-1, self.task_shape.arity * vectors.shape[-1]))  # type: ignore[no-any-return]

    def tokens(self, functions: Sequence[str]) -> FunctionInputs:
        """Functions as the network takes them, tokenized, on the device."""
        if self.reader is not None:
            return self.reader.read(functions, self.device)
        return Tokens.tokenize(
            self.tokenizer, functions, max_sequence_length=self.max_sequence_length, device=self.device
        )

    def is_truncated(self, functions: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Of each function, whether it is longer than `max_sequence_length`, so that its end is not read."""
        if self.reader is not None:
            return self.reader.is_truncated(functions)
        longest = self.max_sequence_length
        tokens = Tokens.tokenize(self.tokenizer, functions, max_sequence_length=longest + 1)
        return tokens.host_lengths > longest

    def encode(self, functions: Sequence[str], *, batch_size: int = 32) -> npt.NDArray[np.float32]:
        """Vectors (functions, k), each function encoded once, in batches of like length."""
        vectors = encode_all(self.network, self.tokens(functions), batch_size=batch_size)
        return vectors.cpu().numpy()

    def encode_parts(
        self, functions: Sequence[str], part: int, *, batch_size: int = 32
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Vectors (n, k) of `part` functions after the others, so that memory stays flat.

        While the network reads some, the next are tokenized.
        """
        starts = range(0, len(functions), part)
        with ThreadPoolExecutor(1) as ahead:
            waiting = [ahead.submit(self.tokens, functions[:part])]
            for start in starts:
                tokens = waiting.pop().result()
                if start + part < len(functions):
                    waiting.append(ahead.submit(self.tokens, functions[start + part : start + 2 * part]))
                yield encode_all(self.network, tokens, batch_size=batch_size).cpu().numpy()

    def predict_logits(
        self, functions: Sequence[str], inputs: npt.NDArray[np.integer[Any]], *, batch_size: int = 32
    ) -> npt.NDArray[np.float32]:
        """Logits (m, labels) of inputs, given as rows of places in `functions`, shape (m, 1 or 2)."""
        vectors = encode_all(self.network, self.tokens(functions), batch_size=batch_size)
        return classify_all(self.network, vectors, inputs).cpu().numpy()


@torch.inference_mode()
def encode_all(network: Any, tokens: FunctionInputs, *, batch_size: int) -> Tensor:
    """Vectors (functions, k) of all functions in float32, by batches of like length."""
    encode = partial(_encoded, network, tokens)
    vectors: Tensor | None = None
    for chunk in tokens.chunks(np.arange(len(tokens)), batch_size):
        part = in_halves(encode, chunk, "one function's vectors")
        if vectors is None:
            vectors = part.new_empty((len(tokens), part.shape[1]))
        vectors.index_copy_(0, torch.from_numpy(chunk).to(vectors.device), part)
    assert vectors is not None, "there is a function at least"
    return vectors


def _encoded(network: Any, tokens: FunctionInputs, functions: npt.NDArray[np.int64]) -> Tensor:
    """Vectors (n, k) of functions."""
    device = tokens.ids.device
    if isinstance(tokens, Tokens) and is_packed(network, device):
        size = int(tokens.host_lengths[functions].sum())
        packed = tokens.packed(torch.from_numpy(functions).to(device), size)
        return network.encode_packed(packed).float()  # type: ignore[no-any-return]
    return network.encode(*tokens.batch(functions)).float()  # type: ignore[no-any-return]


def in_halves(compute: Callable[[npt.NDArray[np.int64]], Tensor], rows: npt.NDArray[np.int64], what: str) -> Tensor:
    """What is computed of rows; one half after the other where the memory does not hold both.

    Raises:
        AvatarError: It does not hold one row.
    """
    try:
        return compute(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise AvatarError(f"the device's memory must hold {what}, it does not") from error
    torch.cuda.empty_cache()
    return torch.cat([in_halves(compute, half, what) for half in np.array_split(rows, 2)])


@torch.inference_mode()
def classify_all(network: Any, vectors: Tensor, inputs: npt.NDArray[np.integer[Any]], rows: int = 8192) -> Tensor:
    """Logits (m, labels) of inputs (m, f) over function vectors (functions, k), some thousand inputs at a time."""

    def classify(part: npt.NDArray[np.int64]) -> Tensor:
        places = torch.from_numpy(part).to(vectors.device)  # (m, f)
        return network.classify(vectors[places].flatten(1)).float()  # type: ignore[no-any-return]

    places = np.asarray(inputs, dtype=np.int64)
    what = "the head's work on one input"
    return torch.cat([in_halves(classify, places[at : at + rows], what) for at in range(0, len(places), rows)])


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a directory or hub model.

    Raises:
        InputError: There is none. Without its files transformers would make one of five special tokens, to which every
            function is the same.
    """
    directory = model_directory(source)
    if not any(path.name in _VOCABULARY_FILES or path.suffix == ".model" for path in directory.iterdir()):
        raise InputError(f"{source}: it must hold a tokenizer (tokenizer.json or a vocabulary), it holds none")
    with _refusing(source):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(directory)
    length = tokenizer.model_max_length
    if isinstance(length, bool) or not isinstance(length, int | float) or not length >= 1:
        raise InputError(f"{source}: model_max_length of the tokenizer must be a number of at least 1, got {length!r}")
    with _refusing(source):
        tokenizer(["int main() { return 0; }"])
    return tokenizer


@contextmanager
def _refusing(source: str) -> Iterator[None]:
    """Refuse (`InputError`) a tokenizer that transformers or tokenizers (whose exceptions are bare) refuses."""
    try:
        yield
    except BaseException as error:
        if not is_failure(error):
            raise
        raise InputError(
            f"{source}: tokenizer.json must hold a tokenizer that transformers knows: {first_line(error)}"
        ) from error


def require_embeddings(source: str, network: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse (`InputError`) a tokenizer with ids for which a network that says its vocabulary has no embedding."""
    rows = getattr(config_of(network), "vocab_size", None)
    largest = max(tokenizer.get_vocab().values(), default=0)
    if rows is not None and largest >= rows:
        raise InputError(f"{source}: the tokenizer's ids must be below the model's vocab_size of {rows}, got {largest}")


def longest_sequence(network: Any, tokenizer: PreTrainedTokenizerBase, default: int = 512) -> int:
    """The most tokens that both a model and its tokenizer say they take, or `default` where neither says."""
    if isinstance(network, StudentForSequenceClassification):
        return int(network.config.max_sequence_length)
    config = config_of(network)
    positions = getattr(config, "max_position_embeddings", None)
    limits = [tokenizer.model_max_length]  # an enormous number where the tokenizer does not say
    if positions:
        limits.append(positions - (POSITION_OFFSET if "roberta" in config.model_type else 0))
    return int(min([*limits, _UNLIMITED])) if min(limits) < _UNLIMITED else default


def _label_names(network: Any, num_labels: int) -> list[str]:
    """The names in a network's configuration; "LABEL_0" and so on where it names none, or another number of them."""
    names = getattr(getattr(network, "model", network), "config", None)
    names = {} if names is None else names.id2label or {}
    if set(names) == set(range(num_labels)):
        return [str(names[label]) for label in range(num_labels)]
    return [f"LABEL_{label}" for label in range(num_labels)]


def is_whole(directory: Path) -> bool:
    """Whether a directory holds a student or a trained teacher, each file as it was written."""
    try:
        return bool(read_manifest(directory, _files))
    except InputError:
        return False


def _files(family: str) -> tuple[str, ...]:
    return FAMILIES.get(family).files
