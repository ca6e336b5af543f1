"""The log on the page of a job: its newest lines, what is gone, and a fragment that asks only while it may grow."""

import re
import uuid
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import OPERATOR, job_in
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import NewLines
from webapp.dashboard.jobs import detail as pages

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/w/acme/jobs"}


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ben, a member of acme, is signed in."""
    sign_in(client, "ben@example.com")
    return client


def made(app: Flask, cast: Cast, *texts: str, state: str = "running", **more: Any) -> uuid.UUID:
    """A job in a status, with these lines in its log."""
    with app.app_context():
        job_id = job_in(state, cast.acme).id
    write(app, job_id, *texts, **more)
    return job_id


def write(app: Flask, job_id: uuid.UUID, *texts: str, **more: Any) -> None:
    if texts:
        with app.app_context():
            logs.append(job_id, NewLines.parse({"lines": [{"text": text} | more for text in texts]}), within=None)


def shown(html: str) -> list[str]:
    return re.findall(r'<span class="text">(.*?)</span>', html)


def log_of(ben: FlaskClient, job_id: uuid.UUID) -> str:
    answer = ben.get(f"/w/acme/jobs/{job_id}/log", headers=HTMX)
    assert answer.status_code == 200
    return answer.text


def test_the_page_and_its_fragment_show_the_same_log(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast, "one", "two", level="warning")
    page, fragment = ben.get(f"/w/acme/jobs/{job_id}").text, log_of(ben, job_id)
    assert "".join(fragment.split()) in "".join(page.split())
    assert shown(fragment) == ["one", "two"]
    assert fragment.count('<span class="level">warning</span>') == 2
    assert 'id="line-1" class="line line-warning"' in fragment


def test_without_lines_nothing_is_shown(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    fragment = log_of(ben, made(app, cast))
    assert re.search(r"<section[^>]* hidden>", fragment)
    assert "log-lines" not in fragment
    assert not re.search(r"<section[^>]* hidden", log_of(ben, made(app, cast, "one")))


def test_an_unchanged_log_is_a_304_and_a_new_line_or_an_end_is_not(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast, "one")
    address = f"/w/acme/jobs/{job_id}/log"

    def again(etag: str) -> tuple[int, str]:
        answer = ben.get(address, headers=HTMX | {"If-None-Match": etag})
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status_code, answer.headers["ETag"]

    on_the_page = re.search(r"id=\"log\" data-etag='([^']+)'", ben.get(f"/w/acme/jobs/{job_id}").text)
    assert on_the_page
    status, etag = again(on_the_page[1])
    assert status == 304
    write(app, job_id, "two")
    status, etag = again(etag)
    assert status == 200
    with app.app_context():
        jobs.update_job_status(job_id, progress=70)
    assert again(etag) == (304, etag)
    with app.app_context():
        jobs.update_job_status(job_id, status="completed")
    assert again(etag)[0] == 200


@pytest.mark.parametrize("state", ["pending", "running", "completed", "failed", "canceled", "lost", "timed_out"])
def test_a_log_asks_by_itself_exactly_while_its_runner_may_have_news(
    ben: FlaskClient, app: Flask, cast: Cast, state: str
) -> None:
    job_id = made(app, cast, "one", state=state)
    assert ("hx-trigger" in log_of(ben, job_id)) is (state in ("pending", "running", "lost"))


def test_the_last_words_of_a_canceled_job_are_awaited_until_its_runner_has_stopped(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    job_id = made(app, cast, "one")
    with app.app_context():
        jobs.cancel_job(job_id, by=OPERATOR)
    write(app, job_id, "closing files")
    fragment = log_of(ben, job_id)
    assert "hx-trigger" in fragment
    assert shown(fragment) == ["one", "closing files"]
    with app.app_context():
        jobs.update_job_status(job_id, status="canceled")
    assert "hx-trigger" not in log_of(ben, job_id)


def test_a_fresh_panel_leaves_the_log_in_its_place(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast, "one")
    panel = ben.get(f"/w/acme/jobs/{job_id}/panel", headers=HTMX).text
    assert '<div id="log-place" hx-morph-skip>' in panel
    assert 'id="log"' not in panel


def test_the_newest_lines_are_shown_and_what_is_before_them_is_told(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOG_LINES", 3)
    monkeypatch.setattr(logs, "MAX_LINES", 5)
    job_id = made(app, cast, *"abc")
    assert "log-before" not in log_of(ben, job_id)
    write(app, job_id, "d")
    fragment = log_of(ben, job_id)
    assert shown(fragment) == ["b", "c", "d"]
    assert "The newest 3 of 4 are shown." in fragment
    assert "gone" not in fragment
    write(app, job_id, "e", "f")
    assert "1 earlier line is gone. The newest 3 of 5 are shown." in log_of(ben, job_id)
    write(app, job_id, "g")
    assert "2 earlier lines are gone. The newest 3 of 5 are shown." in log_of(ben, job_id)


def test_what_a_runner_writes_is_shown_as_text(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast, "<script>alert(1)</script>", "</span></li></ol><b>")
    page = ben.get(f"/w/acme/jobs/{job_id}").text
    assert "<script>alert" not in page
    assert "</ol><b>" not in page
    assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|<script(?![^>]*\ssrc=)", page)


def test_a_log_is_found_only_through_its_own_workspace(app: Flask, client: FlaskClient, cast: Cast) -> None:
    job_id = made(app, cast, "secret")
    sign_in(client, "cleo@example.com")
    for workspace in ("other", "acme"):
        answer = client.get(f"/w/{workspace}/jobs/{job_id}/log", headers=HTMX)
        assert answer.status_code == 404
        assert "secret" not in answer.text


def test_what_a_runner_wrote_for_a_terminal_is_shown_as_text(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast, "\x1b[31mred\x1b[0m\r", "10 %\r100 %")
    with app.app_context():
        error = "\x1b[31mTraceback\x1b[0m\r\nValueError: \x1b[1mno\x1b[0m"
        jobs.update_job_status(job_id, status="failed", message="\x1b[1mbold\x1b[0m", error=error)
    assert shown(log_of(ben, job_id)) == ["red", "100 %"]
    for path in (f"/w/acme/jobs/{job_id}", "/w/acme/jobs", "/w/acme/overview"):
        page = ben.get(path).text
        assert not re.search("[\x1b\r]", page), path
    assert "Traceback\nValueError: no</pre>" in ben.get(f"/w/acme/jobs/{job_id}").text
