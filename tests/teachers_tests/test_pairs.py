"""Teachers of pairs: a head over two vectors, both functions in one input, a similarity. Oracle: the stock model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, AutoTokenizer

from avatar_optuna.distillation import CrossClassifier, PairClassifier, SimilarityClassifier, distil, fit_odds
from avatar_optuna.distillation._sentence_encoder import SentenceEncoder
from avatar_optuna.distillation._teacher import sample_pairs
from avatar_optuna.exceptions import InputError
from avatar_optuna.measurement import forward_flops
from avatar_optuna.measurement._models import classifier_runs
from avatar_optuna.settings import DistillationSettings, TeacherSettings
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from avatar_optuna.testing.tasks import small_task
from tests.teachers_tests.conftest import write_tokenizer
from tests.teachers_tests.test_classifiers import CONFIGS, write_classifier


def write_encoder(folder: Path, name: str, task: Task) -> tuple[str, Any]:
    torch.manual_seed(0)
    kind, values = CONFIGS[name]
    model = AutoModel.from_config(kind(**values)).eval()
    model.save_pretrained(folder)
    write_tokenizer(folder, task)
    return str(folder), model


def _hidden(model: Any, teacher: Any, function: str) -> Any:
    """Hidden states (t, w) of the stock model for one function."""
    ids = teacher.classifier.tokens([function]).ids[None].long()
    body = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    with torch.no_grad():
        return body(ids).last_hidden_state[0].numpy()


_POOLED = {
    "first": lambda hidden: hidden[0],
    "mean": lambda hidden: hidden.mean(axis=0),
    "last": lambda hidden: hidden[-1],
}


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("roberta", "first"), ("bert", "mean"), ("modernbert", None), ("codet5", None), ("plbart", None), ("gpt2", None)],
)
def test_an_encoder_with_a_head_of_pairs(name: str, pooling: str | None, tmp_path: Path) -> None:
    """It is fine-tuned here, found again, saved and loaded; its vectors are pooled from stock hidden states."""
    task = small_task(arity=2)
    source, _ = write_encoder(tmp_path / "model", name, task)
    options = {} if pooling is None else {"pooling": pooling}
    settings = TeacherSettings(pretrained=source, epochs=1, max_sequence_length=48, **options)
    check_teacher(settings, task, cache_dir=tmp_path)
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    assert teacher.classifier is not None
    network = teacher.classifier.network
    assert isinstance(network, PairClassifier)
    usual = {"codet5": "mean", "plbart": "mean", "gpt2": "last"}.get(name, "first")
    assert network.pooling == pooling or usual
    vectors = teacher.vectors("valid")
    assert vectors is not None
    for place, function in enumerate(task.valid.functions):
        expected = _POOLED[network.pooling](_hidden(network.encoder, teacher, function))
        np.testing.assert_allclose(vectors[place], expected, atol=1e-5)
    save_teacher(teacher, tmp_path / "saved")
    again = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), task, cache_dir=tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)


def test_logits_of_a_head_of_pairs_are_named_by_labels(tmp_path: Path) -> None:
    task = small_task(arity=2, num_labels=3)
    source, _ = write_encoder(tmp_path / "model", "roberta", task)
    trained = load_teacher(TeacherSettings(pretrained=source, epochs=1), task, cache_dir=tmp_path)
    save_teacher(trained, tmp_path / "saved")
    values = {"checkpoint": str(tmp_path / "saved"), "labels": ["call_2", "call_0", "call_1"]}
    named = load_teacher(TeacherSettings(**values), task, cache_dir=tmp_path)
    np.testing.assert_allclose(named.logits("valid"), trained.logits("valid")[:, [1, 2, 0]], atol=1e-5)
    two = small_task(arity=2)
    with pytest.raises(InputError, match="it must tell 2 labels apart, got 3"):
        load_teacher(TeacherSettings(checkpoint=values["checkpoint"], lower_case=True), two, cache_dir=tmp_path)


def _together(model: Any, source: str, task: Task) -> Any:
    """Logits (n, l) of the stock model and its tokenizer for the validation pairs, each on its own."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    types = getattr(model.config, "type_vocab_size", 0) > 1
    rows = []
    for first, second in task.valid.inputs:
        texts = task.valid.functions[first], task.valid.functions[second]
        encoded = tokenizer(*texts, return_tensors="pt", truncation=True, max_length=120, return_token_type_ids=types)
        with torch.no_grad():
            rows.append(model(**encoded).logits[0].numpy())
    return np.stack(rows)


