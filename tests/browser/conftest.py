"""A real browser for these tests: Playwright's own Chromium if it is installed, else the system's."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.support.databases import empty
from tests.support.pages import sign_in
from tests.support.people import Cast
from tests.support.servers import Board

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
def url(running: Board) -> Iterator[str]:
    """The database of a running board; whatever the test leaves in it goes."""
    yield running.url
    empty(running.url)


@pytest.fixture
def address(running: Board) -> str:
    """The address of a running board."""
    return running.address


def _is_complaint(message: ConsoleMessage) -> bool:
    # The console calls an answer that is an honest refusal an error, too.
    return message.type == "error" and not re.search(r"status of (4\d\d|503)", message.text)


@pytest.fixture
def page(address: str, client: FlaskClient, cast: Cast, browser: Browser) -> Iterator[Page]:
    """A page in which Ada is signed in; ``later`` moves its clock. What its console complains of fails the test."""
    complaints: list[str] = []
    sign_in(client, cast.ada.email)
    cookie = client.get_cookie(client.application.config["SESSION_COOKIE_NAME"])
    assert cookie
    # The running board has a port of its own, which the name of its cookie says.
    name = f"callboard-{urlsplit(address).port}"
    # The clock of the page runs ahead of the server's: what the server saw a second ago is long past for it.
    with browser.new_context(base_url=address, extra_http_headers={"Cache-Control": "max-age=0"}) as context:
        context.add_cookies([{"name": name, "value": cookie.value, "url": address}])
        page = context.new_page()
        page.clock.install()
        page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/w/acme/jobs")
        yield page
    assert not complaints


@pytest.fixture
def still(page: Page) -> Page:
    """A page on which nothing fades: a colour halfway is nobody's choice."""
    page.emulate_media(reduced_motion="reduce")
    return page


@pytest.fixture
def runner(address: str, token: str) -> Iterator[httpx.Client]:
    """A runner of acme, as another process would call the board."""
    with httpx.Client(base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {token}"}) as client:
        yield client
