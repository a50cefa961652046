"""Padding of models that come without: decoders, which are told apart from padding by its id alone."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from avatar_optuna.distillation._networks import config_of
from avatar_optuna.distillation._pooling import is_decoder_only
from avatar_optuna.exceptions import InputError

_TEXT = "int main() { return 0; }"


def settle_padding(source: str, network: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a decoder and its tokenizer agree on the padding token; one is chosen where neither has one.

    A sequence classifier of transformers looks for the last token that is not padding: the chosen token is one that
    no function ends with.

    Raises:
        InputError: The tokenizer has no such token.
    """
    config = config_of(network)
    if config is None or not hasattr(config, "get_text_config") or not is_decoder_only(config):
        return
    text_config = config.get_text_config()
    if tokenizer.pad_token_id is None:
        known = text_config.pad_token_id
        chosen = known if known is not None and known >= 0 else _unused_end(source, tokenizer)
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(chosen)
    text_config.pad_token_id = tokenizer.pad_token_id


def _unused_end(source: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """A special token that the tokenizer does not end a function with."""
    end = tokenizer(_TEXT)["input_ids"][-1]
    candidates = (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.sep_token_id)
    for candidate in candidates:
        if candidate is not None and candidate != end:
            return int(candidate)
    raise InputError(
        f"teacher {source}: its tokenizer must have a padding token, or another special token, it has none"
    )
