"""The list worked through: by keyboard alone, and with scripts off; and what a poll must leave alone."""

import uuid

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import later, sign_in
from tests.support.jobs import RUNNER
from tests.support.people import Cast
from webapp.core import jobs


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """What the browser does, it does on every engine."""
    return str(request.param)


def made(app: Flask, cast: Cast, type: str = "import", *, running: bool = False) -> uuid.UUID:
    with app.app_context():
        job_id = jobs.enqueue_job(type, cast.acme.id, tags=["nightly"], by=RUNNER)
        if running:
            jobs.update_job_status(job_id, status="running", by=RUNNER)
    return job_id


def ticked(page: Page) -> list[str]:
    return list(page.eval_on_selector_all("input[name=job]:checked", "boxes => boxes.map(box => box.value)"))


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_by_keyboard_alone_one_filters_ticks_cancels_opens_and_comes_back(page: Page, app: Flask, cast: Cast) -> None:
    first, second, third = (made(app, cast) for _ in range(3))
    made(app, cast, "export")
    page.reload()
    page.keyboard.press("/")
    page.keyboard.type("import")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs?q=import")
    expect(page.locator("#understood")).to_contain_text("Understood as a type.")
    expect(page.locator("#rows tr")).to_have_count(3)
    page.keyboard.press("j")
    assert focused(page) == f"link-{third}"
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert ticked(page) == [str(third), str(second)]
    page.keyboard.press("c")
    expect(page.locator("#confirm-title")).to_have_text("Cancel 2 jobs?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("2 canceled")
    later(page)
    expect(page.locator(f"#job-{third} .status-canceled")).to_be_visible()
    page.keyboard.press("j")
    assert focused(page) == f"link-{first}"
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{second}")
    page.go_back()
    page.wait_for_url("**/jobs?q=import")
    expect(page.locator("#q")).to_have_value("import")
    expect(page.locator("#rows tr")).to_have_count(3)


def test_letters_are_letters_while_one_types_or_a_dialog_asks(page: Page, app: Flask, cast: Cast) -> None:
    made(app, cast)
    page.reload()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("xcjk/?")
    expect(page.locator("#q")).to_have_value("xcjk/?")
    expect(page.locator("#keys")).to_be_hidden()
    assert ticked(page) == []


def test_the_letter_c_presses_the_button_of_the_row_and_no_other(page: Page, app: Flask, cast: Cast) -> None:
    made(app, cast, running=True)
    page.reload()
    # The button of a job that is shown as a whole, beside a list.
    page.evaluate("""() => {
        const head = document.createElement("div");
        head.className = "job-head";
        head.innerHTML = '<button type="button" class="cancel">Cancel job</button>';
        document.querySelector("main").append(head);
        window.pressed = [];
        document.addEventListener("click", ({ target }) => {
            if (target.matches(".cancel")) pressed.push(target.parentElement.className);
        });
    }""")
    page.keyboard.press("c")
    assert page.evaluate("pressed") == ["job-head"]
    page.keyboard.press("j")
    page.keyboard.press("c")
    assert page.evaluate("pressed") == ["job-head", "c-do"]


def test_a_poll_leaves_focus_scroll_ticks_and_an_open_menu_alone(page: Page, app: Flask, cast: Cast) -> None:
    ids = [made(app, cast) for _ in range(40)]
    page.reload()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.evaluate("scrollTo(0, 300)")
    before = page.evaluate(f"document.getElementById('job-{ids[20]}').getBoundingClientRect().top")
    page.evaluate(f"getSelection().selectAllChildren(document.querySelector('#job-{ids[20]} .c-id'))")
    newest = made(app, cast)
    later(page)
    expect(page.locator(f"#job-{newest}")).to_be_attached()
    assert (focused(page), ticked(page)) == (f"link-{ids[38]}", [str(ids[38])])
    assert page.evaluate("getSelection().toString()") == str(ids[20])[-8:]
    after = page.evaluate(f"document.getElementById('job-{ids[20]}').getBoundingClientRect().top")
    assert abs(after - before) <= 40
    page.click("#more summary")
    page.fill("#tag", "nigh")
    another = made(app, cast)
    later(page)
    expect(page.locator(f"#job-{another}")).to_be_attached()
    expect(page.locator("#tag")).to_have_value("nigh")
    assert focused(page) == "tag"


def test_with_scripts_off_one_filters_ticks_is_asked_and_cancels(
    address: str, browser: Browser, app: Flask, cast: Cast
) -> None:
    match, other = made(app, cast, running=True), made(app, cast, "export")
    with browser.new_context(base_url=address, java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page)
        page.click("#more summary")
        page.fill("#tag", "nightly")
        page.select_option("#type", "import")
        page.click("#more button")
        expect(page.locator("#rows tr")).to_have_count(1)
        page.check(f"#sel-{match}")
        page.click("#bulk-button")
        expect(page.locator("#sure h1")).to_have_text("Cancel 1 job?")
        page.click("#sure-yes")
        expect(page.locator(".flash")).to_have_text("1 canceled")
        expect(page.locator(f"#job-{match} .status-canceled")).to_be_visible()
        expect(page.locator("#drop-tag")).to_be_visible()
        page.click("#drop-tag")
        page.click("#drop-type")
        expect(page.locator(f"#job-{other} .status-pending")).to_be_visible()
