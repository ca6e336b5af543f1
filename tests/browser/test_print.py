"""A printed page is whole: everything that was written, and nothing to press."""

import uuid

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.support.jobs import RUNNER
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import NewLines

PAPER = {"width": 718, "height": 1000}
"""A4 between its margins."""
IS_CUT = "element => element.scrollHeight > element.clientHeight + 1 || element.scrollWidth > element.clientWidth + 1"


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engines draw the same pages."""
    return str(request.param)


@pytest.fixture
def job_id(app: Flask, cast: Cast) -> uuid.UUID:
    payload = {"customers": [{"id": number, "name": "c" * 200} for number in range(40)]}
    lines = [{"text": f"line {number} " + "of the log " * 20} for number in range(90)]
    with app.app_context():
        job_id = jobs.enqueue_job("import.contacts", cast.acme.id, payload, by=RUNNER)
        jobs.update_job_status(job_id, status="running", message="a long message " * 30, by=RUNNER)
        logs.append(job_id, NewLines.parse({"lines": lines}), within=None)
        error = "\n".join(f'  File "work.py", line {number}' for number in range(82)) + "\nValueError: the last line"
        jobs.update_job_status(job_id, status="failed", error=error, by=RUNNER)
        jobs.enqueue_job("import.contacts", cast.acme.id, by=RUNNER)
    return job_id


def to_paper(page: Page, path: str) -> None:
    page.goto(path)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size(PAPER)  # type: ignore[arg-type]


def test_a_printed_job_has_its_whole_error_log_and_payload_and_no_button(page: Page, job_id: uuid.UUID) -> None:
    to_paper(page, f"/w/acme/jobs/{job_id}")
    page.evaluate("document.querySelectorAll('#payload-text details')[1].open = false")
    for part in ("#error", "#log-lines", "#payload-text", "#message"):
        assert page.locator(part).bounding_box() is not None
        assert not page.locator(part).evaluate(IS_CUT), part
    expect(page.locator("#payload-text").get_by_text('"id": 39')).to_be_visible()
    assert page.locator("#payload-text").evaluate(
        "tree => [...tree.querySelectorAll('div')].every(line => line.getClientRects().length > 0)"
    )
    expect(page.locator("button:visible, input:visible, nav:visible")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]


def test_a_printed_list_is_a_table_that_cuts_nothing(page: Page, job_id: uuid.UUID) -> None:
    to_paper(page, "/w/acme/jobs")
    row = page.locator(f"#job-{job_id}")
    assert row.evaluate("row => getComputedStyle(row).display") == "table-row"
    for column in ("c-status", "c-type", "c-id", "c-message", "c-took"):
        cell = row.locator(f".{column}")
        expect(cell).to_be_visible()
        assert not cell.evaluate(IS_CUT), column
    expect(page.locator("button:visible, input:visible, select:visible")).to_have_count(0)
    expect(page.locator("#tabs a:visible")).to_have_text("All 2")
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
