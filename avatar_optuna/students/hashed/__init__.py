"""Students without attention: hashed n-grams of a function, looked up in a table, pooled, and refined."""

from avatar_optuna.students.hashed._family import HASHED, POOLINGS
