"""The student: a RoBERTa-style encoder with one of three kinds of positions, and a head for one function or two.

transformers 5 dropped relative positions from its BERT-like models and ignores the setting silently, so the encoder
stands here whole. Weights carry RoBERTa's names, so an absolute student of single functions is a RoBERTa classifier to
stock transformers: `save_pretrained` writes such a student as `model_type = "roberta"`, and every other as
"avatar_student", which `AutoConfig` and `AutoModelForSequenceClassification` know once this package is imported.

Shapes beside the lines: n functions in a batch, t tokens in the longest of them, w hidden_size, h heads of size
d = w / h, i intermediate_size, m inputs (m = n for single functions), f functions an input (1 or 2), l labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, RobertaConfig
from transformers.activations import ACT2FN
from transformers.modeling_outputs import SequenceClassifierOutput

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import read_json
from avatar_optuna.students._precision import FULL_PRECISION
from avatar_optuna.students._reading import Configuration
from avatar_optuna.students.heads import SymmetricHead
from avatar_optuna.students.packing import LARGEST_HEAD, PackedTokens
from avatar_optuna.students.transformer._family import (
    CONCATENATION,
    PAIR_HEADS,
    POSITION_EMBEDDING_TYPES,
    POSITION_OFFSET,
    SYMMETRIC,
)
from avatar_optuna.students.weights import load_weights, save_weights

PAD_TOKEN_ID = 1
WEIGHTS_FILE = "model.safetensors"
_ROBERTA_WIDTH = 768
_OF_CONFIGURATION = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "position_embedding_type", "precision", "pair_head"),
)


class StudentConfig(RobertaConfig):
    """Sizes of a student: RoBERTa's, and four more.

    Args:
        num_functions: Functions that one input holds: 1, or 2 for a pair head.
        max_position_embeddings: RoBERTa's count, two more than the longest sequence in tokens.
        position_embedding_type: absolute, relative_key or relative_key_query.
        precision: Of the weights on disk (see `quantization`).
        pair_head: Of pairs: concatenation, or symmetric (see `SymmetricHead`).
    """

    model_type = "avatar_student"

    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-5
    position_embedding_type: str = "absolute"
    num_functions: int = 1
    precision: str = FULL_PRECISION
    pair_head: str = CONCATENATION

    def __post_init__(self, **kwargs: Any) -> None:
        if self.position_embedding_type not in POSITION_EMBEDDING_TYPES:
            kinds = ", ".join(POSITION_EMBEDDING_TYPES)
            raise InputError(f"position_embedding_type must be one of {kinds}, got {self.position_embedding_type!r}")
        if self.pair_head not in PAIR_HEADS:
            raise InputError(f"pair_head must be one of {', '.join(PAIR_HEADS)}, got {self.pair_head!r}")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"num_attention_heads must divide hidden_size, got {self.num_attention_heads} and {self.hidden_size}"
            )
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @classmethod
    def from_hyperparameters(
        cls, hyperparameters: Configuration, task_shape: TaskShape, *, label_names: Sequence[str] | None = None
    ) -> StudentConfig:
        """The student that thirteen hyperparameters describe, for inputs of one function or two."""
        names = [f"LABEL_{label}" for label in range(task_shape.num_labels)] if label_names is None else label_names
        return cls(
            **{name: getattr(hyperparameters, name) for name in _OF_CONFIGURATION},
            max_position_embeddings=hyperparameters.max_sequence_length + POSITION_OFFSET,
            num_functions=task_shape.arity,
            id2label=dict(enumerate(names)),
            label2id={name: index for index, name in enumerate(names)},
        )

    @property
    def max_sequence_length(self) -> int:
        """Tokens of the longest sequence, `<s>` and `</s>` included."""
        return self.max_position_embeddings - POSITION_OFFSET

    @property
    def is_symmetric(self) -> bool:
        """Whether logits of a pair do not depend on the order of its functions."""
        return self.num_functions > 1 and self.pair_head == SYMMETRIC

    @property
    def is_stock_roberta(self) -> bool:
        """Whether transformers' own RobertaForSequenceClassification loads it and computes the same logits."""
        is_packed = self.precision in ("int8", "int4")
        return self.position_embedding_type == "absolute" and self.num_functions == 1 and not is_packed


