"""Vulnerability prediction on Devign: students of at most 3 MB within 1.67 points of their teacher.

    python -m benchmarks.devign --workers 2 --seeds 0 1 2 --out OUT

The test split holds 350 functions, so a 95 % interval is five points to either side: it stands beside each figure.
"""

from __future__ import annotations

from benchmarks.headline import arguments, run
from benchmarks.trials import Trial

# Views of few training functions, labelled by the teacher, and hidden tokens: studies/LOG.md.
STUDENTS = tuple(
    Trial(
        name=name,
        epochs=60,
        settings={"views": 24, "token_dropout_prob": 0.1},
        hyperparameters={
            "tokenizer": "BPE",
            "vocab_size": vocab_size,
            "num_hidden_layers": layers,
            "hidden_size": width,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "intermediate_size": 2 * width,
            "num_attention_heads": 4,
            "attention_probs_dropout_prob": 0.0,
            "max_sequence_length": 400,
            "position_embedding_type": "absolute",
            "learning_rate": 1e-3,
            "batch_size": 32,
        },
    )
    for name, vocab_size, layers, width in (
        ("3MB", 4000, 2, 96),
        ("1MB", 1500, 2, 64),
    )
)


if __name__ == "__main__":
    run(
        arguments(__doc__, data="devign", teacher="compressor-codebert-vulnerability-3mb"),
        "vulnerability-prediction",
        STUDENTS,
    )
