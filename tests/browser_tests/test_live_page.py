"""The live pages in a real browser: of a study that really runs, of a finished one, and of two side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from avatar_optuna.storage import copy_study, open_storage
from avatar_optuna.study import create_study
from tests.browser_tests.conftest import Watched
from tests.browser_tests.servers import ROOT, served
from tests.finished_study import NAME, FinishedStudy, write_study

_RUN_MS = 900_000


@pytest.fixture(scope="module")
def address(finished_study: FinishedStudy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a database with a finished study and one that has just been made."""
    url = f"sqlite:///{tmp_path_factory.mktemp('live')}/studies.db"
    storage = open_storage(url)
    copy_study(source=open_storage(finished_study.url), target=storage, study_name=NAME)
    settings = replace(finished_study.open().settings, name="new")
    create_study(settings, storage, artifacts="nowhere")
    with served(url) as address:
        yield address


def test_the_index_leads_to_the_page_of_a_study_and_on_to_its_report(watched: Watched, address: str) -> None:
    page = watched.page
    page.goto(f"{address}/avatar")
    page.locator("#studies tbody tr").nth(1).wait_for()
    page.get_by_role("link", name=NAME, exact=True).click()
    page.get_by_text("This study is finished.").wait_for()
    page.wait_for_selector("#plot-front .main-svg")
    assert page.locator("#phases li.done").count() == page.locator("#phases li").count() >= 5
    page.get_by_role("link", name="Read the full report of this study").click()
    page.wait_for_selector("#plot-front-3d .main-svg")
    assert page.title() == f"{NAME}: report"
    assert (watched.outside, watched.errors) == ([], [])


def test_two_studies_of_the_index_stand_side_by_side(watched: Watched, address: str) -> None:
    page = watched.page
    page.goto(f"{address}/avatar/")
    page.locator("#studies tbody tr").nth(1).wait_for()
    page.locator("select[name=first]").select_option(NAME)
    page.locator("select[name=second]").select_option("new")
    page.get_by_role("button", name="Side by side").click()
    page.wait_for_selector("#plot-beside .main-svg")
    assert page.title() == f"{NAME} beside new"
    assert "no student of new is distilled yet" in page.inner_text("#verdict")
    assert page.locator("#plot-beside .legend button").all_inner_texts() == [f"{NAME}, predicted", f"{NAME}, measured"]
    assert (watched.outside, watched.errors) == ([], [])


@pytest.mark.parametrize("path", ["", f"study?name={NAME}", "study?name=new", f"compare?first={NAME}&second=new"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out_to_the_side(watched: Watched, address: str, path: str, width: int) -> None:
    page = watched.page
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/avatar/{path}")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert (watched.outside, watched.errors) == ([], [])


def test_a_database_that_cannot_be_read_is_said_and_the_page_stays(watched: Watched, address: str) -> None:
    page = watched.page
    page.goto(f"{address}/avatar/study?name=new")
    page.wait_for_selector("#phases li")
    page.evaluate("document.getElementById('live').dataset.source = 'study.json?name=gone'")
    page.locator("#freshness.stale").wait_for()
    assert "must be a study of the database, got 'gone'" in page.inner_text("#freshness")
    assert page.locator("#phases li").count() >= 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_running_study_is_followed_to_its_end(watched: Watched, tmp_path: Path) -> None:
    """Nobody reloads the page: jobs with their epochs, curves and the front appear, and then that it is finished."""
    write_study(tmp_path, name="runs")
    file = tmp_path / "study.toml"
    file.write_text(file.read_text().replace("epochs = 4\nstudents = 2", "epochs = 20\nstudents = 2"))
    url = f"sqlite:///{tmp_path}/studies.db"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "avatar_optuna"]
    subprocess.run([*command, "create", str(file), "--storage", url], cwd=tmp_path, env=environment, check=True)
    running = subprocess.Popen(
        [*command, "run", str(file), "--storage", url, "--workers", "1"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        with served(url) as address:
            page = watched.page
            page.set_default_timeout(_RUN_MS)
            page.goto(f"{address}/avatar/study?name=runs")
            page.get_by_text("This study runs; 1 worker at work.").wait_for()
            page.locator("#running tbody tr").first.wait_for()
            page.locator("#running td", has_text="of 20").first.wait_for()
            page.locator("#plot-curves .legend button, #plot-curves path[stroke='#e0782b']").first.wait_for()
            assert page.locator("#state.running").count() == 1
            assert "about" in page.locator("#tiles div").first.inner_text()
            page.locator("#plot-front path").first.wait_for()
            page.locator("#state.finished").wait_for()
            assert running.wait(timeout=600) == 0
            assert page.locator("#phases li.done").count() == page.locator("#phases li").count()
            assert page.inner_text("#job-counts") == "0 jobs running, 0 waiting, 9 done, 0 failed."
            assert int(page.locator("#live").get_attribute("data-reads") or 0) > 3
            assert (watched.outside, watched.errors) == ([], [])
    finally:
        if running.poll() is None:
            running.terminate()
            running.wait(timeout=60)
