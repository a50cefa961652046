"""What a URL may be, and that its password is never shown."""

from __future__ import annotations

import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.storage import mask_url, open_storage
from avatar_optuna.storage._url import parse_url, render


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host/name",
        "postgresql+psycopg://me:s3cret@host:5432/name?sslmode=require",
        "postgresql://host/name?user=me&password=s3cret",
        "postgresql://me:s3cret@host:notaport/name",
        "grpc://me:s3cret@host:13000",
        "mysql://me:s3cret@host/name",
        "me:s3cret//x:s3cret@host",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    assert "s3cret" not in mask_url(url)


@pytest.mark.parametrize("url", ["postgresql://me:s3cret@h:port/n", "grpc://me:s3cret@h:1", "mysql://me:s3cret@h/n"])
def test_a_refusal_shows_no_password(url: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_url(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mysql://h/n", "sqlite://", "sqlite:///:memory:", "grpc://h:1", "no url", "journal.log"]
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="storage must be"):
        open_storage(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_driver_is_named(scheme: str) -> None:
    assert parse_url(f"{scheme}://h/n").drivername == "postgresql+psycopg"


def test_braces_of_a_password_survive_optunas_template() -> None:
    url = parse_url("postgresql://me:a%7Bb%7D%25@host/name")
    assert parse_url(render(url).format(SCHEMA_VERSION=1)).password == "a{b}%"
