"""Malformed inputs of every kind, run as commands in this process."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load, save
from transformers import BertConfig, BertForSequenceClassification, BertModel

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation._networks import PAIR_HEAD_FILE, PairClassifier, PairHead
from avatar_optuna.manifest import write_manifest
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.students.transformer.tokenizers import train_tokenizer
from tests.commands import CommandResult, run_command
from tests.data_writers import WRITERS
from tests.finished_study import write_study

NO_STORAGE = ("--storage", "sqlite:////proc/none/studies.db")
"""Ends a command with exit code 1 once its input has been looked at: a malformed input that is sound after all."""

TEACHERS = {
    "checkpoint": '[teacher]\ncheckpoint = "model"\n',
    "pretrained": '[teacher]\npretrained = "model"\n',
    "pairs": '[teacher]\ncheckpoint = "pair-model"\n',
    "soft_labels": '[teacher]\nsoft_labels = "answers"\n',
}

_FAILURES = re.compile(
    r"avatar-optuna \w+: "
    r"(the database( .*)? cannot be used|the artifact store .* cannot be made|a file cannot be used): "
)
"""How a command begins its last line where a server or a disk failed it, with exit code 1."""

_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 12345\n"
_VALUES = (
    *("-1", "0", "1", "2.5", "1e999", "nan", "inf", "true", '""', '" "', '"x"', "[]", "[[]]", "{}", "1979-05-27"),
    *("9" * 5_000, "0x" + "f" * 4_000, "[" * 3_000 + "]" * 3_000, '"\\u0000"', '"a\\u0000b"', '"' + "x" * 9_000 + '"'),
    *('["effectiveness", "effectiveness"]', "{ low = 1 }", "{ low = 9, high = 1 }", '{ low = "a", high = nan }'),
    *('"cuda"', '"cuda:99"', '"../.."', '"/dev/null"', '"\\uFEFF"', '[1, "a"]', "99999999999999999999", '"<= 3"'),
    *('"flops <= 1 and 1 < 2"', '"((flops ** 4) ** 4) % 3 == 1"', '["1 < 2", "flops <= 2e9"]', '["flops % 3 == 5"]'),
)
_ROWS = (
    "{}", "[]", "null", "1", '"x"', "{", '{"func": 1, "target": 0}', '{"func": "", "target": 0}', "\\", "\ufeff",
    '{"func": "f", "target": 2}', '{"func": "f", "target": true}', '{"func": "\\ud800", "target": 0}',
    '{"func": "\\ufeff", "target": 1}', '{"func": "f", "target": ' + "9" * 5_000 + "}", "[" * 100_000,
    '{"func": "f", "target": 1e400}', '{"func": "f"}', '{"target": 0}', '{"func": " \\t ", "target": 0}', "NaN",
)  # fmt: skip
_TASK_LINES = (
    *("columns = 3", "columns = { code = 3 }", 'columns = { code = "target" }', 'columns = { label = "func" }'),
    *('columns = { split = "project" }', 'columns = { id = "none" }', 'columns = { group = "day" }', "columns = {}"),
    *(
        "labels = 3",
        "labels = []",
        'labels = ["a"]',
        'labels = ["a", "a"]',
        'labels = ["1", "0"]',
        "labels = { a = 1 }",
    ),
    *('labels = { 0 = "safe", 1 = "vulnerable" }', 'labels = { 0 = "x", 1 = "y" }', 'labels = { "" = "safe" }'),
    *(
        'split = "80/20/0"',
        'split = "50/50"',
        'split = "98/1/1 disjoint"',
        'split = "unseen"',
        'split = "80/10/10/0"',
        'split = "given"',
    ),
    *('split_by_time = "day"', 'split_by_time = "func"', "split_by_time = 1", 'split_by_time = "target"'),
    *('split_by_group = "project"', 'split_by_group = "target"', 'split_by_group = ""', 'split_by_group = "none"'),
    *('unusable_rows = "skip"', "unusable_rows = true", 'group = "project"', 'group = "func"', 'pair = "none"'),
    *('language = "any"', "language = 1", "max_train = 1", "max_valid = 2"),
)
_TEXTS = ("", " ", "x", "\0", "-", "--", "..", "/", "~", "/dev/null", "/proc/self/mem", "é" * 300, "\ufeff", "\udcff")
_URLS = (
    "", " ", "x", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:////", "sqlite:///\0", "sqlite:////dev/null",
    "sqlite:///.", "postgresql://", "postgresql://u:p@127.0.0.1:1/x", "postgresql://[::1", "mysql://u@h/x", "grpc://h:1",
    "postgresql+psycopg://u:%zz@127.0.0.1:1/x", "://", "http://x", "sqlite+aiosqlite:///x.db", "sqlite:///a.db?mode=%00",
    "postgresql://127.0.0.1:99999/x", "postgresql://127.0.0.1:abc/x", "sqlite:///x.db?timeout=abc", "\udcff",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """One malformed input.

    Args:
        what: Which kind.
        edit: Changes the files of a folder with a sound study.
        words: The command.
        environment: Variables beside those of the process.
    """

    what: str
    words: tuple[str, ...]
    edit: Callable[[Path], None] = lambda folder: None
    environment: Mapping[str, str] = field(default_factory=dict)


def make_sound_folder(folder: Path) -> None:
    """A study, its data, models of one function and of pairs, an exported student, and soft labels: all sound."""
    write_study(folder, name="fuzzed")
    functions = [json.loads(row)["func"] for row in (folder / "data/train.jsonl").read_text().splitlines()]
    tokenizer = train_tokenizer("BPE", 300, functions)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=300, max_position_embeddings=64, **sizes))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    student = TRANSFORMER.configure(
        **sizes,
        tokenizer="BPE", vocab_size=300, hidden_act="relu", hidden_dropout_prob=0.1, learning_rate=1e-3, batch_size=8,
        attention_probs_dropout_prob=0.1, max_sequence_length=48, position_embedding_type="relative_key",
    )  # fmt: skip
    network = TRANSFORMER.build_network(student, TaskShape(arity=1))
    (folder / "student").mkdir()
    TRANSFORMER.save_network(network, folder / "student")
    tokenizer.save_pretrained(folder / "student")
    write_manifest(
        folder / "student",
        task_shape=TaskShape(arity=1),
        label_names=("safe", "vulnerable"),
        max_sequence_length=48,
        is_student=True,
    )
    (folder / "answers").mkdir()
    for split, count in (("train", 60), ("valid", 30)):
        np.save(folder / "answers" / f"soft_labels_{split}.npy", np.zeros((count, 2), dtype=np.float32))
    (folder / "function.c").write_text(functions[0])
    encoder = BertModel(BertConfig(vocab_size=300, max_position_embeddings=64, **sizes))
    PairClassifier(encoder, PairHead(sizes["hidden_size"], 2)).save(folder / "pair-model")
    tokenizer.save_pretrained(folder / "pair-model")
    _write_pairs(folder / "pair-data", functions)
    _write_rows(folder, functions)
    text = (folder / "study.toml").read_text()
    text = text.replace('"vulnerability-prediction"', '"clone-detection"').replace('"data"', '"pair-data"')
    (folder / "pairs.toml").write_text(text)


def _write_pairs(folder: Path, functions: Sequence[str]) -> None:
    folder.mkdir()
    rows = [json.dumps({"idx": index, "func": text}) for index, text in enumerate(functions)]
    (folder / "data.jsonl").write_text("\n".join(rows))
    pairs = [f"{index}\t{index + 1}\t{index % 2}" for index in range(16)]
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text("\n".join(pairs))


def _write_rows(folder: Path, functions: Sequence[str]) -> None:
    """The same rows in every format that is read, each in a folder of its own below `rows`."""
    rows = [
        {"func": function, "target": place % 2, "project": f"p{place % 7}", "day": f"2024-01-{place % 28 + 1:02}"}
        for place, function in enumerate(functions)
    ]
    for way, write in WRITERS.items():
        (folder / "rows" / way).mkdir(parents=True)
        write(rows, folder / "rows" / way / "rows")
    for place, row in enumerate(rows):
        path = folder / "rows/folders/rows" / ("safe", "vulnerable")[place % 2] / f"{place}.c"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(row["func"])


def run_malformed(sound: Path, malformed: Malformed) -> CommandResult:
    """Run it in a copy of a sound folder; an exception that is no exit is raised.

    Raises:
        AssertionError: The exit code is not 2 (nor 1, for a server or a disk that failed), the message is not one line,
            or something was left behind.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "study"
        shutil.copytree(sound, folder)
        malformed.edit(folder)
        before, kept = _listing(folder), dict(os.environ)
        for key in ("OPTUNA_STORAGE", "AVATAR_ARTIFACTS", "AVATAR_CACHE"):
            os.environ.pop(key, None)
        try:
            os.environ.update(malformed.environment)
            result = run_command(folder, *malformed.words)
        finally:
            os.environ.clear()
            os.environ.update(kept)
        left = _listing(folder)
    message = _without_usage(result.stderr)
    code = 1 if _FAILURES.match(message) else 2
    assert result.exit_code == code, f"{malformed.what}: exit code {result.exit_code}: {result.output}"
    assert "Traceback" not in result.output, f"{malformed.what}: {result.output}"
    assert message.startswith("avatar-optuna"), f"{malformed.what}: {result.stderr}"
    assert "\n" not in message.strip(), f"{malformed.what}: {result.stderr}"
    assert left == before, f"{malformed.what}: left behind {left ^ before}"
    return result


