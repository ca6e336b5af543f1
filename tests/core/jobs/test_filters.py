"""Finding jobs: the filters, the search box, the order; in the core, and as the page says it."""

import re
import uuid

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.jobs import RUNNER, job_in
from tests.support.pages import sign_in
from tests.support.people import Cast
from tests.support.statements import record_statements
from webapp.core import jobs
from webapp.core.audit import Actor
from webapp.core.jobs import listing, search
from webapp.core.jobs.listing import JobFilter
from webapp.core.jobs.search import SearchKind
from webapp.core.lifecycle import JobStatus

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/w/acme/jobs"}
RUNNING = JobFilter(statuses=(JobStatus.RUNNING,), longest_first=True)


def find(cast: Cast, filters: JobFilter) -> list[uuid.UUID]:
    return [job.id for job in listing.list_jobs(cast.acme.id, filters, limit=50).jobs]


def failed(cast: Cast, error: str) -> uuid.UUID:
    job_id = jobs.enqueue_job("import", cast.acme.id, tags=["nightly"], by=RUNNER)
    jobs.update_job_status(job_id, status="failed", error=error, by=RUNNER)
    return job_id


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    sign_in(client, "ben@example.com")
    return client


# --- filters -----------------------------------------------------------------------------------------------------


def test_jobs_are_found_by_who_created_them(core: Flask, cast: Cast) -> None:
    mine = jobs.enqueue_job("t", cast.acme.id, by=Actor(cast.ben.ref))
    jobs.enqueue_job("t", cast.acme.id, by=RUNNER)
    assert find(cast, JobFilter(created_by=cast.ben.ref)) == [mine]


def test_jobs_are_found_by_when_they_were_created_and_the_bounds_are_outside(
    clock: Clock, core: Flask, cast: Cast
) -> None:
    first = clock.moment
    jobs.enqueue_job("t", cast.acme.id)
    clock.advance(minutes=1)
    between = jobs.enqueue_job("t", cast.acme.id)
    last = clock.advance(minutes=1)
    jobs.enqueue_job("t", cast.acme.id)
    assert find(cast, JobFilter(created_after=first, created_before=last)) == [between]


def test_failed_since_means_the_moment_of_the_failure_and_counts_only_those(
    clock: Clock, core: Flask, cast: Cast
) -> None:
    evening = job_in("running", cast.acme).id
    failed(cast, "before")
    since = clock.advance(hours=8)
    jobs.update_job_status(evening, status="failed", error="in the night", by=RUNNER)
    filters = JobFilter(failed_since=since)
    assert find(cast, filters) == [evening]
    counted = listing.count_by_status(cast.acme.id, filters)
    assert {status.value: count.count for status, count in counted.items() if count.count} == {"failed": 1}


def test_longest_running_first_goes_page_by_page_though_a_job_has_gone(clock: Clock, core: Flask, cast: Cast) -> None:
    waiting = [jobs.enqueue_job("t", cast.acme.id) for _ in range(5)]
    order = [waiting[number] for number in (3, 0, 4, 1, 2)]
    for job_id in order:
        clock.advance(seconds=1)
        jobs.update_job_status(job_id, status="running")
    first = listing.list_jobs(cast.acme.id, RUNNING, limit=2)
    jobs.update_job_status(order[1], status="completed")
    second = listing.list_jobs(cast.acme.id, RUNNING, limit=2, cursor=first.next_cursor, started=first.next_started)
    assert [job.id for job in [*first.jobs, *second.jobs]] == order[:4]


# --- the search box ----------------------------------------------------------------------------------------------


