"""A real browser for these tests: Playwright's own Chromium if it is installed, else the system's."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.conftest import PASSWORD, Cast, StartServer

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests. Without one they are skipped, loudly; where CI is set they fail."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if Path(own).exists() else shutil.which("chromium")
        if path is None:
            say = pytest.fail if os.environ.get("CI") else pytest.skip
            say("NO BROWSER TESTS RAN: there is no Chromium. On Debian: apt-get install chromium.")
        with playwright.chromium.launch(executable_path=path, args=OPTIONS) as browser:
            yield browser


@pytest.fixture
def address(server: StartServer) -> str:
    """The address of a running board."""
    [started] = server()
    return started


def _is_complaint(message: ConsoleMessage) -> bool:
    # The console calls an answer that is an honest refusal an error, too.
    return message.type == "error" and not re.search(r"status of (4\d\d|503)", message.text)


@pytest.fixture
def page(address: str, cast: Cast, browser: Browser) -> Iterator[Page]:
    """A page in which Ada is signed in. What its console complains of fails the test."""
    complaints: list[str] = []
    with browser.new_context(base_url=address) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/login")
        page.fill("#email", "ada@example.com")
        page.fill("#password", PASSWORD)
        page.click("button.primary")
        page.wait_for_url("**/w/acme/jobs")
        yield page
    assert not complaints


@pytest.fixture
def runner(address: str, token: str) -> Iterator[httpx.Client]:
    """A runner of acme, as another process would call the board."""
    with httpx.Client(base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {token}"}) as client:
        yield client
