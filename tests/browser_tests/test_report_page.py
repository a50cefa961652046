"""The report of a real finished study, opened in a real browser."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from tests.browser_tests.conftest import Watched
from tests.finished_study import NAME, FinishedStudy

FRONT = "#plot-front"
_IS_ON_TOP = """mark => {
    mark.scrollIntoView({block: "center"});
    const box = mark.getBoundingClientRect();
    return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === mark;
}"""  # students that are nearly alike cover each other


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
    marks = {job: page.locator(f'{FRONT} [data-key="job-{job}"]') for job in jobs}
    job, mark = next((job, mark) for job, mark in marks.items() if mark.evaluate(_IS_ON_TOP))
    mark.hover(force=True)
    page.wait_for_selector(f"{FRONT} .tip:not([hidden])")
    assert f"student {job}, measured" in page.locator(f"{FRONT} .tip").inner_text()
    mark.click(force=True)
    page.wait_for_function("document.querySelector('#chosen strong') !== null")
    assert page.locator("#chosen strong").inner_text().lower().startswith("student")
    lines = page.locator("#chosen li").all_inner_texts()
    assert {line.split(":")[0] for line in lines} > {"validation", "test", "size", "latency", "hidden size"}
    assert page.locator("#chosen code").inner_text().startswith(f"avatar-optuna export --study-name {NAME} --student ")


def test_its_axes_can_be_chosen(watched: Watched, page_path: Path) -> None:
    _open(watched, page_path)
    page = watched.page
    title = page.locator(f"{FRONT} .title").first
    assert title.text_content().startswith("size")
    page.select_option("#front-x", "latency_ms")
    assert title.text_content().startswith("latency")
    assert page.locator(f'{FRONT} [data-key^="job-"]').count() > 0
    assert page.locator(f'{FRONT} [data-key^="trial-"]').count() == 0  # predictions have no latency
    page.select_option("#front-x", "size_bytes")
    assert page.locator(f'{FRONT} [data-key^="trial-"]').count() > 0
    assert watched.errors == []


def test_a_trace_can_be_hidden_and_a_part_be_seen_larger(watched: Watched, page_path: Path) -> None:
    _open(watched, page_path)
    page = watched.page
    marks = page.locator(f'{FRONT} [data-key^="trial-"]')
    before = marks.count()
    page.get_by_role("button", name="predicted front").first.click()
    assert marks.count() == 0
    page.get_by_role("button", name="predicted front").first.click()
    assert marks.count() == before
    ticks = page.locator(f"{FRONT} svg.main-svg > text")
    whole = ticks.all_text_contents()
    page.locator(FRONT).scroll_into_view_if_needed()
    box = page.locator(f"{FRONT} svg.main-svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6)
    page.mouse.up()
    assert ticks.all_text_contents() != whole
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    assert ticks.all_text_contents() == whole
    assert watched.errors == []


def test_students_can_be_sorted_also_after_the_window_was_resized(watched: Watched, page_path: Path) -> None:
    _open(watched, page_path)
    watched.page.set_viewport_size({"width": 900, "height": 700})
    watched.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    heading = watched.page.locator("#students thead tr:last-child th", has_text="MB")
    for order, name in ((-1, "descending"), (1, "ascending")):
        heading.click()
        assert heading.get_attribute("aria-sort") == name
        place = heading.evaluate("heading => heading.cellIndex")
        cells = watched.page.evaluate(
            "place => [...document.querySelectorAll('#students tbody tr')].map(row => row.cells[place].textContent)",
            place,
        )
        sizes = [order * float(cell.replace(",", "")) for cell in cells if cell]
        assert sizes == sorted(sizes)


def test_the_front_in_three_dimensions_turns(watched: Watched, page_path: Path) -> None:
    _open(watched, page_path)
    page = watched.page
    mark = page.locator('#plot-front-3d [data-key^="job-"]').first
    page.locator("#plot-front-3d svg.turns").focus()
    before = mark.get_attribute("transform")
    page.keyboard.press("ArrowLeft")
    assert page.locator('#plot-front-3d [data-key^="job-"]').first.get_attribute("transform") != before
    assert watched.errors == []


_DRAWN = """([figure, width]) => {
    const place = document.createElement("div");
    place.id = "drawn";
    place.className = "plot";
    place.style.width = `${width}px`;
    document.body.append(place);
    Plot.draw(place, figure, {width});
}"""
_GAPS = """() => {
    const labels = [...document.querySelectorAll("#drawn svg.main-svg > text[text-anchor=middle]:not(.title)")];
    const boxes = labels.map(label => label.getBoundingClientRect()).sort((a, b) => a.left - b.left);
    return boxes.slice(1).map((box, index) => box.left - boxes[index].right);
}"""


@pytest.mark.parametrize("width", [320, 390, 660, 1010])
@pytest.mark.parametrize(("low", "high"), [(0.013, 0.64), (0.0021, 0.35), (3.0, 800.0), (0.11, 0.19), (1e-4, 5e3)])
def test_ticks_of_a_logarithmic_axis_keep_a_distance(
    watched: Watched, page_path: Path, width: int, low: float, high: float
) -> None:
    _open(watched, page_path)
    axes = {"xaxis": {"title": {"text": "size, MB"}, "type": "log"}, "yaxis": {"title": {"text": "y"}}}
    trace = {"type": "scatter", "mode": "markers", "x": [low, high], "y": [80, 90], "marker": {}}
    watched.page.evaluate(_DRAWN, [{"data": [trace], "layout": axes}, width])
    gaps = watched.page.evaluate(_GAPS)
    assert gaps
    assert min(gaps) >= 6


@pytest.mark.parametrize(("low", "high"), [(91.0, 96.5), (85.3, 85.9), (52.0, 98.0)])
def test_an_axis_in_three_dimensions_has_two_ticks_or_more(
    watched: Watched, page_path: Path, low: float, high: float
) -> None:
    _open(watched, page_path)
    trace = {"type": "scatter3d", "mode": "markers", "x": [1, 7], "y": [2, 9], "z": [low, high], "marker": {}}
    scene = {name: {"title": {"text": name}} for name in ("xaxis", "yaxis", "zaxis")}
    watched.page.evaluate(_DRAWN, [{"data": [trace], "layout": {"scene": scene}}, 600])
    written = watched.page.locator("#drawn svg.main-svg > text:not(.title)").all_text_contents()
    assert sum(float(text) > 20 for text in written) >= 2


def test_titles_in_three_dimensions_stay_inside_and_off_the_ticks(watched: Watched, page_path: Path) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 800})
    _open(watched, page_path)
    titles, ticks, inside = watched.page.evaluate(
        """() => {
            const svg = document.querySelector("#plot-front-3d svg.main-svg");
            const box = ({left, right, top, bottom}) => ({left, right, top, bottom});
            const all = selector => [...svg.querySelectorAll(selector)].map(text => box(text.getBoundingClientRect()));
            return [all("text.title"), all("text:not(.title)"), box(svg.getBoundingClientRect())];
        }"""
    )
    assert len(titles) == 3
    for title in titles:
        assert title["left"] >= inside["left"] + 2
        assert title["right"] <= inside["right"] - 2
        assert title["bottom"] <= inside["bottom"]
        for tick in ticks:
            is_beside = title["right"] < tick["left"] or tick["right"] < title["left"]
            assert is_beside or title["bottom"] <= tick["top"] or tick["bottom"] <= title["top"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_that_is_cut_shows_it_at_its_edge(watched: Watched, page_path: Path, scheme: str) -> None:
    """Its last pixels differ from the page's ground while columns lie beyond, and no more once scrolled to the end."""
    watched.page.emulate_media(color_scheme=scheme)
    watched.page.set_viewport_size({"width": 390, "height": 800})
    _open(watched, page_path)
    table = watched.page.locator("#students .wide").first
    assert table.evaluate("table => table.scrollWidth > table.clientWidth")
    assert _edge(watched, table) != _ground(watched)
    table.evaluate("table => { table.scrollLeft = table.scrollWidth; }")
    assert _edge(watched, table) == _ground(watched)


def _edge(watched: Watched, table: Locator) -> list[int]:
    """The colour one pixel from the right edge, in the blank corner above a table's last row of headings."""
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    clip = {"x": box["x"] + box["width"] - 2, "y": box["y"] + 2, "width": 1, "height": 1}
    picture = base64.b64encode(watched.page.screenshot(clip=clip)).decode()
    return watched.page.evaluate(_PIXEL, f"data:image/png;base64,{picture}")


def _ground(watched: Watched) -> list[int]:
    colour = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in re.findall(r"\d+", colour)]


_PIXEL = """async address => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
    context.drawImage(image, 0, 0);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


def test_it_is_small(page_path: Path) -> None:
    assert page_path.stat().st_size < 2_000_000


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