def test_a_word_is_understood_as_id_type_tag_or_text_in_that_order(core: Flask, cast: Cast) -> None:
    job_id = str(failed(cast, "boom"))
    elsewhere = jobs.enqueue_job("theirs", cast.other.id, tags=["hidden"], by=RUNNER)
    meant = {
        job_id: SearchKind.ID,
        job_id.upper(): SearchKind.ID,
        job_id[:13]: SearchKind.ID_START,
        job_id[:35]: SearchKind.ID_START,
        job_id.replace("-", "")[:13]: SearchKind.ID_START,
        job_id[:12]: SearchKind.ERROR,
        "import": SearchKind.TYPE,
        "nightly": SearchKind.TAG,
        "error: import": SearchKind.ERROR,
        "theirs": SearchKind.ERROR,
        "hidden": SearchKind.ERROR,
        "boom": SearchKind.ERROR,
    }
    assert {text: search.parse_search(cast.acme.id, text).kind for text in meant} == meant
    for text in (job_id, job_id[:13], job_id.replace("-", "")[:13], "import", "nightly", "BOOM"):
        assert find(cast, search.parse_search(cast.acme.id, text).narrow(JobFilter())) == [uuid.UUID(job_id)], text
    assert find(cast, search.parse_search(cast.acme.id, str(elsewhere)).narrow(JobFilter())) == []


def test_a_search_and_a_filter_must_both_hold(core: Flask, cast: Cast) -> None:
    failed(cast, "boom")
    for text, other in (("import", JobFilter(type="export")), ("nightly", JobFilter(tag="daily"))):
        assert find(cast, search.parse_search(cast.acme.id, text).narrow(other)) == []
    assert len(find(cast, search.parse_search(cast.acme.id, "nightly").narrow(JobFilter(type="import")))) == 1


def test_text_is_searched_as_it_is_in_the_newest_failed_jobs_that_match_the_filters(
    core: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "ERRORS_SEARCHED", 2)
    failed(cast, "100% full")
    newer = failed(cast, "100% full")
    failed(cast, "1000 full")
    assert find(cast, JobFilter(error_text="100% FULL")) == [newer]
    assert find(cast, JobFilter(error_text="100_ full")) == []
    assert find(cast, JobFilter(error_text="full", type="export")) == []


# --- the page ----------------------------------------------------------------------------------------------------