def _cross(folder: Path, name: str, task: Task, num_labels: int) -> tuple[str, Any]:
    source, model = write_classifier(folder, name, task, num_labels=num_labels)
    if name == "bert":
        tokenizer = AutoTokenizer.from_pretrained(source)
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        tokenizer.save_pretrained(source)
    return source, model


@pytest.mark.parametrize("name", ["roberta", "bert", "modernbert", "codet5", "gpt2"])
@pytest.mark.parametrize("num_labels", [1, 3])
def test_a_classifier_that_reads_both_functions_in_one_input(name: str, num_labels: int, tmp_path: Path) -> None:
    """It has logits of listed pairs, and of sampled ones, and no vectors; it is timed, saved and loaded."""
    if name == "codet5":  # it needs as many end tokens in every input, and two functions have two
        num_labels = 3
    task = small_task(arity=2, num_labels=max(2, num_labels), inputs=12)
    source, model = _cross(tmp_path / "model", name, task, num_labels)
    head = {"head": "sigmoid"} if num_labels == 1 else {}
    settings = TeacherSettings(checkpoint=source, pair="cross", sampled_pairs=7, max_sequence_length=120, **head)
    check_teacher(settings, task, cache_dir=tmp_path)
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    assert isinstance(teacher.classifier, CrossClassifier)
    stock = _together(model, source, task)
    expected = np.concatenate([0 * stock, stock], axis=1) if num_labels == 1 else stock
    np.testing.assert_allclose(teacher.logits("valid"), expected, atol=1e-5)
    assert teacher.vectors("train") is None
    soft = teacher.soft_labels("cpu")
    assert soft.more_inputs is not None
    answers = teacher.classifier.predict_logits(task.train.functions, soft.more_inputs, batch_size=3)
    np.testing.assert_allclose(soft.logits[len(task.train) :].numpy(), answers, atol=1e-5)
    assert len(soft.logits) == len(task.train) + 7
    run = classifier_runs(teacher.classifier, task.test)(4)
    assert run().shape == (4, task.shape.num_labels)  # type: ignore[attr-defined]
    assert forward_flops(teacher.classifier) > 0
    save_teacher(teacher, tmp_path / "saved")
    again = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), task, cache_dir=tmp_path)
    assert isinstance(again.classifier, CrossClassifier)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)


def test_sampled_pairs_are_new_distinct_and_always_the_same() -> None:
    listed = np.array([[0, 1], [2, 1]], dtype=np.int32)
    pairs = sample_pairs(listed, 5, 100)
    assert sorted(map(tuple, pairs.tolist())) == [(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    assert (sample_pairs(listed, 50, 20) == sample_pairs(listed, 50, 20)).all()
    assert len(sample_pairs(listed, 50, 20)) == 20
    assert len(sample_pairs(listed, 1, 20)) == len(sample_pairs(listed, 50, 0)) == 0


def test_a_student_learns_from_a_teacher_without_vectors(tmp_path: Path) -> None:
    task = small_task(arity=2, inputs=24)
    source, _ = _cross(tmp_path / "model", "roberta", task, 2)
    teacher = load_teacher(
        TeacherSettings(checkpoint=source, pair="cross", sampled_pairs=30, max_sequence_length=120),
        task,
        cache_dir=tmp_path,
    )
    student = distil(
        hyperparameters=HASHED.configure(
            grams="tokens",
            buckets=256,
            width=4,
            pooling="mean",
            num_hidden_layers=0,
            intermediate_size=8,
            hidden_dropout_prob=0.0,
            max_sequence_length=128,
            learning_rate=0.01,
            batch_size=32,
        ),
        task=task,
        teacher=teacher,
        settings=DistillationSettings(epochs=2, hard_label_weight=0.5),
        out_dir=tmp_path / "student",
    )
    assert len(student.history) == 2
    with pytest.raises(InputError, match=r"distillation\.views: the teacher must be a model that labels"):
        teacher.soft_labels("cpu", ("def f(): pass",))


@pytest.mark.parametrize("name", ["roberta", "gpt2", "codet5"])
def test_vectors_of_an_encoder_are_compared(name: str, tmp_path: Path) -> None:
    task = small_task(arity=2)
    source, _ = write_encoder(tmp_path / "model", name, task)
    settings = TeacherSettings(checkpoint=source, pair="similarity", pooling="mean")
    check_teacher(settings, task, cache_dir=tmp_path)
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    assert teacher.classifier is not None
    network = teacher.classifier.network
    assert isinstance(network, SimilarityClassifier)
    vectors = teacher.vectors("valid")
    assert vectors is not None
    first, second = (vectors[task.valid.inputs[:, side]] for side in (0, 1))
    cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    logits = teacher.logits("valid")
    np.testing.assert_allclose(logits[:, 1], network.scale * (cosine - network.threshold), rtol=1e-3, atol=1e-4)
    save_teacher(teacher, tmp_path / "saved")
    again = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), task, cache_dir=tmp_path)
    np.testing.assert_allclose(again.logits("valid"), logits, rtol=1e-4, atol=1e-5)
    again_vectors = again.vectors("valid")
    assert again_vectors is not None
    np.testing.assert_allclose(again_vectors, vectors, atol=1e-6)


