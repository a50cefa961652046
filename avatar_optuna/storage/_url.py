"""Database URLs: which are served, with which driver, and how they are shown."""

from __future__ import annotations

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from avatar_optuna.exceptions import InputError
from avatar_optuna.storage.dialects import dialect_of_url, example_urls

_SECRET = re.compile(r"pass|secret|token", re.IGNORECASE)


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
        InputError: It is no URL, or not of a database that a dialect serves.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"storage must be a URL such as {example_urls()}, got {mask_url(url)!r}") from error
    if parsed.drivername == "grpc":
        raise InputError(
            "storage must be the database's own URL, for Optuna's gRPC proxy has neither heartbeats nor transactions: "
            f"put PgBouncer (session pooling) before PostgreSQL to serve very many workers, got {mask_url(url)!r}"
        )
    try:
        return dialect_of_url(parsed).check(parsed)
    except InputError as error:
        raise InputError(f"{error}, got {mask_url(url)!r}") from None


def render(url: URL) -> str:
    """The URL with its password, as `RDBStorage` wants it: it formats the text once, so braces are doubled."""
    return url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