def test_a_whole_id_leads_to_its_job_and_one_from_elsewhere_to_nothing(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        mine, theirs = job_in("running", cast.acme).id, job_in("running", cast.other).id
    answer = ben.get(f"/w/acme/jobs?q={mine}&type=another")
    assert (answer.status_code, answer.location) == (303, f"/w/acme/jobs/{mine}")
    page = ben.get(f"/w/acme/jobs?q={theirs}")
    assert page.status_code == 200
    assert "No job here has this id." in page.text


def test_every_filter_is_told_and_can_be_dropped_alone(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    with app.app_context():
        failed(cast, "boom")
    query = (
        "status=failed&q=nightly&type=import&created_by=system&created_after=2026-01-01T00:00&failed_since=2026-01-02"
    )
    page = ben.get(f"/w/acme/jobs?{query}").text
    assert "Understood as a tag." in page
    for name in ("q", "type", "created_by", "created_after", "failed_since"):
        chip = re.search(rf'id="drop-{name}" href="([^"]+)"', page)
        assert chip
        assert f"{name}=" not in chip[1]
        assert chip[1].count("&amp;") == query.count("&") - 1
    assert 'id="no-match"' in page
    assert "Show every type" in page


def test_a_moment_without_a_zone_is_utc_and_one_that_means_nothing_is_left_out(
    clock: Clock, ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        job_id = jobs.enqueue_job("t", cast.acme.id)
    for moment, shown in (("2026-11-24T11:59", True), ("2026-11-24T12:01", False), ("2026-11-24T13:01%2B01:00", False)):
        assert (f"job-{job_id}" in ben.get(f"/w/acme/jobs?created_after={moment}").text) is shown
    for bound, words in (
        ("2026-11-25", "2026-11-25 00:00 UTC"),
        ("2026-11-25T13:00:07.5%2B01:00", "2026-11-25 12:00:07 UTC"),
    ):
        page = ben.get(f"/w/acme/jobs?created_after={bound}").text
        assert re.search(rf'id="drop-created_after"[^>]*>created after {words}', page)
        assert f"Nothing matches created after <b>{words}</b>." in page
    for nonsense in ("yesterday", "0001-01-01T00:00", "9999-12-31T23:59-12:00", "%00"):
        assert f"job-{job_id}" in ben.get(f"/w/acme/jobs?created_after={nonsense}&failed_since={nonsense}").text


def test_the_address_tells_nobody_the_name_of_a_stranger(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    assert "Cleo" not in ben.get(f"/w/acme/jobs?created_by={cast.cleo.ref}").text
    assert "created by Ada" in ben.get(f"/w/acme/jobs?created_by={cast.ada.ref}").text


def test_an_unchanged_poll_reads_the_jobs_three_times_at_most(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    with app.app_context():
        failed(cast, "boom")
    address = "/w/acme/jobs/table?q=nightly&status=failed&failed_since=2020-01-01&created_after=2020-01-01"
    tag = ben.get(address, headers=HTMX).headers["ETag"]
    with app.app_context(), record_statements() as statements:
        answer = ben.get(address, headers=HTMX | {"If-None-Match": tag})
    assert answer.status_code == 304
    about_jobs = [statement for statement in statements if "job_runs" in statement]
    assert 1 <= len(about_jobs) <= 3
    assert not any(re.search(r"job_runs\.(error|message|payload)\b", statement) for statement in about_jobs)


def test_a_search_through_texts_says_how_far_it_went_and_does_not_repeat_itself(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        job_id = failed(cast, "Disk is full")
    page = ben.get("/w/acme/jobs?q=disk+is").text
    assert f"job-{job_id}" in page
    assert "newest 10,000 failed jobs" in page
    assert "every 1s" not in page


def test_what_runs_longest_is_offered_where_jobs_run(clock: Clock, ben: FlaskClient, app: Flask, cast: Cast) -> None:
    with app.app_context():
        first = job_in("running", cast.acme).id
        clock.advance(seconds=5)
        second = job_in("running", cast.acme).id
    page = ben.get("/w/acme/jobs?status=running").text
    assert page.index(f'id="job-{second}"') < page.index(f'id="job-{first}"')
    assert "sort=longest" in page
    page = ben.get("/w/acme/jobs?status=running&sort=longest").text
    assert page.index(f'id="job-{first}"') < page.index(f'id="job-{second}"')
    assert "sort=longest" not in re.search(r'id="tab-failed"[^>]*href="([^"]*)"', page)[1]  # type: ignore[index]


def test_one_link_leads_to_the_failed_jobs_of_last_night_and_keeps_its_meaning(
    clock: Clock, ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        before = failed(cast, "boom")
        clock.advance(hours=4)
        at_night = failed(cast, "boom")
    clock.advance(hours=9)
    assert 'id="look-back"' not in ben.get("/w/acme/jobs").text
    page = ben.get("/w/acme/jobs?status=failed&type=import").text
    link = re.search(r'id="last-12-hours"[^>]*href="([^"]+)">12 hours<', page)
    assert link
    address = link[1].replace("&amp;", "&")
    assert address == "/w/acme/jobs?status=failed&type=import&failed_since=2026-11-24T13:00"
    for _ in range(2):
        shown = ben.get(address).text
        assert (f'id="job-{at_night}"' in shown, f'id="job-{before}"' in shown) == (True, False)
        clock.advance(hours=24)


def test_a_quiet_table_of_failed_jobs_is_sent_again_for_its_links(
    clock: Clock, ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        failed(cast, "boom")

    def poll(status: str, etag: str = "") -> TestResponse:
        headers = HTMX | {"If-None-Match": etag, "Cache-Control": "max-age=1"}
        return ben.get(f"/w/acme/jobs/table?status={status}", headers=headers)

    etags = {status: poll(status).headers["ETag"] for status in ("failed", "running")}
    clock.advance(seconds=20)
    assert poll("failed", etags["failed"]).status_code == 304
    clock.advance(minutes=3)
    table = poll("failed", etags["failed"])
    assert (table.status_code, "failed_since=2026-11-24T11:03" in table.text) == (200, True)
    assert poll("running", etags["running"]).status_code == 304