def test_the_odds_of_a_similarity_are_those_of_a_logistic_regression() -> None:
    """Drawn by known odds, they are found again; where a gap separates labels, the threshold lies in it."""
    rng = np.random.default_rng(0)
    similarities = torch.from_numpy(rng.uniform(-1, 1, 40_000))
    labels = torch.from_numpy(
        (rng.random(40_000) < 1 / (1 + np.exp(-6 * (similarities.numpy() - 0.2)))).astype(np.int64)
    )
    scale, threshold = fit_odds(similarities, labels)
    assert scale == pytest.approx(6, rel=0.05)
    counts = np.bincount(labels.numpy())
    assert threshold == pytest.approx(0.2 - np.log(counts[0] / counts[1]) / 6, abs=0.02)  # labels weigh the same
    scale, threshold = fit_odds(torch.tensor([0.1, 0.2, 0.8, 0.9]), torch.tensor([0, 0, 1, 1]))
    assert 0.2 < threshold < 0.8
    assert 1 < scale < 100
    assert fit_odds(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0, 0, 1]))[0] == 1e-3


@pytest.mark.parametrize(
    ("arity", "options", "words"),
    [
        (2, {}, r'must hold pair_head\.safetensors, it does not; .* needs teacher\.pair = "cross"'),
        (2, {"lower_case": True}, r"set teacher\.pair, its files do not say how it reads pairs"),
        (2, {"pair": "head"}, r"pair_head\.safetensors must be a safetensors file"),
        (2, {"pair": "similarity", "sampled_pairs": 3}, r"teacher\.sampled_pairs must be absent"),
        (1, {"pair": "similarity"}, r"teacher\.pair reads pairs of functions"),
    ],
)
def test_a_checkpoint_that_leaves_open_how_it_reads_pairs_is_refused(
    arity: int, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    task = small_task(arity=arity)
    source, _ = write_classifier(tmp_path / "model", "roberta", task)
    with pytest.raises(InputError, match=words) as refused:
        check_teacher(TeacherSettings(checkpoint=source, **options), task, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)


def test_a_similarity_tells_two_labels_apart(tmp_path: Path) -> None:
    task = small_task(arity=2, num_labels=3)
    source, _ = write_encoder(tmp_path / "model", "roberta", task)
    with pytest.raises(InputError, match="a similarity tells two labels apart, the task has 3"):
        check_teacher(TeacherSettings(checkpoint=source, pair="similarity"), task, cache_dir=tmp_path)


def test_a_sentence_encoder_pools_in_all_ways() -> None:
    """The oracle is NumPy, over each sequence on its own."""
    torch.manual_seed(0)
    hidden, mask = torch.randn(3, 5, 4), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])

    class Model(torch.nn.Module):
        config = CONFIGS["roberta"][0]()

        def forward(self, ids: Any, attention_mask: Any) -> Any:
            return type("Output", (), {"last_hidden_state": hidden})

    names = ("first", "max", "mean", "sqrt_mean", "weighted_mean", "last")
    vectors = SentenceEncoder(Model(), names)(mask, mask).reshape(3, 6, 4).numpy()  # type: ignore[arg-type]
    for row, length in enumerate((5, 2, 1)):
        own = hidden[row, :length].numpy()
        weights = np.arange(1, length + 1)[:, None]
        expected = (
            own[0],
            own.max(0),
            own.mean(0),
            own.sum(0) / length**0.5,
            (own * weights).sum(0) / weights.sum(),
            own[-1],
        )
        np.testing.assert_allclose(vectors[row], np.stack(expected), rtol=1e-5)
