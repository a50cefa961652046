"""How a teacher counts the tokens of a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from avatar_optuna.settings import TeacherSettings

_UNLIMITED = 10**6  # tokens: no function is longer
_AT_ONCE = 1000  # functions, so that memory stays flat


def token_counter(settings: TeacherSettings) -> Callable[[Sequence[str]], npt.NDArray[np.int64]] | None:
    """Counts the tokens, special ones included, of functions by the tokenizer of the teacher's files.

    Returns:
        None for a teacher that comes without a tokenizer.

    Raises:
        InputError: The files hold none that can be read.
    """
    if settings.kind not in ("checkpoint", "pretrained"):
        return None
    from avatar_optuna.distillation import Tokens, load_tokenizer
    from avatar_optuna.teachers.checkpoints import Reading, tokenizer_directory

    is_checkpoint = settings.kind == "checkpoint"
    source = tokenizer_directory(settings.source, Reading.of(settings)) if is_checkpoint else settings.source
    tokenizer = load_tokenizer(str(source))

    def count(functions: Sequence[str]) -> npt.NDArray[np.int64]:
        parts = [
            Tokens.tokenize(tokenizer, functions[at : at + _AT_ONCE], max_sequence_length=_UNLIMITED).host_lengths
            for at in range(0, len(functions), _AT_ONCE)
        ]
        return np.concatenate(parts).astype(np.int64)

    return count
