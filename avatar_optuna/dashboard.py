"""optuna-dashboard and the live pages behind a guard: the dashboard has no authentication of its own, and an unasked
DELETE would remove a study."""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.exceptions import InputError
from avatar_optuna.live import PREFIX, LivePages
from avatar_optuna.pareto import non_dominated
from avatar_optuna.storage import artifact_store, open_storage

Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE = "avatar_token"


class Guard:
    """Lets reading through, and changes only with the token, from pages of the dashboard itself.

    Refused are: a `Host` that is not allowed, since a foreign page can point a name of its own at this address (DNS
    rebinding); a change asked for by a page of another origin; renaming, since a study and its `/distilled` belong
    together by their names. Artifacts are downloads in a sandbox: an HTML file among them can run no script here.

    Args:
        application: The dashboard.
        hosts: Names by which the browser may call it. An address in numbers needs no leave where `any_address` is true:
            no foreign page has one as its name.
        any_address: Whether any IP address may be the `Host`; for servers that listen on more than loopback.
        token: Whoever has it may change studies; None lets nobody.
    """

    def __init__(
        self, application: Application, *, hosts: Iterable[str], any_address: bool = False, token: str | None = None
    ) -> None:
        self._application = application
        self._hosts = frozenset(host.lower() for host in hosts)
        self._any_address = any_address
        self._token = token

    def __call__(self, environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        host = _host_name(environment.get("HTTP_HOST", ""))
        if host not in self._hosts and not (self._any_address and _address(host) is not None):
            return _refuse(
                start_response, "This dashboard does not answer to that host name; `--allowed-hosts` adds names."
            )
        if self._token is not None and (given := parse_qs(environment.get("QUERY_STRING", "")).get("token")):
            return self._exchange(environment, start_response, given[0])
        if environment["REQUEST_METHOD"] not in _READING and (reason := self._refusal(environment)) is not None:
            return _refuse(start_response, reason)
        answer = _with_safe_headers(start_response, environment.get("PATH_INFO", ""))
        return self._application(environment, answer)

    def _refusal(self, environment: Environment) -> str | None:
        """Why a change is refused; None where it is not."""
        if self._token is None:
            return "This dashboard is read-only; `--allow-edits` lets the owner change studies."
        if not _is_same_origin(environment):
            return "Only a page of this dashboard may change a study."
        if not self._may_edit(environment):
            return "Changing a study needs the token that the dashboard printed when it began."
        if environment.get("PATH_INFO", "").rstrip("/").endswith("/rename"):
            return "A study keeps its name: its distilled students are found by it."
        return None

    def _exchange(self, environment: Environment, start_response: StartResponse, given: str) -> Iterable[bytes]:
        """The token of the address becomes a cookie, and leaves the address."""
        if self._token is None or not hmac.compare_digest(given.encode(), self._token.encode()):
            return _refuse(start_response, "That is not the token that the dashboard printed when it began.")
        cookie = f"{_COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"
        path = "/" + (environment.get("PATH_INFO") or "").lstrip("/")  # "//host" would lead elsewhere
        start_response("303 See Other", [("Location", path), ("Set-Cookie", cookie)])
        return [b""]

    def _may_edit(self, environment: Environment) -> bool:
        try:
            morsel = SimpleCookie(environment.get("HTTP_COOKIE", "")).get(_COOKIE)
        except CookieError:
            return False
        given = morsel.value if morsel is not None else ""
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


_ARTIFACT_HEADERS = (
    ("Content-Disposition", "attachment"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_EVERY_HEADER = (("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"))


def _with_safe_headers(start_response: StartResponse, path: str) -> StartResponse:
    """Headers that keep a browser from running what was stored as an artifact, and others from reading it."""
    added = [*_EVERY_HEADER, *(_ARTIFACT_HEADERS if path.startswith("/artifacts/") else ())]
    replaced = {name.lower() for name, _ in added} | {"access-control-allow-origin"}

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        return start_response(status, [*(h for h in headers if h[0].lower() not in replaced), *added], *more)

    return start


def _is_same_origin(environment: Environment) -> bool:
    """Whether a browser says, where it says anything, that a page of this very address asks."""
    if environment.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
        return False
    origin = environment.get("HTTP_ORIGIN")
    return origin is None or urlsplit(origin).netloc.lower() == environment.get("HTTP_HOST", "").lower()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host as an address in numbers; None where it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _host_name(host: str) -> str:
    """`localhost` of `localhost:8080`, `::1` of `[::1]:8080`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _refuse(start_response: StartResponse, sentence: str) -> Iterable[bytes]:
    """The dashboard's page shows the `reason` of a refused change."""
    start_response("403 Forbidden", [("Content-Type", "application/json; charset=utf-8")])
    return [json.dumps({"reason": sentence}).encode() + b"\n"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


class Beside:
    """Live pages below `PREFIX`, the dashboard everywhere else."""

    def __init__(self, dashboard: Application, pages: Application) -> None:
        self._dashboard, self._pages = dashboard, pages

    def __call__(self, environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "")
        is_live = path == PREFIX or path.startswith(f"{PREFIX}/")
        return (self._pages if is_live else self._dashboard)(environment, start_response)


def guarded_dashboard(
    storage_url: str, *, artifacts: str | None, host: str, token: str | None, allowed_hosts: Iterable[str] = ()
) -> Application:
    """The dashboard of a database, and the pages that show its studies while they run, guarded.

    Args:
        storage_url: The database.
        artifacts: The artifact store, or None to show no files.
        host: What it listens on. Browsers may call it by this name and by loopback names, and where others can reach
            it by any IP address.
        token: For changes; None makes it read-only.
        allowed_hosts: More names by which browsers may call it, such as the machine's.
    """
    from optuna_dashboard import _app, wsgi

    _app.get_pareto_front_trials = pareto_front_trials
    store = artifact_store(artifacts) if artifacts is not None else None
    storage = open_storage(storage_url, create=False)
    application = Beside(wsgi(storage, artifact_store=store), LivePages(storage.engine))
    hosts = {"localhost", "127.0.0.1", "::1", host, *allowed_hosts}
    return Guard(application, hosts=hosts, any_address=not is_loopback(host), token=token)


def pareto_front_trials(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """The front of the COMPLETE trials; the dashboard's own function compares all pairs of trials at every poll."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        return []
    signs = np.where([direction is StudyDirection.MAXIMIZE for direction in directions], -1.0, 1.0)
    kept = non_dominated(np.asarray([trial.values for trial in complete], dtype=np.float64) * signs)
    return [complete[index] for index in np.flatnonzero(kept)]


# Waitress takes 100 connections and waits two minutes for a silent one: a hundred half-open ones would shut others out.
_CONNECTIONS = {"connection_limit": 2_000, "channel_timeout": 20, "cleanup_interval": 5}


def serve(
    storage_url: str,
    *,
    host: str,
    port: int,
    allow_edits: bool,
    artifacts: str | None,
    allowed_hosts: Sequence[str] = (),
    say: Callable[[str], None],
) -> None:
    """Serve the guarded dashboard until Ctrl-C; an `InputError` where the address cannot be listened on."""
    import waitress

    token = secrets.token_urlsafe(24) if allow_edits else None
    application = guarded_dashboard(
        storage_url, artifacts=artifacts, host=host, token=token, allowed_hosts=allowed_hosts
    )
    try:
        server = waitress.create_server(application, host=host, port=port, **_CONNECTIONS)
    except (OSError, ValueError) as error:
        raise InputError(f"--host and --port must be an address to listen on, got {host}:{port}: {error}") from error
    address = f"http://{host}:{server.effective_port}/"
    if not is_loopback(host):
        say(f"warning: everybody who can reach {host} can read the studies; there is no password")
    say(f"dashboard at {address}dashboard" + (" (read-only)" if token is None else f"?token={token}"))
    say(f"studies as they run at {address}{PREFIX.removeprefix('/')}/")
    server.run()