def _without_usage(text: str) -> str:
    """An error message, without the usage that argparse writes before its own."""
    return re.sub(r"\Ausage: .*?^(?=avatar-optuna[ a-z]*: error: )", "", text, flags=re.DOTALL | re.MULTILINE)


def _listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@st.composite
def malformed_inputs(draw: st.DrawFn) -> Malformed:
    """An input of any kind."""
    kinds = (
        *(_study_files, _data_rows, _model_files, _pair_models, _arrays, _urls, _arguments, _environments, _students),
        _data_files,
    )
    return draw(st.sampled_from(kinds).flatmap(lambda kind: kind()))


@st.composite
def _study_files(draw: st.DrawFn) -> Malformed:
    value = draw(st.sampled_from(_VALUES))
    line = draw(st.integers(0, 60))
    damage = draw(st.one_of(st.none(), _damages()))
    command = draw(st.sampled_from(("run", "space", "create")))

    def edit(folder: Path) -> None:
        path = folder / "study.toml"
        text = _with_teacher(path.read_text(), "soft_labels")
        lines = text.splitlines()
        places = [place for place, old in enumerate(lines) if "=" in old]
        place = places[line % len(places)]
        lines[place] = f"{lines[place].partition('=')[0]}= {value}"
        content = "\n".join(lines).encode()
        path.write_bytes(content if damage is None else damage(content))
        shutil.rmtree(folder / "answers")  # so that it is refused in any case
        if command != "run":
            path.write_bytes(path.read_bytes() + b"\n[constraint]\n")

    storage = NO_STORAGE if command != "space" else ()
    return Malformed(what=f"study.toml line {line}: {value[:60]}", words=(command, "study.toml", *storage), edit=edit)


