"""Where things are when the user does not say: database, artifact store, cache."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_STORAGE = "sqlite:///storage/studies.db"
DEFAULT_ARTIFACTS = "storage/artifacts"
DEFAULT_CACHE = "storage/cache"


def storage_url(given: str | None) -> str:
    """The database's URL: what was given, else $OPTUNA_STORAGE, else the embedded one."""
    return given or os.environ.get("OPTUNA_STORAGE") or DEFAULT_STORAGE


def artifacts_location(given: str | None) -> str:
    """The artifact store: a URL as it stands, a folder as an absolute path, so that workers elsewhere find it."""
    location = given or os.environ.get("AVATAR_ARTIFACTS") or DEFAULT_ARTIFACTS
    return location if "://" in location else str(Path(location).expanduser().resolve())


def own_artifacts(given: str | None) -> str | None:
    """The store that a worker may use: what was given, else $AVATAR_ARTIFACTS; None leaves it to the study."""
    return artifacts_location(given) if given or os.environ.get("AVATAR_ARTIFACTS") else None


def cache_folder(given: Path | None) -> Path:
    """The cache; whoever writes there makes it."""
    return Path(given or os.environ.get("AVATAR_CACHE") or DEFAULT_CACHE).expanduser().resolve()
