"""The headline: students of at most 3, 1 and 0.5 MB on BigCloneBench, beside the published 3 MB student.

    python -m benchmarks.bigclonebench --device cuda --workers 6 --seeds 0 1 2 --budget-s 500 --out OUT

Trained on `train.txt`, chosen on `valid.txt`, evaluated once on `test.txt`. Give the same command again to go on.
"""

from __future__ import annotations

from typing import Any

from benchmarks.headline import arguments, run
from benchmarks.trials import Trial

# Shapes near the best of the brief samples in benchmarks/data/indicator_bigclonebench.csv, by validation.
_COMMON: dict[str, Any] = {
    "tokenizer": "WordPiece",
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "num_attention_heads": 4,
    "learning_rate": 1e-3,
    "batch_size": 32,
}
_RELATIVE: dict[str, Any] = {**_COMMON, "position_embedding_type": "relative_key", "num_hidden_layers": 2}
_SETTINGS = {"hard_label_weight": 0.3}

STUDENTS = (
    Trial(
        name="3MB",
        epochs=40,
        settings=_SETTINGS,
        hyperparameters={
            **_COMMON,
            "position_embedding_type": "absolute",
            "num_hidden_layers": 1,
            "vocab_size": 1100,
            "hidden_size": 136,
            "intermediate_size": 1024,
            "max_sequence_length": 368,
        },
    ),
    Trial(
        name="1MB",
        epochs=40,
        settings=_SETTINGS,
        hyperparameters={
            **_RELATIVE,
            "vocab_size": 2000,
            "hidden_size": 64,
            "intermediate_size": 128,
            "max_sequence_length": 320,
        },
    ),
    Trial(
        name="0.5MB",
        epochs=40,
        settings=_SETTINGS,
        hyperparameters={
            **_RELATIVE,
            "vocab_size": 1500,
            "hidden_size": 40,
            "intermediate_size": 64,
            "max_sequence_length": 256,
        },
    ),
)


if __name__ == "__main__":
    run(arguments(__doc__, data="bigclonebench", teacher="compressor-codebert-clone-3mb"), "clone-detection", STUDENTS)
