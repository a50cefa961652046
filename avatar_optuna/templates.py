"""Jinja templates of a package, read one way."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment_of(package: str, *, is_html: bool) -> Environment:
    """The folder `templates` of a package. A name that does not exist is an error.

    Args:
        package: Such as "avatar_optuna.report".
        is_html: Whether what is filled in is escaped.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
