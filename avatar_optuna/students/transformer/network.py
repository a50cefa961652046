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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from avatar_optuna.exceptions import InputError
from avatar_optuna.files import read_json
from avatar_optuna.students.dropout import Dropout
from avatar_optuna.students.heads import SymmetricHead
from avatar_optuna.students.packing import LARGEST_HEAD, PackedTokens
from avatar_optuna.students.transformer._config import PAD_TOKEN_ID, StudentConfig
from avatar_optuna.students.transformer._encoder import Encoder
from avatar_optuna.students.weights import load_weights, save_weights

WEIGHTS_FILE = "model.safetensors"
_ROBERTA_WIDTH = 768
_POSITIONS_START = 0.1  # of RoBERTa's
_ATTENTION_START = 4.0


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
        self._start_with_words()

    @torch.no_grad()
    def _scale_to_width(self) -> None:
        """RoBERTa's 0.02 is meant for a width of 768: a narrow layer starts with as much larger weights.

        With 0.02 the first token of a student 64 wide hardly differs from one function to the next.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_((_ROBERTA_WIDTH / module.in_features) ** 0.5)

    @torch.no_grad()
    def _start_with_words(self) -> None:
        """Let the first token's vector hold the words of its function from the start.

        By RoBERTa's start two thirds of what a token's vector says are its position and its type, and the first token's
        vector is nearly its own, the same for all functions: a narrow student then learns next to nothing for epochs
        (`studies/LOG.md`, 2026-11-29). The first layer alone is changed: more of them slow deep students down.
        """
        embeddings = self.roberta.embeddings
        embeddings.token_type_embeddings.weight.mul_(_POSITIONS_START)
        if embeddings.has_positions:
            embeddings.position_embeddings.weight.mul_(_POSITIONS_START)
        self.roberta.encoder["layer"][0].attention.output.dense.weight.mul_(_ATTENTION_START)  # type: ignore[index]

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """First-token vectors, (n, w), of functions (n, t)."""
        return self.roberta(input_ids, attention_mask)[:, 0]  # type: ignore[no-any-return]  # (n, w)

    @property
    def can_pack(self) -> bool:
        """Whether `encode_packed` can be asked."""
        return int(self.config.hidden_size) // int(self.config.num_attention_heads) <= LARGEST_HEAD

    def encode_packed(self, tokens: PackedTokens) -> Tensor:
        """What `encode` gives, (n, w), of packed functions."""
        return self.roberta.packed(tokens)  # (n, w)

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