class Dropout(nn.Module):
    """Dropout that a CPU can afford.

    torch's own draws one number an element on a CPU, a third of a small student's training step; here eight elements
    share the bytes of one draw, so a probability is met to 1/256 (and scaled by what was met).
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    @property
    def is_active(self) -> bool:
        """Whether anything is dropped now."""
        return self.training and self.probability > 0.0

    def forward(self, values: Tensor) -> Tensor:
        if not self.is_active:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.probability)
        dropped = round(256 * self.probability)
        draws = torch.empty((values.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[: values.numel()].view(values.shape) >= dropped
        return values * kept.to(values.dtype).mul_(256 / (256 - dropped))


class Embeddings(nn.Module):
    """Tokens (and absolute positions, where the student has them) to vectors."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=PAD_TOKEN_ID)
        if config.position_embedding_type == "absolute":
            self.position_embeddings = nn.Embedding(config.max_position_embeddings, width, padding_idx=PAD_TOKEN_ID)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.has_positions = config.position_embedding_type == "absolute"

    def forward(self, input_ids: Tensor, positions: Tensor | None = None) -> Tensor:
        # input_ids (n, t), or (t,) with the position of each token in its function
        vectors = self.word_embeddings(input_ids) + self.token_type_embeddings.weight[0]  # (n, t, w)
        if self.has_positions:
            if positions is None:
                # RoBERTa counts the tokens that are not padding, from 2; padding itself sits at row 1.
                real = (input_ids != PAD_TOKEN_ID).long()  # (n, t)
                rows = real.cumsum(dim=1) * real + PAD_TOKEN_ID  # (n, t)
            else:
                rows = positions + POSITION_OFFSET  # (t,)
            vectors = vectors + self.position_embeddings(rows)  # (n, t, w)
        return self.dropout(self.LayerNorm(vectors))  # type: ignore[no-any-return]  # (n, t, w)


def skew(products: Tensor) -> Tensor:
    """Read row r of a (..., t, 2t-1) table of products from column t-1-r on: out[..., r, c] = in[..., r, t-1-r+c].

    Flat, the element lies at (t - 1) + r (2t - 2) + c, so that a slice, a view and a cut do it without a gather.
    """
    tokens = products.shape[-2]
    if tokens == 1:
        return products
    leading = products.shape[:-2]
    flat = products.reshape(*leading, tokens * (2 * tokens - 1))  # (..., t (2t-1))
    rows = flat[..., tokens - 1 : -1].reshape(*leading, tokens, 2 * tokens - 2)
    return rows[..., :tokens]  # (..., t, t)


class SelfAttention(nn.Module):
    """Attention over one function's tokens; relative kinds add products with a table of distance vectors.

    A query at position l and a key at r lie at distance l - r, row l - r + L - 1 of the table (L the longest
    sequence). relative_key adds q_l . e(l - r) to the score q_l . k_r, relative_key_query adds k_r . e(l - r) as well
    (Huang et al., 2020, methods 2 and 4, as BERT had them in transformers 4), all divided by the root of d.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dropout = Dropout(config.attention_probs_dropout_prob)
        self.num_distance_products = POSITION_EMBEDDING_TYPES.index(config.position_embedding_type)
        self.longest = config.max_sequence_length
        if self.num_distance_products:
            self.distance_embedding = nn.Embedding(2 * self.longest - 1, width // self.num_heads)

    def forward(self, vectors: Tensor, bias: Tensor | PackedTokens | None) -> Tensor:
        # vectors (n, t, w), bias (n, 1, 1, t) or None; or (t, w), with the functions that these tokens are of
        if isinstance(bias, PackedTokens):
            return self._packed(vectors, bias)
        query = self._split(self.query(vectors))  # (n, h, t, d)
        key = self._split(self.key(vectors))  # (n, h, t, d)
        value = self._split(self.value(vectors))  # (n, h, t, d)
        if self.num_distance_products:
            scores = self._distance_scores(query, key)  # (n, h, t, t)
            bias = scores if bias is None else scores + bias  # (n, h, t, t)
        if bias is not None:
            bias = bias.to(query.dtype)  # under autocast the queries are narrower than the bias
        if self.dropout.is_active and query.device.type == "cpu":
            # Here scaled_dot_product_attention has no fused kernel, and would draw torch's slow dropout.
            products = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (n, h, t, t)
            weights = (products if bias is None else products + bias).softmax(dim=-1)  # (n, h, t, t)
            mixed = self.dropout(weights) @ value  # (n, h, t, d)
        else:
            dropout = self.dropout.probability if self.training else 0.0
            mixed = functional.scaled_dot_product_attention(query, key, value, bias, dropout)  # (n, h, t, d)
        return mixed.transpose(1, 2).reshape(vectors.shape)  # type: ignore[no-any-return]  # (n, t, w)

    def _packed(self, vectors: Tensor, tokens: PackedTokens) -> Tensor:
        """Attention of each function's tokens among themselves, (t, w), on a GPU."""
        from avatar_optuna.students._attention_kernels import PackedAttention  # Triton is there on GPU machines alone

        table = self.distance_embedding.weight if self.num_distance_products else None
        dropout = self.dropout.probability if self.dropout.is_active else 0.0
        seed = torch.randint(2**31, (1,), device=vectors.device) if dropout else tokens.starts
        given = (self.query(vectors), self.key(vectors), self.value(vectors), table, tokens.starts, tokens.lengths)
        options = (seed, self.longest, self.num_heads, self.num_distance_products, dropout)
        return PackedAttention.apply(*given, *options)  # type: ignore[no-any-return, no-untyped-call]

    def _split(self, vectors: Tensor) -> Tensor:
        heads = vectors.unflatten(-1, (self.num_heads, -1))  # (n, t, h, d)
        return heads.transpose(1, 2)  # type: ignore[no-any-return]  # (n, h, t, d)

    def _distance_scores(self, query: Tensor, key: Tensor) -> Tensor:
        tokens, size = query.shape[-2:]
        if tokens > self.longest:
            raise InputError(f"a sequence may hold at most {self.longest} tokens, got {tokens}")
        # Row c holds distance c - (t - 1).
        table = self.distance_embedding.weight[self.longest - tokens : self.longest + tokens - 1]  # (2t-1, d)
        # Row l of the queries wants distance l - r in column r: the table backwards, skewed.
        scores = skew(query @ table.flip(0).T)  # (n, h, t, t)
        if self.num_distance_products == 2:
            # Row r of the keys wants distance l - r in column l: the table forwards, skewed, then transposed.
            scores = scores + skew(key @ table.T).transpose(-1, -2)  # (n, h, t, t)
        return scores * float(size) ** -0.5  # type: ignore[no-any-return]


