"""`clone-detection`: do two functions do the same?"""

from __future__ import annotations

from avatar_optuna.tasks import RowsKind

KIND = RowsKind(
    title="clone detection: do two functions do the same?",
    arity=2,
    language="java",
    default_labels=("different", "clone"),
)
