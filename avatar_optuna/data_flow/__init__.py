"""Data flow of functions as GraphCodeBERT and its published descendants read it."""

from avatar_optuna.data_flow._edges import Edge
from avatar_optuna.data_flow._inputs import FlowInput, Vocabulary, flow_input
from avatar_optuna.data_flow._variants import VARIANTS, DataFlow, Variant, extract, variant_named
