"""A teacher as an ordinary directory of Hugging Face: what `avatar-optuna teacher --save` writes, from any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoModel, RobertaConfig

from avatar_optuna.decision import Decision
from avatar_optuna.distillation import (
    Classifier,
    CrossClassifier,
    DataFlowNetwork,
    DataFlowReader,
    PairClassifier,
    SimilarityClassifier,
    SingleClassifier,
    StudentForSequenceClassification,
    Teacher,
    model_of_tensors,
    pair_classifier,
)
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import appearing
from avatar_optuna.manifest import store_decision, write_manifest


def save_teacher(teacher: Teacher, directory: Path, decision: Decision | None = None) -> None:
    """Write the model of a teacher into a new directory, which `[teacher] checkpoint` loads with the same logits.

    A classifier of single functions, and one that reads both functions of a pair in one input, is a sequence classifier
    of transformers; an encoder with a head of pairs has `pair_head.safetensors` beside it; vectors that are compared
    are a directory of sentence-transformers. `avatar.json` says how pairs are read, and keeps the decision.

    Args:
        decision: How its logits become probabilities and labels; None takes the one that it has, if it has one.

    Raises:
        InputError: Only the teacher's answers are known, or the directory holds something.
    """
    classifier = teacher.classifier
    if classifier is None:
        raise InputError(f"teacher {teacher.source}: only its answers are known, there is no model to save")
    require_new(directory)
    with appearing(directory) as draft:
        save_classifier(classifier, draft, source=teacher.source, language=teacher.task.language)
        if (kept := decision or teacher.decision) is not None:
            is_reversed = _own_names(classifier) != list(classifier.label_names)
            store_decision(draft, kept.mirrored() if is_reversed else kept)


def save_classifier(classifier: Classifier, directory: Path, *, source: str, **more: Any) -> None:
    """Write a classifier into a directory that exists; its manifest, written last, says that it is whole.

    Args:
        source: What the study file named.
        more: What the manifest says besides.

    Raises:
        InputError: Its network is none that can be saved.
    """
    network = _ordinary(classifier.network)
    reader = classifier.reader
    about: dict[str, Any] = {"data_flow": reader.to_dict()} if isinstance(reader, DataFlowReader) else {}
    if isinstance(network, SimilarityClassifier):
        length = classifier.max_sequence_length
        network.encoder.save(directory, similarity=network.similarity, max_sequence_length=length)
        about |= {"pair": "similarity", "odds": [network.scale, network.threshold]}
    elif isinstance(network, StudentForSequenceClassification):
        network.save_student(directory)
    elif isinstance(network, SingleClassifier | PairClassifier):
        network.save(directory)
        about |= {"pair": "cross"} if isinstance(classifier, CrossClassifier) else {}
    else:
        raise InputError(f"teacher {source}: its model must be one of transformers to be saved, it is not")
    _save_tokenizer(classifier, directory)
    write_manifest(
        directory,
        task_shape=classifier.task_shape,
        label_names=_own_names(classifier),
        max_sequence_length=classifier.max_sequence_length,
        is_student=isinstance(network, StudentForSequenceClassification),
        **more,
        **about,
    )


def require_new(directory: Path) -> None:
    """Refuse (`InputError`) a place where something is."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"--save: {directory} must be a new directory, it exists")


def _save_tokenizer(classifier: Classifier, directory: Path) -> None:
    """Write the tokenizer with the length that the teacher reads; the classifier's own stays as it is."""
    tokenizer = classifier.tokenizer
    before = tokenizer.model_max_length
    tokenizer.model_max_length = classifier.max_sequence_length
    try:
        tokenizer.save_pretrained(directory)
    finally:
        tokenizer.model_max_length = before


def _own_names(classifier: Classifier) -> list[str]:
    """Names of the labels in the order of the network's logits, as its configuration has them."""
    order = getattr(classifier.network, "order", None)
    names = list(classifier.label_names)
    if order is None:
        return names
    own = list(names)
    for label, column in enumerate(order):
        own[column] = names[label]
    return own


def _ordinary(network: nn.Module) -> nn.Module:
    """A network as transformers knows it, where it does: a student of pairs can be a RoBERTa with a head of pairs."""
    if isinstance(network, DataFlowNetwork):
        return network.network
    if not isinstance(network, StudentForSequenceClassification):
        return network
    config = network.config
    if config.num_functions != 2 or config.is_symmetric or config.position_embedding_type != "absolute":
        return network
    tensors = network.state_dict()
    parts = {
        prefix: {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        for prefix in ("roberta.", "classifier.")
    }
    stock = RobertaConfig.from_dict({**config.to_dict(), "model_type": "roberta"})
    encoder = model_of_tensors(AutoModel, "the trained teacher", stock, parts["roberta."])
    return pair_classifier("the trained teacher", encoder, parts["classifier."], len(config.id2label or {}), "first")