class Residual(nn.Module):
    """A projection back to the width, added to what went in, then normed."""

    def __init__(self, inner: int, config: StudentConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, inner: Tensor, vectors: Tensor) -> Tensor:
        # inner (n, t, inner), vectors (n, t, w)
        return self.LayerNorm(self.dropout(self.dense(inner)) + vectors)  # type: ignore[no-any-return]  # (n, t, w)


class Attention(nn.Module):
    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Residual(config.hidden_size, config)

    def forward(self, vectors: Tensor, bias: Tensor | PackedTokens | None) -> Tensor:
        return self.output(self.self(vectors, bias), vectors)  # type: ignore[no-any-return]  # (n, t, w)


class Intermediate(nn.Module):
    """The wide half of the feed-forward."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, vectors: Tensor) -> Tensor:
        return self.activation(self.dense(vectors))  # type: ignore[no-any-return]  # (n, t, i)


class Layer(nn.Module):
    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Residual(config.intermediate_size, config)

    def forward(self, vectors: Tensor, bias: Tensor | PackedTokens | None) -> Tensor:
        vectors = self.attention(vectors, bias)  # (n, t, w)
        return self.output(self.intermediate(vectors), vectors)  # type: ignore[no-any-return]  # (n, t, w)


class Encoder(nn.Module):
    """Embeddings and layers, under the names of transformers' RobertaModel."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)])
        self.encoder = nn.ModuleDict({"layer": layers})

    def packed(self, tokens: PackedTokens) -> Tensor:
        """Vectors (t, w) of the tokens of packed functions, on a GPU."""
        vectors = self.embeddings(tokens.ids, tokens.positions)  # (t, w)
        for layer in self.encoder["layer"]:  # type: ignore[attr-defined]
            vectors = layer(vectors, tokens)  # (t, w)
        return vectors  # type: ignore[no-any-return]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        # input_ids (n, t), attention_mask (n, t) or None where no token is padding
        vectors = self.embeddings(input_ids)  # (n, t, w)
        bias = None
        if attention_mask is not None:
            hidden = ~attention_mask.bool()[:, None, None, :]  # (n, 1, 1, t)
            bias = torch.zeros_like(hidden, dtype=vectors.dtype).masked_fill(hidden, torch.finfo(vectors.dtype).min)
        for layer in self.encoder["layer"]:  # type: ignore[attr-defined]
            vectors = layer(vectors, bias)  # (n, t, w)
        return vectors  # type: ignore[no-any-return]


