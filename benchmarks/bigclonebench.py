"""The headline: students of at most 3, 1 and 0.5 MB on BigCloneBench, beside the published 3 MB student.

    python -m benchmarks.bigclonebench --device cuda --workers 6 --seeds 0 1 2 --budget-s 500 --out OUT

Trained on `train.txt`, chosen on `valid.txt`, evaluated once on `test.txt`. Give the same command again to go on.
"""

from __future__ import annotations

from typing import Any

from benchmarks.headline import arguments, run
from benchmarks.trials import Trial

_COMMON: dict[str, Any] = {
    "tokenizer": "BPE",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.2,
    "position_embedding_type": "absolute",
    "learning_rate": 1e-3,
    "batch_size": 64,
}


def _trial(name: str, epochs: int, settings: dict[str, Any] | None = None, **values: Any) -> Trial:
    return Trial(name=name, epochs=epochs, hyperparameters={**_COMMON, **values}, settings=settings or {})


STUDENTS = (
    _trial(
        "3MB",
        60,
        {"hard_label_weight": 0.3},
        vocab_size=4000,
        num_hidden_layers=2,
        hidden_size=96,
        intermediate_size=384,
        num_attention_heads=4,
        max_sequence_length=256,
    ),
    _trial(
        "1MB",
        60,
        {"hard_label_weight": 0.3},
        vocab_size=2000,
        num_hidden_layers=2,
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        max_sequence_length=256,
    ),
    _trial(
        "0.5MB",
        60,
        {"hard_label_weight": 0.3},
        vocab_size=1000,
        num_hidden_layers=2,
        hidden_size=48,
        intermediate_size=96,
        num_attention_heads=4,
        max_sequence_length=256,
    ),
)


if __name__ == "__main__":
    run(arguments(__doc__, data="bigclonebench", teacher="compressor-codebert-clone-3mb"), "clone-detection", STUDENTS)
