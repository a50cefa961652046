"""Entries of every kind, as a package outside avatar_optuna would add them: one file each."""