@st.composite
def _data_rows(draw: st.DrawFn) -> Malformed:
    split, row = draw(st.sampled_from(("train", "valid", "test"))), draw(st.integers(0, 29))
    text = draw(st.sampled_from(_ROWS))
    damage = draw(st.one_of(st.none(), _damages()))

    def edit(folder: Path) -> None:
        path = folder / "data" / f"{split}.jsonl"
        lines = path.read_text().splitlines()
        lines[row] = text
        path.write_bytes("\n".join(lines).encode() if damage is None else damage(path.read_bytes()))

    return Malformed(what=f"{split}.jsonl row {row}: {text[:60]}", words=("run", "study.toml", *NO_STORAGE), edit=edit)


@st.composite
def _data_files(draw: st.DrawFn) -> Malformed:
    """Files of any format, and keys that say how they are read."""
    way = draw(st.sampled_from((*WRITERS, "folders")))
    place = draw(st.integers(0, 99))
    damage = draw(st.one_of(st.none(), _damages(), _json_damages()))
    lines = draw(st.lists(st.sampled_from(_TASK_LINES), max_size=2, unique_by=lambda line: line.partition(" ")[0]))

    def edit(folder: Path) -> None:
        path = next((folder / "rows" / way).iterdir())
        if damage is not None:
            files = sorted(file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
            file = files[place % len(files)]
            file.write_bytes(damage(file.read_bytes()))
        lines_ = [f'data = "{path.relative_to(folder)}"', *lines]
        if not any(line.startswith("split =") for line in lines):
            lines_.append('split = "60/20/20"')
        text = (folder / "study.toml").read_text().replace('data = "data"', "\n".join(lines_))
        (folder / "rows.toml").write_text(_with_teacher(text, "soft_labels"))
        shutil.rmtree(folder / "answers")  # so that it is refused in any case

    what = f"{way} file {place} {lines}"
    return Malformed(what=what, words=("run", "rows.toml", *NO_STORAGE), edit=edit)


@st.composite
def _model_files(draw: st.DrawFn) -> Malformed:
    kind = draw(st.sampled_from(("checkpoint", "pretrained")))
    name = draw(st.sampled_from(("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")))
    damage = draw(st.one_of(_damages(), _json_damages(), _tensor_damages()))

    def edit(folder: Path) -> None:
        path = folder / "study.toml"
        path.write_text(_with_teacher(path.read_text(), kind))
        path = folder / "model" / name
        path.write_bytes(damage(path.read_bytes()))

    return Malformed(what=f"{kind} {name}", words=("run", "study.toml", *NO_STORAGE), edit=edit)


@st.composite
def _pair_models(draw: st.DrawFn) -> Malformed:
    """Encoders with a head for pairs, as teachers and as models that `predict` is given."""
    name = draw(st.sampled_from((PAIR_HEAD_FILE, PAIR_HEAD_FILE, "config.json", "model.safetensors")))
    damage = draw(st.one_of(_damages(), _json_damages(), _tensor_damages()))
    commands = (
        ("run", "pairs.toml", *NO_STORAGE),
        ("predict", "pair-model", "function.c", "absent.c"),
    )

    def edit(folder: Path) -> None:
        path = folder / "pairs.toml"
        path.write_text(_with_teacher(path.read_text(), "pairs"))
        path = folder / "pair-model" / name
        path.write_bytes(damage(path.read_bytes()))

    return Malformed(what=f"pairs {name}", words=draw(st.sampled_from(commands)), edit=edit)


@st.composite
def _students(draw: st.DrawFn) -> Malformed:
    name = draw(st.sampled_from(("config.json", "model.safetensors", "tokenizer.json", "avatar.json", "function.c")))
    damage = draw(st.one_of(_damages(), _json_damages()))

    def edit(folder: Path) -> None:
        path = folder / name if name == "function.c" else folder / "student" / name
        path.write_bytes(damage(path.read_bytes()))
        if name == "function.c":
            path.write_bytes(path.read_bytes() + b"\xff")  # one sound file would be answered
            (folder / "second.c").write_text(" \n")

    files = ("function.c", "second.c") if name == "function.c" else ()
    return Malformed(what=f"student {name}", words=("predict", "student", *files, "absent.c"), edit=edit)


@st.composite
def _arrays(draw: st.DrawFn) -> Malformed:
    split = draw(st.sampled_from(("train", "valid")))
    header = draw(st.sampled_from(("(9999999999999, 2)", "(60, 99)", "()", "(-1, 2)", "((((1,),),),)", "(60, 2, 0)")))
    damage = draw(st.one_of(st.none(), _damages()))
    dtype = draw(st.sampled_from(("<f4", "|O", "<U9", "|V0", "<c8", "zz")))

    def edit(folder: Path) -> None:
        path = folder / "study.toml"
        path.write_text(_with_teacher(path.read_text(), "soft_labels"))
        array = folder / "answers" / f"soft_labels_{split}.npy"
        text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {header}, }}".ljust(117) + "\n"
        made = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 480
        array.write_bytes(made if damage is None else damage(array.read_bytes()))

    return Malformed(what=f"array {split} {dtype} {header}", words=("run", "study.toml", *NO_STORAGE), edit=edit)


