"""A page in a real browser, and what axe finds on it."""

from axe_playwright_python.sync_playwright import DEFAULT_OPTIONS, Axe
from playwright.sync_api import Page, expect

from tests.support.people import PASSWORD

axe = Axe()

OF_COLOURS = DEFAULT_OPTIONS | {"runOnly": ["color-contrast", "link-in-text-block"]}
"""The rules of axe that look at colours."""


def sign_in(page: Page, email: str = "ada@example.com") -> None:
    """Fill in the form of the sign-in page as a person does, and send it."""
    page.goto("/login")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.click("button.primary")


def later(page: Page, seconds: int = 15) -> None:
    """Move the clock of an open page on: by the slowest pace of its polls, unless told otherwise.

    In steps shorter than what a request may take, with an answer to all that is under way before each.
    """
    for _ in range(0, seconds, 5):
        expect(page.locator(".htmx-request")).to_have_count(0)
        page.clock.fast_forward(5000)


def assert_clean(page: Page) -> None:
    """Axe complains of nothing in light, nor in dark, where nothing but the colours differs."""
    for scheme, options in ("light", DEFAULT_OPTIONS), ("dark", OF_COLOURS):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        results = axe.run(page, options=options)
        assert results.violations_count == 0, f"{page.url}, {scheme}: {results.generate_report()}"


def assert_narrow(page: Page) -> None:
    """Nothing is wider than the window, on a telephone and on a desk; the width stays that of the desk."""
    for width in 360, 768, 800, 1280:
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url}, {width}"
