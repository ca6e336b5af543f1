"""The log on an open page: new lines appear by themselves, and its end is followed unless the reader scrolled up."""

import uuid

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.support.browser import assert_clean, assert_narrow, later
from tests.support.jobs import job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import NewLines

LEVELS = ("debug", "info", "warning", "error", None)
FROM_THE_END = "lines => Math.round(lines.scrollHeight - lines.clientHeight - lines.scrollTop)"
"""Pixels that are still hidden below."""


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engines draw the same pages."""
    return str(request.param)


@pytest.fixture
def job_id(app: Flask, cast: Cast) -> uuid.UUID:
    with app.app_context():
        return job_in("running", cast.acme).id


def write(app: Flask, job_id: uuid.UUID, first: int, last: int) -> None:
    """Lines from one number to another, of every level in turn; the first is a job's line 1."""
    lines = [{"text": f"text of line {number}", "level": LEVELS[number % 5]} for number in range(first, last + 1)]
    with app.app_context():
        logs.append(job_id, NewLines.parse({"lines": lines}), within=None)


def test_lines_appear_without_a_reload_from_the_first_on(page: Page, app: Flask, job_id: uuid.UUID) -> None:
    page.goto(f"/w/acme/jobs/{job_id}")
    page.evaluate("document.body.dataset.stayed = 'yes'")
    expect(page.locator("#log")).to_be_hidden()
    write(app, job_id, 1, 2)
    later(page)
    expect(page.locator("#line-2 .text")).to_have_text("text of line 2")
    expect(page.locator("#line-2 .level")).to_have_text("warning")
    write(app, job_id, 3, 3)
    later(page)
    expect(page.locator("#line-3 .text")).to_be_visible()
    assert page.evaluate("document.body.dataset.stayed") == "yes"


def test_the_end_is_followed_unless_the_reader_has_scrolled_up(page: Page, app: Flask, job_id: uuid.UUID) -> None:
    write(app, job_id, 1, 60)
    page.goto(f"/w/acme/jobs/{job_id}")
    lines = page.locator("#log-lines")
    assert lines.evaluate(FROM_THE_END) <= 1
    write(app, job_id, 61, 70)
    later(page)
    expect(page.locator("#line-70")).to_be_in_viewport()
    assert lines.evaluate(FROM_THE_END) <= 1

    lines.hover()
    page.mouse.wheel(0, -300)
    expect(page.locator("#line-70")).not_to_be_in_viewport()
    read = lines.evaluate("lines => lines.scrollTop")
    write(app, job_id, 71, 80)
    later(page)
    expect(page.locator("#line-80")).to_be_attached()
    assert lines.evaluate("lines => lines.scrollTop") == read
    expect(page.locator("#line-80")).not_to_be_in_viewport()

    lines.evaluate("lines => lines.scrollTop = lines.scrollHeight")
    write(app, job_id, 81, 90)
    later(page)
    expect(page.locator("#line-90")).to_be_in_viewport()


def test_a_reader_keeps_the_place_while_old_lines_leave_the_page(page: Page, app: Flask, job_id: uuid.UUID) -> None:
    write(app, job_id, 1, 500)
    page.goto(f"/w/acme/jobs/{job_id}")
    place = "line => line.getBoundingClientRect().top - line.parentElement.getBoundingClientRect().top"
    page.locator("#line-300").scroll_into_view_if_needed()
    read = page.locator("#line-300").evaluate(place)
    write(app, job_id, 501, 550)
    later(page)
    expect(page.locator("#line-550")).to_be_attached()
    expect(page.locator("#line-50")).not_to_be_attached()
    assert page.locator("#line-300").evaluate(place) == pytest.approx(read, abs=1)


def test_a_panel_that_moves_leaves_the_log_as_it_is(page: Page, app: Flask, job_id: uuid.UUID) -> None:
    write(app, job_id, 1, 60)
    page.goto(f"/w/acme/jobs/{job_id}")
    page.locator("#log-lines").evaluate("lines => { lines.scrollTop = 40; lines.dataset.stayed = 'yes' }")
    page.focus("#log-lines")
    with app.app_context():
        jobs.update_job_status(job_id, progress=64, message="row 64")
    later(page)
    expect(page.locator("#message")).to_contain_text("row 64")
    state = "lines => [lines.dataset.stayed, lines.scrollTop, document.activeElement === lines, lines.children.length]"
    assert page.locator("#log-lines").evaluate(state) == ["yes", 40, True, 60]


def test_a_finished_job_shows_its_last_lines_and_makes_no_further_request(
    page: Page, app: Flask, job_id: uuid.UUID
) -> None:
    write(app, job_id, 1, 3)
    page.goto(f"/w/acme/jobs/{job_id}")
    write(app, job_id, 4, 4)
    with app.app_context():
        jobs.update_job_status(job_id, status="completed")
    later(page)
    expect(page.locator("#job-facts .status-completed")).to_be_visible()
    expect(page.locator("#line-4")).to_be_visible()
    expect(page.locator("#log[hx-trigger]")).to_have_count(0)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    later(page, seconds=120)
    assert requests == []


def test_a_log_shuts_nobody_out_and_stays_in_the_window(page: Page, app: Flask, job_id: uuid.UUID) -> None:
    page.emulate_media(reduced_motion="reduce")
    write(app, job_id, 1, 60)
    with app.app_context():
        logs.append(job_id, NewLines.parse({"lines": [{"text": "w" * 500, "level": "error"}]}), within=None)
    page.goto(f"/w/acme/jobs/{job_id}")
    assert_clean(page)
    assert_narrow(page)
    for width in 360, 1280:
        page.set_viewport_size({"width": width, "height": 740})
        assert page.locator("#log-lines").evaluate("lines => lines.scrollWidth - lines.clientWidth") == 0
