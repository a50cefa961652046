"""Students and how they learn: tokenizers, the model, what a teacher is, the training engine, and what predicts."""

from avatar_optuna.distillation._checkpoint import CHECKPOINT_FILE
from avatar_optuna.distillation._classifier import (
    Classifier,
    FunctionInputs,
    encode_all,
    is_whole,
    load_tokenizer,
    longest_sequence,
    require_embeddings,
)
from avatar_optuna.distillation._cross_encoder import CrossClassifier
from avatar_optuna.distillation._data_flow import DataFlowNetwork, DataFlowReader, with_data_flow
from avatar_optuna.distillation._device_memory import limit_device_memory, within_device_memory
from avatar_optuna.distillation._distillation import TrainedStudent, build_student, distil, edited_functions
from avatar_optuna.distillation._fine_tuned import (
    load_encoder,
    load_incomplete,
    load_pretrained,
    load_sequence_classifier,
    new_encoder,
    pair_classifier,
    read_pair_head,
)
from avatar_optuna.distillation._fixed_steps import own_stream
from avatar_optuna.distillation._label_weights import label_weights
from avatar_optuna.distillation._logits import take_rows, with_rows
from avatar_optuna.distillation._models import (
    encoder_prefix,
    first_line,
    holds_pickled_weights,
    model_directory,
    model_of_tensors,
    weight_shapes,
)
from avatar_optuna.distillation._networks import (
    PAIR_HEAD_FILE,
    PairClassifier,
    PairHead,
    SingleClassifier,
    require_names,
)
from avatar_optuna.distillation._padding import settle_padding
from avatar_optuna.distillation._pooling import default_pooling
from avatar_optuna.distillation._recipe import EpochRecord, Examples, Judge, OnEpoch, Recipe, SoftLabels
from avatar_optuna.distillation._sentence_encoder import (
    ACTIVATIONS,
    POOLING_KEYS,
    POOLING_MODES,
    SIMILARITIES,
    DenseLayer,
    SentenceEncoder,
    SimilarityClassifier,
    fit_odds,
)
from avatar_optuna.distillation._similarity import start_as_similarity
from avatar_optuna.distillation._teacher import Teacher
from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.distillation._torch_student import TorchStudent
from avatar_optuna.distillation._training import EVALUATION_BATCH, Trainer
from avatar_optuna.students.transformer.network import StudentConfig, StudentForSequenceClassification
from avatar_optuna.students.transformer.tokenizers import train_tokenizer
