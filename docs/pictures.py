"""Make the pictures of the README and of this folder from a finished study, in a headless Chromium.

    python docs/pictures.py --storage URL --study-name NAME --student JOB [--chromium /usr/bin/chromium] [--out docs]
        [--page DIR --texts FILE FILE]
    python docs/pictures.py --storage URL --running NAME [--chromium /usr/bin/chromium] [--out docs]

`front.png` is the front of the report, `report.png` its first screen, `dashboard.png` the search
in optuna-dashboard, `dashboard-student.png` a distilled student there. With `--page`, a directory that
`export --format js` wrote, `student-page.png` is its page, with the texts of some files in it. `--running` takes
`live.png` alone: the live page of a study, as it is while the study runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def main() -> None:
    """Read the command line, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--running", metavar="NAME", help="a study that runs meanwhile: its live page is taken")
    parser.add_argument("--study-name", help="a finished study")
    parser.add_argument("--student", type=int, help="number of a distilled student's job")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--page", type=Path, help="a student exported by --format js")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="what stands in the fields of that page")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    if options.running is None and (options.study_name is None or options.student is None):
        parser.error("either --running, or --study-name and --student")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        if options.running is not None:
            with served(options.storage) as url:
                live_page(browser, url, options.running, options.out)
            browser.close()
            return
        page = Path(folder) / "report.html"
        of_study = ["--study-name", options.study_name, "--storage", options.storage]
        subprocess.run([*_command("report"), *of_study, "--out", str(page)], check=True)
        report(browser, page, options.out)
        with served(options.storage) as url:
            dashboard(browser, url, options.study_name, options.student, options.out)
        if options.page is not None:
            student_page(browser, options.page, options.texts, options.out)
        browser.close()


def student_page(browser: Browser, directory: Path, texts: Sequence[Path], out: Path) -> None:
    """The page of an exported student, with its own example or other texts."""
    page = browser.new_page(viewport={"width": 1100, "height": 640})
    page.goto((directory / "index.html").resolve().as_uri())
    page.wait_for_selector(".bar")
    for place, text in enumerate(texts):
        page.locator("textarea").nth(place).fill(text.read_text(encoding="utf-8"))
    page.wait_for_timeout(500)
    page.screenshot(path=out / "student-page.png")
    page.close()


def live_page(browser: Browser, url: str, study_name: str, out: Path) -> None:
    """The live page of a study as it opens."""
    page = browser.new_page(viewport={"width": 900, "height": 1460})
    page.goto(f"{url}/avatar/study?{urllib.parse.urlencode({'name': study_name})}")
    page.wait_for_selector("#phases li")
    page.wait_for_timeout(500)
    page.screenshot(path=out / "live.png")
    page.close()


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "avatar_optuna", name]


def report(browser: Browser, path: Path, out: Path) -> None:
    """The front by itself, and the report as it opens."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("#plot-front .main-svg")
    page.wait_for_timeout(500)
    page.screenshot(path=out / "report.png")
    page.locator("#plot-front").screenshot(path=out / "front.png")
    page.close()


def dashboard(browser: Browser, url: str, study_name: str, student: int, out: Path) -> None:
    """The search as its page opens, and a distilled student with its note and files."""
    with urllib.request.urlopen(f"{url}/api/studies") as answer:
        studies = {study["study_name"]: study["study_id"] for study in json.load(answer)["study_summaries"]}
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(f"{url}/dashboard/studies/{studies[study_name]}")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_timeout(3000)
    page.screenshot(path=out / "dashboard.png")
    page.goto(f"{url}/dashboard/studies/{studies[study_name + '/distilled']}/trials?numbers={student}")
    page.get_by_text(f"Student {student}").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=out / "dashboard-student.png")
    page.close()


@contextmanager
def served(storage: str) -> Iterator[str]:
    """The dashboard on a free port of the loopback."""
    words = [*_command("dashboard"), "--storage", storage, "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    try:
        line = next(line for line in server.stdout if "http://" in line)
        url = "http://" + line.split("http://", 1)[1].split("/")[0]
        for _ in range(100):
            try:
                urllib.request.urlopen(url, timeout=2)
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
