"""How far a search is from the best: all the way where it saw everything, less where it saw little."""

from __future__ import annotations

from pathlib import Path

from avatar_optuna.objectives import signs
from avatar_optuna.storage import open_storage
from avatar_optuna.study import create_study, hypervolume_share, search, searched
from tests.study_tests.test_search import make_objective, make_settings

SMALL = """
[space]
tokenizer = ["BPE", "Word"]
vocab_size = [1000, 2000]
num_hidden_layers = [1, 2]
hidden_size = [16, 32]
hidden_act = ["gelu"]
hidden_dropout_prob = [0.2]
intermediate_size = [32, 64]
num_attention_heads = [1]
attention_probs_dropout_prob = [0.2]
max_sequence_length = [256]
position_embedding_type = ["absolute"]
learning_rate = [1e-3, 1e-4]
batch_size = [16]
[constraints]"""


def test_a_search_that_saw_the_whole_space_reached_all_of_it(tmp_path: Path) -> None:
    shares = []
    for trials in (4, 64):
        settings = make_settings(
            tmp_path,
            ("[constraints]", SMALL),
            ("n_trials = 60", f"n_trials = {trials}"),
            ("population_size = 20", "population_size = 4"),
        )
        study = create_study(settings, open_storage(f"sqlite:///{tmp_path}/{trials}.db"), artifacts="nowhere")
        objective, feasibility = make_objective(settings)
        search(study, objective, feasibility)
        found = searched(study, round_=0)
        reached = hypervolume_share(
            found,
            feasibility,
            objective.indicator,
            objective.costs,
            cost_names=objective.cost_names,
            signs=signs(settings.search.searched_objectives),
        )
        assert reached.lattice_points == 16 * 1  # tokenizer and learning rate cost nothing: the best is taken
        shares.append(reached.share)
    assert len(found) == 64
    assert shares[1] > 0.999
    assert shares[0] < shares[1]