@st.composite
def _urls(draw: st.DrawFn) -> Malformed:
    url = draw(st.one_of(st.sampled_from(_URLS), st.text(max_size=20)))
    words = draw(st.sampled_from((("front", "--study-name", "none"), ("list",), ("status", "--study-name", "\0"))))
    return Malformed(what=f"URL {url!r}", words=(*words, "--storage", url))


@st.composite
def _arguments(draw: st.DrawFn) -> Malformed:
    commands = ("run", "space", "teacher", "front", "report", "export", "distil", "predict", "worker", "copy", "delete")
    commands = (*commands, "list")
    options = (
        "--storage",
        "--study-name",
        "--artifacts",
        "--workers",
        "--devices",
        "--trial",
        "--student",
        "--out",
        "-f",
        "--from",
    )
    words = st.one_of(st.sampled_from(options), st.sampled_from(_TEXTS), st.text(max_size=9))
    more = draw(st.lists(words, max_size=6))
    more = [word for word in more if word not in ("-h", "--help", "--version")]
    return Malformed(
        what=f"arguments {more!r}", words=(draw(st.sampled_from(commands)), *more, "--storage", "sqlite:///none.db")
    )


@st.composite
def _environments(draw: st.DrawFn) -> Malformed:
    texts = st.sampled_from([text for text in (*_TEXTS, *_URLS) if "\0" not in text])
    names = (
        "OPTUNA_STORAGE",
        "AVATAR_ARTIFACTS",
        "AVATAR_CACHE",
        "CUDA_VISIBLE_DEVICES",
        "COLUMNS",
        "TERM",
        "NO_COLOR",
    )
    environment = draw(st.dictionaries(st.sampled_from(names), texts, min_size=1))
    words = draw(st.sampled_from((("front", "--study-name", "none"), ("teacher", "absent.toml"), ("list",))))
    storage = () if "OPTUNA_STORAGE" in environment or words[0] == "teacher" else ("--storage", "sqlite:///none.db")
    return Malformed(what=f"environment {environment!r}", words=(*words, *storage), environment=environment)


