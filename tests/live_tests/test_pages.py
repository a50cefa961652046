"""The live pages behind the guard of the dashboard: what they answer, and what they let nobody do."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from avatar_optuna.dashboard import Application, guarded_dashboard
from avatar_optuna.live import LivePages
from avatar_optuna.live._look import Looks
from avatar_optuna.storage import open_storage
from avatar_optuna.study import create_study
from tests.finished_study import NAME, FinishedStudy
from tests.study_tests.test_search import make_settings, run_search
from tests.test_dashboard import _request
from tests.view_tests.test_view import _statements


@pytest.fixture
def url(sqlite_url: str, tmp_path: Path) -> str:
    create_study(make_settings(tmp_path), open_storage(sqlite_url), artifacts="nowhere")
    return sqlite_url


@pytest.fixture
def application(url: str) -> Application:
    return guarded_dashboard(url, artifacts=None, host="127.0.0.1", token=None)


def _values(application: Application, path: str, query: str = "") -> dict[str, object]:
    status, headers, body = _request(application, "GET", path, query=query)
    assert (status, headers["Content-Type"]) == ("200", "application/json; charset=utf-8"), body
    values: dict[str, object] = json.loads(body)
    return values


def test_the_index_lists_studies_of_this_package_alone(application: Application, url: str) -> None:
    optuna.create_study(study_name="foreign", storage=open_storage(url))
    assert [study["name"] for study in _values(application, "/avatar/studies.json")["studies"]] == ["clones"]  # type: ignore[attr-defined]
    status, headers, body = _request(application, "GET", "/avatar/")
    assert (status, headers["Content-Type"]) == ("200", "text/html; charset=utf-8")
    assert b"<option selected>clones</option>" in body
    assert b"foreign" not in body


def test_the_dashboard_is_where_it_was(application: Application) -> None:
    assert _request(application, "GET", "/avatar")[0] == "308"
    assert _request(application, "GET", "/avatarx")[0] == "404"
    assert json.loads(_request(application, "GET", "/api/studies")[2])["study_summaries"]


def test_a_study_that_has_just_been_made_has_a_page(application: Application) -> None:
    status, _, body = _request(application, "GET", "/avatar/study", query="name=clones")
    assert status == "200"
    assert b"<title>clones: live</title>" in body
    values = _values(application, "/avatar/study.json", "name=clones")
    assert values["state"] == "standing"
    assert "goes on where it stopped" in str(values["sentence"])
    assert values["jobs"] == {"waiting": 0, "running": 0, "done": 0, "failed": 0}


@pytest.mark.parametrize("path", ["/avatar/study", "/avatar/study.json", "/avatar/report"])
@pytest.mark.parametrize("query", ["name=%3Cscript%3Ealert(1)%3C/script%3E", "name=clones/distilled", "", "name="])
def test_what_is_no_study_is_not_found(application: Application, path: str, query: str) -> None:
    status, headers, body = _request(application, "GET", path, query=query)
    assert status == "404"
    assert headers["Content-Type"].startswith("application/json" if path.endswith(".json") else "text/html")
    assert path.endswith(".json") or b"<script>alert" not in body
    assert b"must" in body


def test_pages_load_nothing_from_elsewhere_and_no_script_of_their_own(application: Application) -> None:
    for path, query in (("/avatar/", ""), ("/avatar/study", "name=clones"), ("/avatar/nothing", "")):
        _, headers, body = _request(application, "GET", path, query=query)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert b"://" not in body
        assert b" style=" not in body
    for name in ("plot.js", "live.js", "index.js", "report.css", "live.css"):
        status, headers, body = _request(application, "GET", f"/avatar/assets/{name}")
        assert (status, len(body) > 100) == ("200", True)
        assert headers["Content-Type"].startswith("text/javascript" if name.endswith(".js") else "text/css")
    assert _request(application, "GET", "/avatar/assets/../report.js")[0] == "404"


def test_a_report_is_rendered_as_it_is_asked_for_and_runs_as_a_stranger(application: Application) -> None:
    status, headers, body = _request(application, "GET", "/avatar/report", query="name=clones")
    assert status == "200"
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert b"<title>clones: report</title>" in body


def test_two_studies_are_shown_side_by_side(application: Application, url: str, tmp_path: Path) -> None:
    other = make_settings(tmp_path, ('name = "clones"', 'name = "other"'))
    create_study(other, open_storage(url), artifacts="nowhere")
    status, headers, body = _request(application, "GET", "/avatar/compare", query="first=clones&second=other")
    assert status == "200"
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert b"<title>clones beside other</title>" in body
    assert b"No paired difference is given: no student of clones is distilled yet." in body
    for query, reason in (("first=clones&second=clones", b"twice"), ("first=clones", b"?second=NAME")):
        status, _, body = _request(application, "GET", "/avatar/compare", query=query)
        assert (status, reason in body) == ("404", True)


@pytest.mark.parametrize("token", [None, "secret"])
def test_nothing_can_be_changed(url: str, token: str | None) -> None:
    application = guarded_dashboard(url, artifacts=None, host="127.0.0.1", token=token)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, _, body = _request(
            application, method, "/avatar/study", query="name=clones", cookie="avatar_token=secret"
        )
        assert (status, b"read" in body) == (("403", True) if token is None else ("405", True))
    assert _request(application, "HEAD", "/avatar/")[2] == b""


def test_a_foreign_name_is_refused(application: Application) -> None:
    assert _request(application, "GET", "/avatar/studies.json", host="evil.example")[0] == "403"


def test_many_viewers_read_the_database_once_a_second(url: str) -> None:
    looks = Looks(open_storage(url).engine)
    first = looks.study("clones")
    with _statements() as executed:
        assert looks.study("clones") is first
    assert executed == []


def test_what_a_search_has_scored_is_read_anew_when_there_is_a_tenth_more(sqlite_url: str, tmp_path: Path) -> None:
    """A look every two seconds at a search of 100,000 configurations would read them all each time."""
    run_search(sqlite_url, make_settings(tmp_path))
    looks = Looks(open_storage(sqlite_url).engine)
    read = []
    for number, n_trials in ((60, 1000), (65, 1000), (66, 1000), (66, 66), (67, 67), (67, 67)):
        with _statements() as executed:
            values = looks._values_of("clones", {0: number}, n_trials)
        assert values.shape == (60, 3)
        read.append(bool(executed))
    assert read == [True, False, True, False, True, False]


def test_a_database_that_goes_away_is_said(url: str, tmp_path: Path) -> None:
    pages = LivePages(open_storage(url).engine)
    (tmp_path / "studies.db").write_bytes(b"no database" * 1000)
    status, _, body = _request(pages, "GET", "/avatar/study.json", query="name=clones")
    assert status == "503"
    assert json.loads(body)["reason"].startswith("The database cannot be read")


def test_the_page_of_a_finished_study_leads_to_its_report(finished_study: FinishedStudy) -> None:
    pages = LivePages(open_storage(finished_study.url).engine)
    body = _request(pages, "GET", "/avatar/study", query=f"name={NAME}")[2].decode()
    assert "This study is finished." in body
    assert '<p id="report"><a href="report?name=finished">' in body
