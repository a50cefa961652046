"""State dicts as published code saves them. Oracles: logits of the published code itself, and stock transformers."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import RobertaForSequenceClassification, RobertaModel

from avatar_optuna.distillation import PairHead
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.testing.tasks import small_task
from tests.teachers_tests.conftest import Oracle, roberta_config, write_base

State = dict[str, Tensor]


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("codexglue_clone", "codexglue-clone"),
        ("codexglue_defect", "codexglue-defect"),
        ("avatar_codebert_vulnerability", "avatar-codebert-vulnerability"),
    ],
)
def test_the_logits_are_those_of_the_published_code(name: str, layout: str, oracle: Oracle, tmp_path: Path) -> None:
    task, expected = oracle.task(name), oracle.outputs[f"{name}/text"]
    base = oracle.base(name, tmp_path / "base")
    settings = TeacherSettings(checkpoint=str(oracle.checkpoint(name)), base=str(base), layout=layout)
    check_teacher(settings, task, cache_dir=tmp_path)
    logits = load_teacher(settings, task, cache_dir=tmp_path).logits("valid")
    theirs = np.array(expected["logits"])
    if expected["activation"] == "sigmoid":
        theirs = np.stack([np.zeros(len(theirs)), theirs[:, expected["positive_column"]]], axis=1)
    np.testing.assert_allclose(logits, theirs, atol=1e-5)
    ours = torch.from_numpy(logits).softmax(dim=-1)[:, 1].numpy()
    np.testing.assert_allclose(ours, np.array(expected["prob"])[:, expected["positive_column"]], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("microsoft_graphcodebert_clone", "codexglue-clone"),
    ],
)
def test_a_detector_that_was_trained_with_data_flow_is_not_read_as_text(
    name: str, layout: str, oracle: Oracle, tmp_path: Path
) -> None:
    base = oracle.base(name, tmp_path / "base")
    settings = TeacherSettings(checkpoint=str(oracle.checkpoint(name)), base=str(base), layout=layout)
    with pytest.raises(InputError, match="clone detector of GraphCodeBERT, which was trained with the data flow"):
        load_teacher(settings, small_task(arity=2), cache_dir=tmp_path)


def _classifier(**options: Any) -> RobertaForSequenceClassification:
    torch.manual_seed(0)
    return RobertaForSequenceClassification(roberta_config(**options)).eval()


def _saved(path: Path, state: State) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return str(path)


def _stock_logits(model: Any, teacher: Any, task: Task) -> np.ndarray[Any, Any]:
    """Logits (n, l) of stock transformers, each input on its own, by the teacher's ids."""
    rows = []
    for function in task.valid.functions:
        ids = teacher.classifier.tokens([function]).ids[None].long()
        with torch.no_grad():
            rows.append(model(ids).logits[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.encoder.", "module.module.encoder."])
def test_keys_may_stand_below_prefixes(prefix: str, tmp_path: Path) -> None:
    task, model = small_task(num_labels=3), _classifier(num_labels=3)
    state = {f"{prefix}{key}": value.half().float() for key, value in model.state_dict().items()}
    state[f"{prefix}roberta.embeddings.position_ids"] = torch.arange(66)[None]
    model.load_state_dict({key: value.half().float() for key, value in model.state_dict().items()})
    settings = TeacherSettings(
        checkpoint=_saved(tmp_path / "model.bin", {key: _halved(value) for key, value in state.items()}),
        base=str(write_base(tmp_path / "base", task)),
        lower_case=False,
        one_line=False,
    )
    check_teacher(settings, task, cache_dir=tmp_path)
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    np.testing.assert_allclose(teacher.logits("valid"), _stock_logits(model, teacher, task), atol=1e-5)


def _halved(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


@pytest.mark.parametrize(
    ("head", "logits", "column"), [("sigmoid", 1, 0), ("sigmoid of column 0", 2, 0), ("sigmoid of column 1", 2, 1)]
)
def test_heads_that_a_sigmoid_reads(head: str, logits: int, column: int, tmp_path: Path) -> None:
    task, model = small_task(), _classifier(num_labels=logits)
    settings = TeacherSettings(
        checkpoint=_saved(tmp_path / "model.bin", model.state_dict()),
        base=str(write_base(tmp_path / "base", task)),
        head=head,
        lower_case=False,
        one_line=True,
    )
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    stock = _stock_logits(model, teacher, task)[:, column]
    np.testing.assert_allclose(teacher.logits("valid"), np.stack([0 * stock, stock], axis=1), atol=1e-5)


def test_the_one_logit_may_be_of_the_first_label(tmp_path: Path) -> None:
    task, model = small_task(), _classifier(num_labels=1)
    values = {
        "head": "sigmoid",
        "lower_case": False,
        "one_line": True,
        "base": str(write_base(tmp_path / "base", task)),
    }
    path = _saved(tmp_path / "model.bin", model.state_dict())
    plain = load_teacher(TeacherSettings(checkpoint=path, **values), task, cache_dir=tmp_path)
    turned = load_teacher(TeacherSettings(checkpoint=path, labels=["call_0"], **values), task, cache_dir=tmp_path)
    np.testing.assert_array_equal(turned.logits("valid"), plain.logits("valid")[:, ::-1])
    assert turned.fingerprint != plain.fingerprint


def test_text_is_lower_cased_and_joined_by_the_layout(tmp_path: Path) -> None:
    """The oracle is Python: " ".join(text.split()).lower(), with the characters that `str.split` knows."""
    task, model = small_task(), _classifier()
    values = {
        "checkpoint": _saved(tmp_path / "model.bin", model.state_dict()),
        "base": str(write_base(tmp_path / "base", task)),
    }
    published = load_teacher(
        TeacherSettings(**values, layout="compressor-codebert-vulnerability"), task, cache_dir=tmp_path
    )
    plain = load_teacher(
        TeacherSettings(**values, head="softmax", lower_case=False, one_line=False), task, cache_dir=tmp_path
    )
    text = "\n\n def\tCall(X):\x1c\x85 \u2028return X \u3000 "
    assert published.classifier is not None
    assert plain.classifier is not None
    ours = published.classifier.tokens([text]).ids.tolist()
    assert ours == plain.classifier.tokens([" ".join(text.split()).lower()]).ids.tolist()
    assert ours != plain.classifier.tokens([text]).ids.tolist()


def _pairs(dead: int | None = None, prefix: str = "encoder.") -> tuple[State, RobertaModel, PairHead]:
    """A clone detector of CodeXGLUE, with a dead head below its encoder if so many logits are given."""
    torch.manual_seed(0)
    encoder, head = RobertaModel(roberta_config()).eval(), PairHead(16, 2).eval()
    state = {f"{prefix}{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"classifier.{key}": value for key, value in head.state_dict().items()}
    if dead is not None:
        state |= {
            "encoder.classifier.dense.weight": torch.randn(16, 16),
            "encoder.classifier.dense.bias": torch.zeros(16),
            "encoder.classifier.out_proj.weight": torch.randn(dead, 16),
            "encoder.classifier.out_proj.bias": torch.zeros(dead),
        }
    return state, encoder, head


@pytest.mark.parametrize("layout", ["codexglue-clone", "avatar-codebert-clone", "compressor-codebert-clone"])
def test_clone_detectors(layout: str, tmp_path: Path) -> None:
    task, (state, encoder, head) = small_task(arity=2), _pairs()
    settings = TeacherSettings(
        checkpoint=_saved(tmp_path / "run" / "model.bin", {f"module.{key}": value for key, value in state.items()}),
        base=str(write_base(tmp_path / "base", task)),
        layout=layout,
    )
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    assert teacher.classifier is not None
    vectors = []
    for function in task.valid.functions:
        ids = teacher.classifier.tokens([function]).ids[None].long()
        with torch.no_grad():
            vectors.append(encoder(ids).last_hidden_state[0, 0])
    with torch.no_grad():
        joined = torch.stack(vectors)[torch.from_numpy(task.valid.inputs).long()].flatten(1)
        expected = head(joined).numpy()
    np.testing.assert_allclose(teacher.logits("valid"), expected, atol=1e-5)
    folder = TeacherSettings(**{**settings.options, "checkpoint": str(tmp_path / "run")})
    np.testing.assert_array_equal(
        load_teacher(folder, task, cache_dir=tmp_path).logits("valid"), teacher.logits("valid")
    )


def test_a_retrieval_encoder_is_compared_by_the_dot_product_of_its_poolers_output(tmp_path: Path) -> None:
    task = small_task(arity=2)
    state, encoder, _ = _pairs()
    state = {key: value for key, value in state.items() if key.startswith("encoder.")}
    settings = TeacherSettings(
        checkpoint=_saved(tmp_path / "model.bin", state),
        base=str(write_base(tmp_path / "base", task)),
        layout="codexglue-retrieval",
    )
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    assert teacher.classifier is not None
    ids = teacher.classifier.tokens(task.valid.functions[:1]).ids[None].long()
    with torch.no_grad():
        expected = encoder(ids).pooler_output[0].numpy()
    vectors = teacher.vectors("valid")
    assert vectors is not None
    np.testing.assert_allclose(vectors[0], expected, atol=1e-5)
    logits = teacher.logits("valid")
    first, second = (vectors[task.valid.inputs[:, side]] for side in (0, 1))
    assert (np.diff((logits[:, 1] - logits[:, 0])[np.argsort((first * second).sum(axis=1))]) >= -1e-5).all()


class _Anything:
    """An object that pickles and is no tensor."""


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            {},
            {"layout": None},
            "set teacher.lower_case .* teacher.one_line .* teacher.head .* or teacher.layout",
        ),
        (
            {},
            {"layout": None, "lower_case": True, "one_line": True},
            r"set teacher.head \(2 logits: softmax, or",
        ),
        ({}, {"base": None}, "set teacher.base to the model that the state dict was trained from"),
        ({}, {"layout": "codexglue-defect"}, 'the head "sigmoid" needs two labels and one logit, got 2 and 2'),
        ({}, {"layout": "codexglue-clone"}, "the layout codexglue-clone reads pairs of functions, the task has single"),
        ({"roberta.embeddings.LayerNorm.weight": None}, {}, "it lacks embeddings.LayerNorm.weight"),
        ({"roberta.embeddings.LayerNorm.weight": torch.ones(9)}, {}, r"must have the shape \(16,\) .*, it has \(9,\)"),
        ({"classifier.dense.weight": None}, {}, "the state dict lacks classifier.dense.weight"),
        ({"everything": "head"}, {}, "it must hold a classifier, it holds an encoder alone"),
        (
            {"roberta.embeddings.LayerNorm.weight": _Anything()},
            {},
            "must be a state dict of torch.save that",
        ),
        ({"roberta.embeddings.LayerNorm.weight": "text"}, {}, "must be a state dict of tensors by name"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    change: dict[str, Any], options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    task, state = small_task(), dict(_classifier().state_dict())
    for key, value in change.items():
        if key == "everything":
            state = {name: tensor for name, tensor in state.items() if not name.startswith("classifier")}
        elif value is None:
            del state[key]
        else:
            state[key] = value
    values = {"base": str(write_base(tmp_path / "base", task)), "layout": "avatar-codebert-vulnerability", **options}
    settings = TeacherSettings(
        checkpoint=_saved(tmp_path / "model.bin", state), **{key: one for key, one in values.items() if one is not None}
    )
    with pytest.raises(InputError, match=words) as refused:
        check_teacher(settings, task, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        lambda path: zipfile.ZipFile(path, "w").close(),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({}, path),
    ],
)
def test_a_file_that_is_no_state_dict_is_refused(write: Callable[[Path], None], tmp_path: Path) -> None:
    task = small_task()
    write(tmp_path / "model.bin")
    settings = TeacherSettings(
        checkpoint=str(tmp_path / "model.bin"),
        base=str(write_base(tmp_path / "base", task)),
        layout="avatar-codebert-vulnerability",
    )
    with pytest.raises(InputError, match=r"model\.bin: it must be a state dict"):
        check_teacher(settings, task, cache_dir=tmp_path)


def test_a_base_that_describes_no_model_is_refused(tmp_path: Path) -> None:
    task = small_task()
    base = write_base(tmp_path / "base", task)
    settings = TeacherSettings(
        checkpoint=_saved(tmp_path / "model.bin", _classifier().state_dict()),
        base=str(base),
        layout="avatar-codebert-vulnerability",
    )
    config = base / "config.json"
    written = config.read_text(encoding="utf-8")
    config.write_text(written.replace('"hidden_dropout_prob": 0.1', '"hidden_dropout_prob": -1'), encoding="utf-8")
    with pytest.raises(InputError, match=r"^teacher\.base .*base: it must hold the model of config\.json"):
        check_teacher(settings, task, cache_dir=tmp_path)
    config.write_text(written.replace('"roberta"', '"unheard-of"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"^teacher\.base .*config\.json must describe a model of transformers"):
        check_teacher(settings, task, cache_dir=tmp_path)


def test_a_detector_of_pairs_is_not_read_for_single_functions(tmp_path: Path) -> None:
    state, _, _ = _pairs()
    single, pair = small_task(), small_task(arity=2)
    values = {"checkpoint": _saved(tmp_path / "model.bin", state), "base": str(write_base(tmp_path / "base", single))}
    settings = TeacherSettings(**values, head="softmax", lower_case=True, one_line=True)
    with pytest.raises(InputError, match="its head must read 1 functions an input, it reads 2"):
        load_teacher(settings, single, cache_dir=tmp_path)
    state, _, _ = _pairs(dead=1, prefix="encoder.roberta.")
    settings = TeacherSettings(
        **{**values, "checkpoint": _saved(tmp_path / "other.bin", state)}, layout="codexglue-clone"
    )
    with pytest.raises(InputError, match="clone detector of GraphCodeBERT"):
        load_teacher(settings, pair, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"layout": "codexglue"}, 'layout must be one of "huggingface", "codexglue-clone"'),
        (
            {"layout": "codexglue-clone", "lower_case": True},
            'lower_case must be absent: the layout "codexglue-clone" fixes',
        ),
        ({"head": "tanh"}, 'head must be one of "softmax", "sigmoid"'),
        ({"labels": ["a", "a"]}, "labels must be a list of different names"),
        ({"lower_case": "yes"}, "lower_case must be true or false, got 'yes'"),
        ({"pair": "both"}, 'pair must be one of "head", "cross", "similarity"'),
        ({"sampled_pairs": -1}, "sampled_pairs must be a whole number from 0"),
        ({"base": ""}, "base must be text"),
    ],
)
def test_keys_are_checked_with_the_study_file(options: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^teacher.{fault}"):
        check_teacher(TeacherSettings(checkpoint="model.bin", **options), small_task(), cache_dir=tmp_path)


def test_a_pickled_checkpoint_of_hugging_face_is_read(tmp_path: Path) -> None:
    """`pytorch_model.bin` beside configuration and tokenizer, as older models have it: its answers are the same."""
    task, model = small_task(), _classifier()
    source = write_base(tmp_path / "model", task)
    _saved(source / "pytorch_model.bin", model.state_dict())
    teacher = load_teacher(TeacherSettings(checkpoint=str(source)), task, cache_dir=tmp_path)
    np.testing.assert_allclose(teacher.logits("valid"), _stock_logits(model, teacher, task), atol=1e-5)
    before = teacher.fingerprint
    _saved(source / "pytorch_model.bin", {key: 2 * value for key, value in model.state_dict().items()})
    assert load_teacher(TeacherSettings(checkpoint=str(source)), task, cache_dir=tmp_path).fingerprint != before
    _saved(source / "pytorch_model.bin", {"roberta.x": _Anything()})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"pytorch_model\.bin must hold the model of config\.json") as refused:
        load_teacher(TeacherSettings(checkpoint=str(source)), task, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)
