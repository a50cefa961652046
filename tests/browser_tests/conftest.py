"""A headless Chromium that may reach nothing but this machine, and remembers who asked for more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE_MS = 90_000  # a busy machine is no failure
_AT_HOME = {"", "127.0.0.1", "localhost"}


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A page, and what it should not have done.

    Args:
        page: In the browser.
        outside: Requests that left this machine; each was refused.
        errors: What the console called an error, and exceptions.
    """

    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: install it, or name it in $CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    found = Watched(page=page)

    def look(route: Route) -> None:
        if (urlsplit(route.request.url).hostname or "") in _AT_HOME:
            route.continue_()
        else:
            found.outside.append(route.request.url)
            route.abort()

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.errors.append(message.text)

    page.route("**/*", look)
    page.on("console", hear)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    yield found
    page.close()
