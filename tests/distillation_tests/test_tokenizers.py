"""Oracle for the cut: a tokenizer trained at the smaller vocabulary itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

import avatar_optuna
from avatar_optuna.distillation import Tokens, train_tokenizer
from avatar_optuna.exceptions import InputError
from avatar_optuna.students.transformer import TOKENIZERS
from avatar_optuna.students.transformer.tokenizers import SPECIAL_TOKENS, _build, _train, _wrap

ROOT = Path(avatar_optuna.__file__).parent.parent


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    """Python's own modules, cut into chunks of 40 lines: real code that is always there, and that we do not edit."""
    texts = []
    for path in [*sorted(Path(json.__file__).parent.glob("*.py")), Path(subprocess.__file__)]:
        lines = path.read_text().splitlines()
        texts += ["\n".join(lines[start : start + 40]) for start in range(0, len(lines), 40)]
    return [*texts, "s = 'äöü 中文 😀'"]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("vocab_size", [16, 100, 600, 50_265])
def test_any_vocabulary(corpus: Sequence[str], kind: str, vocab_size: int) -> None:
    tokenizer = train_tokenizer(kind, vocab_size, corpus)
    vocab = tokenizer.get_vocab()
    assert sorted(vocab.values()) == list(range(len(vocab)))
    assert len(vocab) <= vocab_size
    if vocab_size <= 600:
        assert len(vocab) == vocab_size
    assert [vocab[token] for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    encoded = tokenizer(corpus[0])["input_ids"]
    assert (encoded[0], encoded[-1]) == (0, 2)
    assert max(encoded) < vocab_size
    assert len(set(encoded)) > (5 if vocab_size > 16 else 2)


@pytest.mark.parametrize("kind", ["BPE", "WordPiece", "Word"])
@pytest.mark.parametrize("vocab_size", [389, 700, 1500])
def test_a_cut_tokenizer_is_the_one_trained_at_that_size(corpus: Sequence[str], kind: str, vocab_size: int) -> None:
    def model(trained: dict[str, Any]) -> Any:
        return json.loads(_build(kind, trained, vocab_size).to_str())["model"]

    assert model(_train(kind, 50_265, corpus)) == model(_train(kind, vocab_size, corpus))


@pytest.mark.parametrize("vocab_size", [389, 700, 1025])
def test_a_cut_unigram_reads_nearly_as_the_one_trained_at_that_size(corpus: Sequence[str], vocab_size: int) -> None:
    def tokens(tokenizer: PreTrainedTokenizerBase) -> int:
        return sum(len(ids) for ids in tokenizer(list(corpus))["input_ids"])

    cut = train_tokenizer("Unigram", vocab_size, corpus)
    trained = _wrap(_build("Unigram", _train("Unigram", vocab_size, corpus), vocab_size))
    assert len(cut) == len(trained) == vocab_size
    assert tokens(cut) == pytest.approx(tokens(trained), rel=0.03)
    alphabet = {piece for piece in trained.get_vocab() if len(piece) == 1}
    assert alphabet <= set(cut.get_vocab())  # nothing that it read is unknown now


@pytest.mark.parametrize("kind", ["BPE", "Unigram"])
def test_byte_kinds_lose_only_space_case_and_rare_bytes(corpus: Sequence[str], kind: str) -> None:
    tokenizer = train_tokenizer(kind, 800, corpus)
    text = corpus[3]
    decoded = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
    assert decoded.strip() == " ".join(text.split()).lower()


def test_training_is_the_same_in_every_process(corpus: Sequence[str]) -> None:
    code = (
        "import sys, json; from avatar_optuna.students.transformer.tokenizers import _train\n"
        "kinds, corpus = ('BPE', 'WordPiece', 'Unigram'), json.load(sys.stdin)\n"
        "print(json.dumps([_train(kind, 900, corpus) for kind in kinds]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(corpus),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"},
    )
    here = [_train(kind, 900, corpus) for kind in ("BPE", "WordPiece", "Unigram")]
    assert json.loads(result.stdout) == json.loads(json.dumps(here))


def test_saved_and_loaded_equal(tmp_path: Path, corpus: Sequence[str]) -> None:
    for kind in TOKENIZERS:
        tokenizer = train_tokenizer(kind, 500, corpus)
        tokenizer.save_pretrained(tmp_path / kind)
        loaded = AutoTokenizer.from_pretrained(tmp_path / kind)
        assert loaded(corpus[1])["input_ids"] == tokenizer(corpus[1])["input_ids"]
        assert (loaded.pad_token_id, loaded.unk_token_id, loaded.mask_token_id) == (1, 3, 4)


def test_trained_once_however_many_ask(tmp_path: Path, corpus: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from avatar_optuna.students.transformer import tokenizers as _tokenizers

    trained = []

    def counting(kind: str, vocab_size: int, texts: Sequence[str]) -> dict[str, Any]:
        trained.append(vocab_size)
        return _train(kind, vocab_size, texts)

    monkeypatch.setattr(_tokenizers, "_train", counting)
    with ThreadPoolExecutor(4) as threads:
        sizes = [500, 600, 700, 800] * 2
        got = list(threads.map(lambda size: train_tokenizer("BPE", size, corpus, tmp_path), sizes))
    assert trained == [50_265]
    assert [len(tokenizer) for tokenizer in got] == sizes
    for size in (520, 900, 1024):
        assert len(train_tokenizer("Unigram", size, corpus, tmp_path)) == size
    assert trained == [50_265, 1024]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".json", ".lock")]
    train_tokenizer("BPE", 500, corpus[1:], tmp_path)
    assert len(trained) == 3


@pytest.mark.parametrize(
    ("kind", "vocab_size", "texts", "words"),
    [
        ("bpe", 1000, ["a"], "must be one of BPE"),
        ("BPE", 15, ["a"], "at least 16"),
        ("BPE", 1000, ["  "], "at least one function"),
    ],
)
def test_what_cannot_be_trained_is_refused(kind: str, vocab_size: int, texts: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        train_tokenizer(kind, vocab_size, texts)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_names_of_special_tokens_in_a_function_are_text(corpus: Sequence[str], kind: str) -> None:
    tokenizer = train_tokenizer(kind, 600, corpus)
    text = 'print("<s> <pad> </s> <mask>")'
    ids = Tokens.tokenize(tokenizer, [text, "x"], max_sequence_length=64).ids.tolist()
    special = {tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS if token != "<unk>"}
    first = ids[: ids.index(tokenizer.eos_token_id) + 1]
    assert [place for place, token in enumerate(first) if token in special] == [0, len(first) - 1]
    assert len(first) > 8
