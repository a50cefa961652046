"""The live pages as a WSGI application: an index, a page a study, reports rendered when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlencode

from markupsafe import Markup
from optuna.exceptions import StorageInternalError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from avatar_optuna import __version__
from avatar_optuna.exceptions import AvatarError, InputError
from avatar_optuna.live._look import Looks
from avatar_optuna.report import asset, content_of, render, render_beside
from avatar_optuna.storage import describe_error
from avatar_optuna.templates import environment_of
from avatar_optuna.view import read_view

PREFIX = "/avatar"
"""Below which the pages are served; optuna-dashboard has nothing there."""

Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Answer = tuple[str, str, bytes]
"""Status, content type, body."""

# A page loads scripts and styles of this server alone, and none from within the page.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# A report is one file with its script in it: it may run, but as a stranger, without the dashboard's cookie.
_REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML, _JSON = "text/html; charset=utf-8", "application/json; charset=utf-8"
_DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError)


class LivePages:
    """Serves what lies below `PREFIX`.

    Args:
        engine: Of the database; it is only read.
    """

    def __init__(self, engine: Engine) -> None:
        self._looks = Looks(engine)
        self._templates = environment_of("avatar_optuna.live", is_html=True)
        self._templates.globals |= {"version": __version__, "address": address}
        self._templates.filters["script_json"] = _script_json
        self._pages: Mapping[str, Callable[[Mapping[str, str]], Answer]] = {
            "/": self._index,
            "/studies.json": self._studies,
            "/study": self._study,
            "/study.json": self._study_values,
            "/report": self._report,
            "/compare": self._compare,
        }

    def __call__(self, environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "").removeprefix(PREFIX)
        method = environment["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            status, kind, body = _failed("405 Method Not Allowed", "Live pages can only be read.")
        elif not path:  # relative addresses of the index need the slash
            start_response("308 Permanent Redirect", [("Location", f"{PREFIX}/")])
            return [b""]
        else:
            status, kind, body = self._answer(path, _query(environment))
        policy = _REPORT_POLICY if path in ("/report", "/compare") and status.startswith("200") else _POLICY
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Content-Security-Policy", policy)]
        start_response(status, [*headers, ("Cache-Control", "no-cache" if path.startswith("/assets/") else "no-store")])
        return [b"" if method == "HEAD" else body]

    def _answer(self, path: str, query: Mapping[str, str]) -> Answer:
        is_json = path.endswith(".json")
        try:
            if path.startswith("/assets/"):
                return _asset(path.removeprefix("/assets/"))
            if (page := self._pages.get(path)) is not None:
                return page(query)
            return self._refused("404 Not Found", "There is no such page.", is_json=is_json)
        except InputError as error:
            return self._refused("404 Not Found", str(error).replace("--study-name", "name"), is_json=is_json)
        except AvatarError as error:
            return self._refused("500 Internal Server Error", str(error), is_json=is_json)
        except _DATABASE_ERRORS as error:
            sentence = f"The database cannot be read: {describe_error(error)}"
            return self._refused("503 Service Unavailable", sentence, is_json=is_json)

    def _refused(self, status: str, sentence: str, *, is_json: bool) -> Answer:
        if is_json:
            return _failed(status, sentence)
        return status, _HTML, self._page("refused.html", sentence=sentence)

    def _page(self, template: str, **values: Any) -> bytes:
        return self._templates.get_template(template).render(**values).encode()

    def _index(self, query: Mapping[str, str]) -> Answer:
        return "200 OK", _HTML, self._page("index.html", studies=self._looks.studies())

    def _studies(self, query: Mapping[str, str]) -> Answer:
        return _values({"studies": self._looks.studies()})

    def _study(self, query: Mapping[str, str]) -> Answer:
        values = self._looks.study(_required(query, "name"))
        return "200 OK", _HTML, self._page("study.html", study=values)

    def _study_values(self, query: Mapping[str, str]) -> Answer:
        return _values(self._looks.study(_required(query, "name")))

    def _report(self, query: Mapping[str, str]) -> Answer:
        view = read_view(self._looks.engine, _required(query, "name"))
        return "200 OK", _HTML, render(content_of(view)).encode()

    def _compare(self, query: Mapping[str, str]) -> Answer:
        names = [_required(query, key) for key in ("first", "second")]
        if names[0] == names[1]:
            raise InputError(f"two studies must be compared, got {names[0]!r} twice")
        first, second = (read_view(self._looks.engine, name) for name in names)
        return "200 OK", _HTML, render_beside(first, second).encode()


def address(page: str, **query: str) -> str:
    """Of a page, such as `study?name=clones`, relative to the index."""
    return f"{page}?{urlencode(query)}"


def _script_json(values: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it ends the element."""
    return Markup(json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def _query(environment: Environment) -> dict[str, str]:
    """Each key with its first value."""
    given = parse_qs(environment.get("QUERY_STRING", ""), keep_blank_values=True)
    return {key: values[0] for key, values in given.items()}


def _required(query: Mapping[str, str], key: str) -> str:
    if key not in query:
        raise InputError(f"the address must name a study by ?{key}=NAME, got none")
    return query[key]


def _values(values: Any) -> Answer:
    return "200 OK", _JSON, json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def _failed(status: str, sentence: str) -> Answer:
    return status, _JSON, json.dumps({"reason": sentence}).encode()


_ASSETS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "plot.js": ("text/javascript; charset=utf-8", lambda: asset("plot.js")),
    "report.css": ("text/css; charset=utf-8", lambda: asset("report.css")),
    "live.js": ("text/javascript; charset=utf-8", lambda: _own("live.js")),
    "index.js": ("text/javascript; charset=utf-8", lambda: _own("index.js")),
    "live.css": ("text/css; charset=utf-8", lambda: _own("live.css")),
}


def _asset(name: str) -> Answer:
    if name not in _ASSETS:
        return _failed("404 Not Found", "There is no such file.")
    kind, read = _ASSETS[name]
    return "200 OK", kind, read().encode()


def _own(name: str) -> str:
    return (files("avatar_optuna.live") / "assets" / name).read_text(encoding="utf-8")
