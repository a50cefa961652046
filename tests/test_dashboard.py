"""The dashboard in front of a real database: read by anyone here, changed by nobody without the token."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import optuna
import optuna_dashboard._pareto_front as dashboards_own
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from avatar_optuna.dashboard import Application, guarded_dashboard, is_loopback, pareto_front_trials
from avatar_optuna.storage import artifact_store, open_storage


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/studies.db"
    study = optuna.create_study(study_name="kept", storage=open_storage(url))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    return url


def _request(
    application: Application,
    method: str,
    path: str,
    *,
    query: str = "",
    host: str = "localhost:8080",
    cookie: str = "",
    **headers: str,
) -> tuple[str, dict[str, str], bytes]:
    answered: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        answered.update(status=status, headers=dict(headers))

    environment = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": host,
        "HTTP_COOKIE": cookie,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8080",
        "wsgi.input": io.BytesIO(b""),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
        "CONTENT_LENGTH": "0",
        **headers,
    }
    body = b"".join(application(environment, start_response))
    return answered["status"][:3], answered["headers"], body


def _names(application: Application) -> list[str]:
    status, _, body = _request(application, "GET", "/api/studies")
    assert status == "200"
    return [study["study_name"] for study in json.loads(body)["study_summaries"]]


def test_it_reads_and_changes_nothing(url: str) -> None:
    application = guarded_dashboard(url, artifacts=None, host="127.0.0.1", token=None)
    assert _names(application) == ["kept"]
    for method in ("DELETE", "POST", "PUT", "PATCH"):
        status, _, body = _request(application, method, "/api/studies/1")
        assert status == "403"
        assert b"read-only" in body
    assert _names(application) == ["kept"]


def test_the_token_lets_its_owner_delete(url: str) -> None:
    application = guarded_dashboard(url, artifacts=None, host="127.0.0.1", token="secret")
    for cookie in ("", "avatar_token=guess"):
        assert _request(application, "DELETE", "/api/studies/1", cookie=cookie)[0] == "403"
    assert _request(application, "GET", "/dashboard", query="token=guess")[0] == "403"
    status, headers, _ = _request(application, "GET", "/dashboard", query="token=secret")
    assert (status, headers["Location"]) == ("303", "/dashboard")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert _names(application) == ["kept"]
    assert _request(application, "DELETE", "/api/studies/1", cookie=cookie.partition(";")[0])[0] in ("200", "204")
    assert _names(application) == []


@pytest.mark.parametrize(("host", "status"), [("evil.example", "403"), ("[::1]:8080", "200"), ("127.0.0.1", "200")])
def test_only_names_of_this_machine_reach_it(url: str, host: str, status: str) -> None:
    application = guarded_dashboard(url, artifacts=None, host="127.0.0.1", token=None)
    assert _request(application, "GET", "/api/studies", host=host)[0] == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example:8080", "403"), ("", "403"), ("192.168.1.9:8080", "200"), ("[fe80::1]:8080", "200"), ("lab", "200")],
)
def test_a_foreign_name_cannot_be_pointed_at_a_dashboard_on_every_address(url: str, host: str, status: str) -> None:
    """DNS rebinding: the browser sends the foreign page's own name."""
    application = guarded_dashboard(url, artifacts=None, host="0.0.0.0", token=None, allowed_hosts=["LAB"])
    assert _request(application, "GET", "/api/studies", host=host)[0] == status


def test_another_origin_cannot_use_the_owners_cookie(url: str) -> None:
    application = guarded_dashboard(url, artifacts=None, host="127.0.0.1", token="secret")
    path, cookie = "/api/studies/1", "avatar_token=secret"
    for headers in (
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_ORIGIN": "http://localhost:9999"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
    ):
        status, _, body = _request(application, "DELETE", path, cookie=cookie, **headers)
        assert (status, b"Only a page of this dashboard" in body) == ("403", True)
    own = {"HTTP_ORIGIN": "http://localhost:8080", "HTTP_SEC_FETCH_SITE": "same-origin"}
    assert _request(application, "DELETE", path, cookie=cookie, **own)[0] in ("200", "204")


def test_a_study_cannot_be_renamed(url: str) -> None:
    application = guarded_dashboard(url, artifacts=None, host="127.0.0.1", token="secret")
    status, _, body = _request(application, "POST", "/api/studies/1/rename", cookie="avatar_token=secret")
    assert (status, b"keeps its name" in body) == ("403", True)
    assert _names(application) == ["kept"]


def test_the_token_leads_to_no_other_server(url: str) -> None:
    application = guarded_dashboard(url, artifacts=None, host="127.0.0.1", token="secret")
    assert _request(application, "GET", "//evil.example/", query="token=secret")[1]["Location"] == "/evil.example/"


def test_an_artifact_is_a_download_that_runs_nothing(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    page = tmp_path / "page.html"
    page.write_text("<script>fetch('/api/studies/1', {method: 'DELETE'})</script>")
    study = optuna.load_study(study_name="kept", storage=open_storage(url))
    store = artifact_store(str(folder))
    identifier = optuna.artifacts.upload_artifact(artifact_store=store, file_path=str(page), study_or_trial=study)
    application = guarded_dashboard(url, artifacts=str(folder), host="127.0.0.1", token=None)
    status, headers, body = _request(application, "GET", f"/artifacts/{study._study_id}/{identifier}")
    assert (status, body) == ("200", page.read_bytes())
    assert headers["Content-Disposition"] == "attachment"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


def test_half_open_connections_shut_nobody_out(url: str) -> None:
    words = ["dashboard", "--storage", url, "--port", "0"]
    server = subprocess.Popen(
        [sys.executable, "-m", "avatar_optuna", *words],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    half_open = []
    try:
        line = next(line for line in server.stdout if "http://" in line)
        address = urlsplit("http://" + line.split("http://", 1)[1].split("/")[0])
        assert address.hostname is not None
        for _ in range(300):
            connection = socket.create_connection((address.hostname, address.port or 0), timeout=30)
            connection.sendall(b"GET /api/studies HTTP/1.1\r\nHost: localhost\r\n")
            half_open.append(connection)
        with urllib.request.urlopen(f"{address.geturl()}/api/studies", timeout=30) as answer:
            assert [study["study_name"] for study in json.load(answer)["study_summaries"]] == ["kept"]
    finally:
        for connection in half_open:
            connection.close()
        server.terminate()
        server.wait(timeout=30)


def test_what_is_a_loopback_address() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1", "0.0.0.0", "example.org")] == [
        *(True, True, True),
        *(False, False),
    ]


@pytest.mark.parametrize("directions", [("maximize", "minimize", "minimize"), ("minimize", "maximize")])
def test_its_front_is_the_one_that_the_dashboard_would_compute(directions: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    trials = [
        create_trial(values=[float(value) for value in values])
        for values in rng.integers(0, 12, size=(200, len(directions)))  # of few values, so that some are equal
    ]
    trials += [create_trial(state=TrialState.PRUNED), create_trial(state=TrialState.FAIL)]
    wanted = [StudyDirection[direction.upper()] for direction in directions]
    found = pareto_front_trials(trials, wanted)
    assert {id(trial) for trial in found} == {id(t) for t in dashboards_own.get_pareto_front_trials(trials, wanted)}
    assert pareto_front_trials(trials[200:], wanted) == []
