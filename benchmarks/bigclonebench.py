"""The headline: students of at most 3, 1 and 0.5 MB on BigCloneBench, beside the published 3 MB student.

    python -m benchmarks.bigclonebench --workers 2 --seeds 0 1 2 --out OUT --study-name clone-detection --storage URL

Trained on `train.txt`, chosen on `valid.txt`, evaluated once on `test.txt`. Give the same command again to go on.
"""

from __future__ import annotations

from typing import Any

from benchmarks.headline import arguments, run
from benchmarks.trials import Trial

# Students by hand, each seen on validation before (studies/LOG.md); --study-name takes those of a study's search.
_COMMON: dict[str, Any] = {
    "tokenizer": "BPE",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "num_attention_heads": 4,
    "max_sequence_length": 400,
    "position_embedding_type": "absolute",
    "batch_size": 32,
}
_SETTINGS = {"hard_label_weight": 0.3, "token_dropout_prob": 0.1}
_SHAPES: dict[str, dict[str, Any]] = {
    "3MB": {
        "vocab_size": 3000,
        "num_hidden_layers": 3,
        "hidden_size": 96,
        "intermediate_size": 384,
        "learning_rate": 1e-3,
    },
    "1MB": {
        "vocab_size": 1500,
        "num_hidden_layers": 3,
        "hidden_size": 56,
        "intermediate_size": 224,
        "learning_rate": 2e-3,
    },
    "0.5MB": {
        "vocab_size": 1200,
        "num_hidden_layers": 2,
        "hidden_size": 40,
        "intermediate_size": 160,
        "learning_rate": 2e-3,
    },
}
STUDENTS = tuple(
    Trial(name=name, epochs=20, settings=_SETTINGS, hyperparameters={**_COMMON, **shape})
    for name, shape in _SHAPES.items()
)


if __name__ == "__main__":
    run(arguments(__doc__, data="bigclonebench", teacher="compressor-codebert-clone-3mb"), "clone-detection", STUDENTS)
