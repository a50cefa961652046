"""`code-classification`: which of several labels does a function have?"""

from __future__ import annotations

from avatar_optuna.tasks import RowsKind

KIND = RowsKind(title="code classification: which label does a function have?", arity=1, language="any")
