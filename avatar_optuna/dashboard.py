"""optuna-dashboard behind a guard: it has no authentication of its own, and an unasked DELETE would remove a study."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable, Iterable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.exceptions import InputError
from avatar_optuna.pareto import non_dominated
from avatar_optuna.storage import artifact_store, open_storage

Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE = "avatar_token"


class Guard:
    """Lets reading through, and changes only with the token.

    Args:
        application: The dashboard.
        hosts: Names and addresses by which the browser may call it; any other `Host` is refused, so that a foreign page
            cannot reach it through a name of its own that points here.
        token: Whoever has it may change studies; None lets nobody.
    """

    def __init__(self, application: Application, *, hosts: Iterable[str], token: str | None = None) -> None:
        self._application = application
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token

    def __call__(self, environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self._hosts and _host_name(environment.get("HTTP_HOST", "")) not in self._hosts:
            return _refuse(start_response, "This dashboard does not answer to that host name.")
        if self._token is not None and (given := parse_qs(environment.get("QUERY_STRING", "")).get("token")):
            return self._exchange(environment, start_response, given[0])
        if environment["REQUEST_METHOD"] not in _READING:
            if self._token is None:
                return _refuse(
                    start_response, "This dashboard is read-only; `--allow-edits` lets the owner change studies."
                )
            if not self._may_edit(environment):
                return _refuse(
                    start_response, "Changing a study needs the token that the dashboard printed when it began."
                )
        return self._application(environment, start_response)

    def _exchange(self, environment: Environment, start_response: StartResponse, given: str) -> Iterable[bytes]:
        """The token of the address becomes a cookie, and leaves the address."""
        if self._token is None or not hmac.compare_digest(given.encode(), self._token.encode()):
            return _refuse(start_response, "That is not the token that the dashboard printed when it began.")
        cookie = f"{_COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"
        start_response("303 See Other", [("Location", environment.get("PATH_INFO") or "/"), ("Set-Cookie", cookie)])
        return [b""]

    def _may_edit(self, environment: Environment) -> bool:
        try:
            morsel = SimpleCookie(environment.get("HTTP_COOKIE", "")).get(_COOKIE)
        except CookieError:
            return False
        given = morsel.value if morsel is not None else ""
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


def _host_name(host: str) -> str:
    """`localhost` of `localhost:8080`, `::1` of `[::1]:8080`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _refuse(start_response: StartResponse, sentence: str) -> Iterable[bytes]:
    start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
    return [sentence.encode() + b"\n"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def guarded_dashboard(storage_url: str, *, artifacts: str | None, host: str, token: str | None) -> Application:
    """The dashboard of a database, guarded.

    Args:
        storage_url: The database.
        artifacts: The artifact store, or None to show no files.
        host: What it listens on: on a loopback address only loopback names may call it.
        token: For changes; None makes it read-only.
    """
    from optuna_dashboard import _app, wsgi

    _app.get_pareto_front_trials = pareto_front_trials
    store = artifact_store(artifacts) if artifacts is not None else None
    application: Application = wsgi(open_storage(storage_url, create=False), artifact_store=store)
    hosts = {"localhost", "127.0.0.1", "::1", host} if is_loopback(host) else set()
    return Guard(application, hosts=hosts, token=token)


def pareto_front_trials(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """The front as the dashboard wants it, in place of its own, which compares all pairs of trials at every poll.

    Args:
        trials: Of which the COMPLETE ones count.
        directions: One for each of their values.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        return []
    signs = np.where([direction is StudyDirection.MAXIMIZE for direction in directions], -1.0, 1.0)
    kept = non_dominated(np.asarray([trial.values for trial in complete], dtype=np.float64) * signs)
    return [complete[index] for index in np.flatnonzero(kept)]


def serve(
    storage_url: str,
    *,
    host: str,
    port: int,
    allow_edits: bool,
    artifacts: str | None,
    say: Callable[[str], None],
) -> None:
    """Serve the guarded dashboard until Ctrl-C.

    Raises:
        InputError: The address cannot be listened on.
    """
    import waitress

    token = secrets.token_urlsafe(24) if allow_edits else None
    application = guarded_dashboard(storage_url, artifacts=artifacts, host=host, token=token)
    try:
        server = waitress.create_server(application, host=host, port=port)
    except (OSError, ValueError) as error:
        raise InputError(f"--host and --port must be an address to listen on, got {host}:{port}: {error}") from error
    address = f"http://{host}:{server.effective_port}/"
    if not is_loopback(host):
        say(f"warning: everybody who can reach {host} can read the studies; there is no password")
    say(
        f"dashboard at {address}dashboard (read-only)"
        if token is None
        else f"dashboard at {address}dashboard?token={token}"
    )
    server.run()
