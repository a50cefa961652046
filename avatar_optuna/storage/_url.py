"""Database URLs: which are served, with which driver, and how they are shown."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from avatar_optuna.exceptions import InputError

_SECRET = re.compile(r"pass|secret|token", re.IGNORECASE)
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


def mask_url(url: str) -> str:
    """The URL as it may be shown: without its password, wherever in the URL it stands."""
    try:
        parsed = make_url(url)
        secrets = {key: "***" for key in parsed.query if _SECRET.search(key)}
        return parsed.update_query_dict(secrets).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return re.sub(r".*@", "***@", url, flags=re.DOTALL)


def parse_url(url: str) -> URL:
    """A URL of a database that is served, its driver named.

    Raises:
        InputError: It is no URL, or not of a SQLite file or a PostgreSQL database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InputError(
            f"storage must be a URL such as sqlite:///studies.db or postgresql://user@host/name, got {mask_url(url)!r}"
        ) from error
    if parsed.drivername == "grpc":
        raise InputError(
            "storage must be the database's own URL, for Optuna's gRPC proxy has neither heartbeats nor transactions: "
            f"put PgBouncer (session pooling) before PostgreSQL to serve very many workers, got {mask_url(url)!r}"
        )
    if parsed.drivername not in _DRIVERS:
        raise InputError(f"storage must be sqlite:///FILE or postgresql://USER@HOST/NAME, got {mask_url(url)!r}")
    if parsed.drivername.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise InputError(f"storage must be a file, for workers cannot share a database in memory, got {url!r}")
    return parsed.set(drivername=_DRIVERS[parsed.drivername])


def database_file(url: URL) -> Path | None:
    """The file of a SQLite database, absolute; None for a server."""
    return Path(str(url.database)).absolute() if url.get_backend_name() == "sqlite" else None


def render(url: URL) -> str:
    """The URL with its password, as `RDBStorage` wants it: it formats the text once, so braces are doubled."""
    return url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
