"""Hypothesis strategies shared by the tests: students that are small enough to build."""

from __future__ import annotations

from hypothesis import strategies as st

from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import ACTIVATIONS, POSITION_EMBEDDING_TYPES, TOKENIZERS, TRANSFORMER


@st.composite
def small_students(draw: st.DrawFn) -> Configuration:
    """Any valid student of at most a few hundred thousand parameters."""
    heads = draw(st.integers(1, 6))
    return TRANSFORMER.configure(
        tokenizer=draw(st.sampled_from(TOKENIZERS)),
        vocab_size=draw(st.integers(100, 600)),
        num_hidden_layers=draw(st.integers(1, 3)),
        hidden_size=heads * draw(st.integers(2, 9)),
        hidden_act=draw(st.sampled_from(ACTIVATIONS)),
        hidden_dropout_prob=draw(st.sampled_from((0.2, 0.3, 0.4, 0.5))),
        intermediate_size=draw(st.integers(8, 64)),
        num_attention_heads=heads,
        attention_probs_dropout_prob=draw(st.sampled_from((0.2, 0.3, 0.4, 0.5))),
        max_sequence_length=draw(st.integers(8, 48)),
        position_embedding_type=draw(st.sampled_from(POSITION_EMBEDDING_TYPES)),
        learning_rate=draw(st.sampled_from((1e-3, 1e-4, 5e-5))),
        batch_size=draw(st.sampled_from((16, 32, 64))),
    )