class ClassificationHead(nn.Module):
    """RoBERTa's head over the first-token vectors of an input's functions, concatenated."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.is_pair = config.num_functions > 1
        self.dense = nn.Linear(config.num_functions * config.hidden_size, config.hidden_size)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.out_proj = nn.Linear(config.hidden_size, len(config.id2label or ()))

    def forward(self, joined: Tensor) -> Tensor:
        # joined (m, f w)
        # Dropout on the two vectors of a pair, each with a mask of its own, would bury what is alike in them.
        kept = joined if self.is_pair else self.dropout(joined)  # (m, f w)
        inner = torch.tanh(self.dense(kept))  # (m, w)
        return self.out_proj(self.dropout(inner))  # type: ignore[no-any-return]  # (m, l)


def _head(config: StudentConfig) -> ClassificationHead | SymmetricHead:
    if not config.is_symmetric:
        return ClassificationHead(config)
    num_labels = len(config.id2label or ())
    return SymmetricHead(config.hidden_size, config.num_functions, num_labels, config.hidden_dropout_prob)


class StudentForSequenceClassification(PreTrainedModel):
    """A student with its head.

    For pairs, rows 2k and 2k + 1 of `input_ids` are the two functions of input k; `encode` and `classify` do the two
    halves apart, so that each function is encoded once however many pairs it is in.
    """

    config_class = StudentConfig
    base_model_prefix = "roberta"
    _supports_sdpa = True

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        self.roberta = Encoder(config)
        self.classifier = _head(config)
        self.post_init()  # type: ignore[no-untyped-call]
        self._scale_to_width()

    @torch.no_grad()
    def _scale_to_width(self) -> None:
        """RoBERTa's 0.02 is meant for a width of 768: a narrow layer starts with as much larger weights.

        With 0.02 the first token of a student 64 wide hardly differs from one function to the next.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_((_ROBERTA_WIDTH / module.in_features) ** 0.5)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """First-token vectors, (n, w), of functions (n, t)."""
        return self.roberta(input_ids, attention_mask)[:, 0]  # type: ignore[no-any-return]  # (n, w)

    @property
    def can_pack(self) -> bool:
        """Whether `encode_packed` can be asked, on a GPU."""
        return int(self.config.hidden_size) // int(self.config.num_attention_heads) <= LARGEST_HEAD

    def encode_packed(self, tokens: PackedTokens) -> Tensor:
        """What `encode` gives, (n, w), of packed functions, on a GPU."""
        return self.roberta.packed(tokens).index_select(0, tokens.starts)  # (n, w)

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, l) of the joined vectors (m, f w) of inputs."""
        return self.classifier(joined)  # type: ignore[no-any-return]  # (m, l)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Logits (m, l) of functions (m f, t), and the cross-entropy with `labels` (m,) where given."""
        if attention_mask is None:
            attention_mask = input_ids != PAD_TOKEN_ID  # (n, t)
        vectors = self.encode(input_ids, attention_mask)  # (n, w)
        logits = self.classify(vectors.reshape(-1, self.config.num_functions * vectors.shape[-1]))  # (m, l)
        loss = None if labels is None else functional.cross_entropy(logits.float(), labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Write `config.json` and `model.safetensors`; a student that is a RoBERTa says so, for stock transformers."""
        super().save_pretrained(save_directory, *args, **kwargs)
        self._name_stock_roberta(Path(save_directory))

    def save_student(self, directory: Path) -> None:
        """What `save_pretrained` writes, without its progress bar and options."""
        directory.mkdir(parents=True, exist_ok=True)
        self.config.architectures = [type(self).__name__]
        self.config.save_pretrained(directory)
        self._name_stock_roberta(directory)
        save_weights(self, directory / WEIGHTS_FILE, self.config.precision)

    def _name_stock_roberta(self, directory: Path) -> None:
        if not self.config.is_stock_roberta:
            return
        path = directory / "config.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        written |= {"model_type": "roberta", "architectures": ["RobertaForSequenceClassification"]}
        path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_student(directory: Path) -> StudentForSequenceClassification:
    """A student from its directory, whether it calls itself a student or a RoBERTa.

    Raises:
        InputError: The weights are not those of the configuration.
    """
    try:
        config = StudentConfig.from_dict(read_json(directory / "config.json"))
        with torch.device("meta"):
            student = StudentForSequenceClassification(config)
        load_weights(student, directory / WEIGHTS_FILE)
    except InputError:
        raise
    except Exception as error:  # of safetensors, of torch, and whatever a configuration's class makes of a value
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{directory}: {WEIGHTS_FILE} must hold the student that config.json describes: {reason}"
        ) from error
    return student.eval()  # type: ignore[no-any-return, no-untyped-call]


AutoConfig.register(StudentConfig.model_type, StudentConfig)
AutoModelForSequenceClassification.register(StudentConfig, StudentForSequenceClassification)
