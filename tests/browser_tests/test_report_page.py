"""The report of a real finished study, opened in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser_tests.conftest import Watched
from tests.finished_study import NAME, FinishedStudy

FRONT = "#plot-front"


@pytest.fixture(scope="module")
def page_path(finished_study: FinishedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    finished_study.command("report", "--study-name", NAME, "--out", str(path))
    return path


def _open(watched: Watched, path: Path) -> None:
    watched.page.goto(path.as_uri())
    watched.page.wait_for_selector(f"{FRONT} .main-svg")


def test_it_is_drawn_without_errors_and_asks_nobody(watched: Watched, page_path: Path) -> None:
    _open(watched, page_path)
    for plot in ("plot-front", "plot-volume", "plot-trust", "plot-learning"):
        if watched.page.locator(f"#{plot}").count():
            assert watched.page.locator(f"#{plot} .main-svg").count() > 0, plot
    assert watched.errors == []
    assert watched.outside == []


def test_a_student_of_the_front_can_be_clicked(
    watched: Watched, page_path: Path, finished_study: FinishedStudy
) -> None:
    _open(watched, page_path)
    jobs = [str(t.number) for t in finished_study.open().distilled.get_trials() if t.user_attrs["purpose"] == "front"]
    page = watched.page
    page.locator(FRONT).scroll_into_view_if_needed()
    place = page.evaluate(
        """job => {
            const plot = document.getElementById("plot-front");
            const trace = plot.data.find(t => (t.customdata || []).includes(`job-${job}`));
            const index = trace.customdata.indexOf(`job-${job}`);
            const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
            const along = (axis, value) => axis._offset + axis.d2p(value);
            return [box.x + along(xaxis, trace.x[index]), box.y + along(yaxis, trace.y[index])];
        }""",
        jobs[0],
    )
    page.mouse.move(*place)
    page.wait_for_selector(f"{FRONT} .hoverlayer .hovertext")  # a click counts where the pointer is seen to hover
    page.mouse.click(*place)
    page.wait_for_function("document.querySelector('#chosen strong') !== null")
    assert page.locator("#chosen strong").inner_text().lower().startswith("student")
    assert page.locator("#chosen li").count() >= 3


def test_its_axes_can_be_chosen(watched: Watched, page_path: Path) -> None:
    _open(watched, page_path)
    page = watched.page
    before = page.evaluate("document.getElementById('plot-front').layout.xaxis.title.text")
    page.select_option("#front-x", "latency_ms")
    after = page.evaluate("document.getElementById('plot-front').layout.xaxis.title.text")
    assert before.startswith("size")
    assert after.startswith("latency")
    drawn = page.evaluate("document.getElementById('plot-front').data.filter(t => t.x.length).map(t => t.name)")
    assert "distilled and measured" in drawn
    assert watched.errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_to_the_side(watched: Watched, page_path: Path, width: int) -> None:
    watched.page.set_viewport_size({"width": width, "height": 800})
    _open(watched, page_path)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_can_be_printed(watched: Watched, page_path: Path, tmp_path: Path) -> None:
    _open(watched, page_path)
    watched.page.emulate_media(media="print")
    printed = watched.page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000
    assert watched.errors == []