def _with_teacher(text: str, kind: str) -> str:
    return re.sub(r"\[teacher\].*?(?=\[space\])", TEACHERS[kind], text, flags=re.DOTALL)


def _damages() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """What happens to files: cut, emptied, zeroed, replaced, a few bytes changed."""
    constant: list[bytes] = [
        *(b"", b"\0", b"{}", b"[]", b"null", b"\xff\xfe\xfa", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, _LFS),
        *(b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, b"\x93NUMPY", b"\x80\x04K\x01.", b"\xef\xbb\xbf", b"\0" * 4_096),
    ]
    return st.one_of(
        st.sampled_from(constant).map(lambda content: lambda old: content),
        st.floats(0, 1).map(lambda share: lambda old: old[: int(share * (len(old) - 1))]),
        st.just(lambda old: b"\0" * len(old)),
        st.tuples(st.floats(0, 0.99), st.binary(min_size=1, max_size=8)).map(
            lambda change: lambda old: _overwritten(old, int(change[0] * len(old)), change[1])
        ),
    )


def _overwritten(old: bytes, place: int, new: bytes) -> bytes:
    return old[:place] + new + old[place + len(new) :]


def _json_damages() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """A value of a JSON file replaced by another."""
    values = st.sampled_from((None, -1, 0, 1e300, 10**30, "", "x", [], {}, True, [[1]], {"a": {"a": 1}}, "t5", "gpt2"))
    return st.tuples(st.integers(0, 60), values).map(lambda change: lambda old: _replaced(old, change[0], change[1]))


def _replaced(old: bytes, place: int, value: object) -> bytes:
    try:
        document = json.loads(old)
    except ValueError:
        return old[:-1]
    keys = sorted(document)
    return json.dumps({**document, keys[place % len(keys)]: value}).encode()


def _tensor_damages() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """A tensor of a safetensors file replaced by another, renamed, or taken away."""
    changes: tuple[Callable[[torch.Tensor], torch.Tensor | None], ...] = (
        lambda tensor: None,
        lambda tensor: tensor[:0],
        lambda tensor: tensor.flatten()[0],
        lambda tensor: torch.cat([tensor, tensor]),
        lambda tensor: tensor[None],
        lambda tensor: torch.full_like(tensor, float("nan")),
        lambda tensor: torch.full_like(tensor, float("inf")),
        lambda tensor: tensor.half(),
        lambda tensor: tensor.long(),
        lambda tensor: tensor > 0,
    )
    drawn = st.tuples(st.integers(0, 60), st.sampled_from(changes), st.booleans())
    return drawn.map(lambda change: lambda old: _with_other_tensor(old, *change))


def _with_other_tensor(
    old: bytes, place: int, change: Callable[[torch.Tensor], torch.Tensor | None], is_renamed: bool
) -> bytes:
    try:
        tensors = load(old)
    except SafetensorError:
        return old[:-1]
    name = sorted(tensors)[place % len(tensors)]
    changed = change(tensors.pop(name))
    if changed is not None:
        tensors[f"{name}.x" if is_renamed else name] = changed.contiguous()
    return save(tensors, metadata={"format": "pt"})
