"""The four kinds of tokenizer, trained on a task's training functions, the same on every machine.

White space collapses to one space and letters to lower case first, as the papers prepared their code: a student's few
tokens go to what a function does. Characters beyond the 128 most frequent are `<unk>`.

The trainers of `tokenizers` are used where they are deterministic; where they follow the order of a hash table
(WordPiece's characters, Unigram's last digits), what they read or gave is put in order here.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from avatar_optuna.exceptions import InputError
from avatar_optuna.files import cached
from avatar_optuna.students.transformer._family import TOKENIZERS

logger = logging.getLogger(__name__)

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
SMALLEST_VOCAB = 16
# BPE, WordPiece and Word are trained once at the paper's largest vocabulary; smaller ones are cut from it. Those of
# Unigram are cut from the next power of two: functions have 0.3 % more tokens than by training at the size (LOG.md).
LARGEST_VOCAB = 50_265
_ALPHABET = 128
_RECIPE = 1  # raise when a tokenizer trained by this file changes: cached ones of another recipe are left alone


def corpus_fingerprint(corpus: Sequence[str]) -> str:
    """SHA-256 (hex) of the texts in their order."""
    digest = hashlib.sha256()
    for text in corpus:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def train_tokenizer(
    kind: str, vocab_size: int, corpus: Sequence[str], cache_dir: Path | None = None
) -> PreTrainedTokenizerFast:
    """Train a tokenizer, or take it from the cache; processes that want the same one at once train it once.

    It frames a function as `<s> ... </s>` and has RoBERTa's ids for the special tokens. A small corpus may hold fewer
    than `vocab_size` tokens; it never gives an id of `vocab_size` or more.

    Args:
        kind: BPE, WordPiece, Unigram or Word.
        vocab_size: Most tokens, special ones included.
        corpus: Functions of the training split, and nothing else.
        cache_dir: Folder for trained tokenizers; None trains anew.

    Raises:
        InputError: The kind is unknown, the vocabulary too small, or the corpus empty.
    """
    if kind not in TOKENIZERS:
        raise InputError(f"tokenizer must be one of {', '.join(TOKENIZERS)}, got {kind!r}")
    if vocab_size < SMALLEST_VOCAB:
        raise InputError(f"vocab_size must be at least {SMALLEST_VOCAB} to train a tokenizer, got {vocab_size}")
    if not any(text.strip() for text in corpus):
        raise InputError("a tokenizer needs at least one function to be trained on, got none")
    return _wrap(_build(kind, _trained(kind, _trained_size(kind, vocab_size), corpus, cache_dir), vocab_size))


def _trained_size(kind: str, vocab_size: int) -> int:
    """The vocabulary that one of this size is cut from."""
    if _alphabet_size(vocab_size) < _ALPHABET:  # that of a larger one would be another
        return vocab_size
    return 1 << (vocab_size - 1).bit_length() if kind == "Unigram" else max(vocab_size, LARGEST_VOCAB)


def _trained(kind: str, vocab_size: int, corpus: Sequence[str], cache_dir: Path | None) -> dict[str, Any]:
    """The trained pieces in order of id, with the merges or scores that belong to them."""
    if cache_dir is None:
        return _train(kind, vocab_size, corpus)
    folder = cache_dir / "tokenizers" / f"{corpus_fingerprint(corpus)[:32]}-{_RECIPE}"
    path = folder / f"{kind}-{vocab_size}.json"

    def made() -> bytes:
        logger.info("training a %s tokenizer of %d on %d functions", kind, vocab_size, len(corpus))
        return json.dumps(_train(kind, vocab_size, corpus)).encode()

    loaded: dict[str, Any] = json.loads(cached(path, made))
    return loaded


def _alphabet_size(vocab_size: int) -> int:
    # WordPiece wants each character twice, alone and as a continuation, and room is left for words.
    return min(_ALPHABET, (vocab_size - len(SPECIAL_TOKENS)) // 3)


def _normalizer() -> normalizers.Normalizer:
    steps = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Lowercase()]
    return normalizers.Sequence(steps)


def _is_byte_level(kind: str) -> bool:
    return kind in ("BPE", "Unigram")


def _pre_tokenizer(kind: str) -> pre_tokenizers.PreTokenizer:
    if _is_byte_level(kind):
        return pre_tokenizers.ByteLevel(add_prefix_space=True)
    return pre_tokenizers.BertPreTokenizer()


def _byte_characters() -> list[str]:
    """The printable character that stands for each byte in the ByteLevel pre-tokenizer (GPT-2's table)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    unprintable = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + unprintable.index(byte)) for byte in range(256)]


def _alphabet(kind: str, texts: Sequence[str], size: int) -> list[str]:
    """The most frequent characters (or bytes, as characters) of normalized texts, sorted."""
    counts: Counter[str] = Counter()
    if _is_byte_level(kind):
        table = _byte_characters()
        for text in texts:
            counts.update({table[byte]: count for byte, count in Counter(f" {text}".encode()).items()})
    else:
        for text in texts:
            counts.update(text)
        del counts[" "]
    return sorted(sorted(counts, key=lambda character: (-counts[character], character))[:size])


def _train(kind: str, vocab_size: int, corpus: Sequence[str]) -> dict[str, Any]:
    normalizer = _normalizer()
    texts = [normalizer.normalize_str(text.encode("utf-8", "replace").decode()) for text in corpus]
    alphabet = _alphabet(kind, texts, _alphabet_size(vocab_size))
    options: dict[str, Any] = {"vocab_size": vocab_size, "show_progress": False, "special_tokens": [*SPECIAL_TOKENS]}
    if kind == "Word":
        learner = Tokenizer(models.WordLevel(unk_token="<unk>"))
        trainer: Any = trainers.WordLevelTrainer(**options)
    elif kind == "Unigram":
        learner = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(**options, unk_token="<unk>", initial_alphabet=alphabet)
        texts = _only(alphabet, texts)
    else:
        learner = Tokenizer(models.BPE(unk_token="<unk>"))
        prefix = "##" if kind == "WordPiece" else ""
        # Named beforehand, the continuing characters get their ids in our order, not a hash table's.
        options["special_tokens"] += [*alphabet, *(prefix + character for character in alphabet if prefix)]
        options |= {"initial_alphabet": alphabet, "limit_alphabet": len(alphabet)}
        trainer = trainers.BpeTrainer(**options, continuing_subword_prefix=prefix)
    learner.pre_tokenizer = _pre_tokenizer(kind)
    learner.train_from_iterator(texts, trainer)
    model = json.loads(learner.to_str())["model"]
    if kind == "Unigram":
        return {"scored": _in_order(model["vocab"])}
    return {"vocab": sorted(model["vocab"], key=model["vocab"].get), "merges": model.get("merges", [])}


def _only(alphabet: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Texts less the characters with a byte outside the alphabet: Unigram's trainer would insist on a piece for it."""
    table, kept = _byte_characters(), set(alphabet)
    seen = set().union(*texts)
    dropped = {ord(c): None for c in seen if not {table[byte] for byte in c.encode()} <= kept}
    return [text.translate(dropped) for text in texts]


def _in_order(scored: Sequence[Sequence[Any]]) -> list[tuple[str, float]]:
    """Unigram pieces by falling score; digits that follow the order of threads are rounded away.

    Characters that it must keep but had pruned get the lowest score plus 0.0001 each, in hash order: they share the
    lowest score here.
    """
    pieces = {piece: round(score, 6) for piece, score in scored if piece not in SPECIAL_TOKENS}
    lowest = min(pieces.values(), default=0.0)
    kept = lowest + 0.0001 * sum(len(piece) == 1 for piece in pieces)
    pieces = {piece: lowest if len(piece) == 1 and score <= kept else score for piece, score in pieces.items()}
    ordered = sorted(pieces.items(), key=lambda item: (-item[1], item[0]))
    return [*((token, 0.0) for token in SPECIAL_TOKENS), *ordered]


def _best(scored: Sequence[Sequence[Any]], vocab_size: int) -> list[tuple[str, float]]:
    """Unigram's special tokens and characters, and of the other pieces those of the highest scores, in their order."""
    entries = [(piece, score) for piece, score in scored]
    head, rest = entries[: len(SPECIAL_TOKENS)], entries[len(SPECIAL_TOKENS) :]
    longer = [piece for piece, _ in rest if len(piece) > 1]
    kept = set(longer[: max(0, vocab_size - len(scored) + len(longer))])
    return [*head, *((piece, score) for piece, score in rest if len(piece) == 1 or piece in kept)]


def _build(kind: str, trained: dict[str, Any], vocab_size: int) -> Tokenizer:
    """A tokenizer of the first `vocab_size` pieces."""
    if kind == "Unigram":
        unknown = SPECIAL_TOKENS.index("<unk>")
        model: Any = models.Unigram(_best(trained["scored"], vocab_size), unk_id=unknown)
    else:
        vocab = {piece: index for index, piece in enumerate(trained["vocab"][:vocab_size])}
        if kind == "BPE":
            model = models.BPE(vocab=vocab, merges=_merges_within(vocab, trained), unk_token="<unk>")
        elif kind == "WordPiece":
            model = models.WordPiece(vocab=vocab, unk_token="<unk>", continuing_subword_prefix="##")
        else:
            model = models.WordLevel(vocab=vocab, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = _pre_tokenizer(kind)
    tokenizer.decoder = decoders.ByteLevel() if _is_byte_level(kind) else decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def _merges_within(vocab: dict[str, int], trained: dict[str, Any]) -> list[tuple[str, str]]:
    """The merges that the trainer had made when its vocabulary was this large: those before the first beyond it."""
    merges = []
    for left, right in trained["merges"]:
        if left + right not in vocab:
            break
        merges.append((left, right))
        if vocab[left + right] == len(vocab) - 1:
            break
    return merges


def _wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


# What `str.split` of Python takes for white space; the regular expressions of `tokenizers` know another set.
_WHITE_SPACE = "".join(character for character in map(chr, range(0x3001)) if character.isspace())


def normalized(
    tokenizer: PreTrainedTokenizerBase, *, lower_case: bool = False, one_line: bool = False
) -> PreTrainedTokenizerBase:
    """A tokenizer that first alters the text, as a part of itself: what it is saved as alters it too.

    transformers 5 ignores `do_lower_case` of a byte-level tokenizer, and makes the tokenizers of its own classes from
    their vocabulary alone; so the altered one is of the general class.

    Args:
        lower_case: Letters become lower-case ones.
        one_line: Each stretch of white space becomes one space, and none is left at the ends, as in
            `" ".join(code.split())`.

    Raises:
        InputError: It is not built on `tokenizers`.
    """
    steps: list[normalizers.Normalizer] = []
    if one_line:
        steps += [normalizers.Replace(Regex(f"[{_WHITE_SPACE}]+"), " "), normalizers.Strip()]
    if lower_case:
        steps.append(normalizers.Lowercase())
    if not steps:
        return tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError("a tokenizer whose text is altered first must be one of `tokenizers`, it is not")
    altered = Tokenizer.from_str(backend.to_str())
    altered.normalizer = normalizers.Sequence([*steps, *([altered.normalizer] if altered.normalizer else [])])
    return PreTrainedTokenizerFast(
        tokenizer_object=altered,
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        **tokenizer.special_tokens_map,
    )
