"""The overview as a person meets it: its charts, the tables behind them, its links, and what it costs to keep open."""

import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from tests.support.jobs import RUNNER
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.lifecycle import JobStatus
from webapp.core.stats import overview
from webapp.core.stats.overview import Duration, Range
from webapp.dashboard.overview import Scale

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/w/acme/overview"}


@pytest.fixture
def ben(clock: Clock, app: Flask, cast: Cast) -> FlaskClient:
    client = app.test_client()
    sign_in(client, "ben@example.com")
    return client


def ended(
    clock: Clock, app: Flask, cast: Cast, status: str = "completed", error: str | None = None, type: str = "report"
) -> uuid.UUID:
    """A job that took ten seconds."""
    with app.app_context():
        job_id = jobs.enqueue_job(type, cast.acme.id, by=RUNNER)
        jobs.update_job_status(job_id, status="running", by=RUNNER)
        clock.advance(seconds=10)
        if status == "canceled":
            jobs.cancel_job(job_id, by=RUNNER)
        else:
            jobs.update_job_status(job_id, status=status, error=error, by=RUNNER)
    return job_id


def cells(page: str) -> list[list[str]]:
    """The table behind the charts, row by row."""
    [body] = re.findall(r'id="figures".*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    return [
        [re.sub(r"<[^>]+>|\s+", " ", cell).strip() for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def test_the_table_behind_the_charts_has_their_figures(ben: FlaskClient, clock: Clock, app: Flask, cast: Cast) -> None:
    for status in ("completed", "completed", "failed", "canceled"):
        ended(clock, app, cast, status)
    page = ben.get("/w/acme/overview?range=hour").text
    rows = cells(page)
    assert rows[0] == ["12:00", "2", "1", "1"]
    assert rows[-1] == ["11:01", "0", "0", "0"]
    assert len(rows) == 60
    assert '<time datetime="2026-11-24T11:01:00.000Z">' in page
    titles = re.findall(r"<title>(24 Nov 12:00 UTC: \d+)</title>", page)
    assert titles == [f"24 Nov 12:00 UTC: {count}" for count in (2, 1, 1)]
    assert [svg.count('width="8"') for svg in re.findall(r"<svg.*?bars bars-.*?</svg>", page, re.DOTALL)] == [1, 1, 1]
    assert 'aria-label="Completed jobs over time, at most 2 in 1 min."' in page


@pytest.mark.parametrize(("span", "shown"), [("hour", 60), ("day", 48), ("week", 56), ("", 48), ("century", 48)])
def test_the_address_names_the_range_and_nonsense_means_the_last_day(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast, span: str, shown: int
) -> None:
    ended(clock, app, cast)
    assert len(cells(ben.get(f"/w/acme/overview?range={span}").text)) == shown


def test_durations_stand_by_type(ben: FlaskClient, clock: Clock, app: Flask, cast: Cast) -> None:
    for _ in range(3):
        ended(clock, app, cast)
    page = ben.get("/w/acme/overview").text
    row = re.search(r'<tr id="took-1">.*?</tr>', page, re.DOTALL)
    assert row
    assert row[0].count(">10 s</td>") == 2
    assert "/w/acme/jobs?type=report" in row[0]
    assert "newest" not in page


def test_a_group_of_failures_leads_to_exactly_its_jobs(ben: FlaskClient, clock: Clock, app: Flask, cast: Cast) -> None:
    alike = [ended(clock, app, cast, "failed", f"<b> no room for {number}") for number in range(3)]
    others = [ended(clock, app, cast, "failed", "boom"), ended(clock, app, cast, "failed", "boom", "mail")]
    clock.advance(hours=30)
    alike_today = [ended(clock, app, cast, "failed", f"<b> no room for {number}") for number in range(2)]
    page = ben.get("/w/acme/overview?range=week").text
    assert "&lt;b&gt; no room for …" in page
    assert "<b> no room" not in page
    assert led_to(ben, page, "5 jobs") == {*alike, *alike_today}
    assert led_to(ben, ben.get("/w/acme/overview?range=day").text, "2 jobs") == set(alike_today)
    assert not set(others) & {*alike, *alike_today}


def led_to(ben: FlaskClient, page: str, link: str) -> set[uuid.UUID]:
    """The jobs on the page that a link of the overview leads to."""
    [address] = re.findall(rf'href="([^"]+)">{link}<', page)
    listed = ben.get(unescape(address)).text
    return {uuid.UUID(job_id) for job_id in re.findall(r'<tr id="job-([^"]+)"', listed)}


def test_the_list_tells_which_error_it_is_filtered_by_and_the_filter_can_be_dropped(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    ended(clock, app, cast, "failed", "no room for 1")
    ended(clock, app, cast, "failed", "boom")
    [address] = re.findall(r'href="([^"]+error_group=[^"]+)"', ben.get("/w/acme/overview").text)[:1]
    page = ben.get(unescape(address)).text
    assert "same error report: " in page
    assert 'type="hidden" name="error_group"' in page
    chip = re.search(r'id="drop-error_group" href="([^"]+)"', page)
    assert chip
    dropped = ben.get(unescape(chip[1])).text
    assert len(re.findall(r'<tr id="job-', dropped)) == 2
    assert "same error" not in dropped


def test_a_mark_that_no_job_here_has_shows_nothing_of_any_other_workspace(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        theirs = jobs.enqueue_job("report", cast.other.id, by=RUNNER)
        jobs.update_job_status(theirs, status="failed", error="their secret", by=RUNNER)
        mark = jobs.get_job_status(theirs).error_group
    page = ben.get(f"/w/acme/jobs?error_group={mark}").text
    assert "same error none that is here" in page
    assert "Drop “same error”" in page
    assert "their secret" not in page
    assert "their secret" not in ben.get("/w/acme/overview").text
    assert "same error" not in ben.get("/w/acme/jobs?error_group=%27").text


def test_what_is_not_of_all_jobs_says_so(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SAMPLE_SIZE", 2)
    for _ in range(3):
        ended(clock, app, cast)
        ended(clock, app, cast, "failed", "boom")
    page = ben.get("/w/acme/overview").text
    assert "Of the newest 2 completed jobs of the last day." in page
    assert "Of the newest 2 failed jobs, since" in page
    assert len(led_to(ben, page, "2 jobs")) == 2


def test_what_runs_longest_shows_progress_and_the_browser_says_whether_it_is_slow(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    for _ in range(3):
        ended(clock, app, cast)
    with app.app_context():
        job_id = jobs.enqueue_job("report", cast.acme.id, by=RUNNER)
        jobs.update_job_status(job_id, status="running", progress=40, by=RUNNER)
    page = ben.get("/w/acme/overview").text
    [row] = re.findall(rf'<tr id="runs-{job_id}">.*?</tr>', page, re.DOTALL)
    assert f'href="/w/acme/jobs/{job_id}"' in row
    assert 'value="40"' in row
    assert 'data-slow-after="16.0"' in row
    assert "slower than usual" not in page


def test_a_board_without_jobs_teaches_how_the_first_one_comes(ben: FlaskClient, clock: Clock) -> None:
    page = ben.get("/w/acme/overview").text
    assert "Nothing to look back on yet" in page
    assert "curl http" in page
    assert "<svg" not in page


def test_a_board_that_is_quiet_says_so_and_teaches_nothing(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    ended(clock, app, cast)
    clock.advance(hours=2)
    page = ben.get("/w/acme/overview?range=hour").text
    assert "curl" not in page
    for sentence in ("Nothing failed in the last hour.", "No job completed in the last hour.", "Nothing runs."):
        assert sentence in page


def test_an_unchanged_poll_draws_nothing_until_something_ends_or_time_moves_on(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    ended(clock, app, cast)
    page = ben.get("/w/acme/overview?range=hour").text
    mark = unescape(re.search(r"""id="overview" data-etag='([^']+)'""", page)[1])  # type: ignore[index]

    def poll(known: str, span: str = "hour") -> tuple[int, str]:
        answer = ben.get(f"/w/acme/overview/panel?range={span}", headers=HTMX | {"If-None-Match": known})
        return answer.status_code, answer.headers["ETag"]

    assert poll(mark)[0] == 304
    clock.advance(seconds=20)
    assert poll(mark)[0] == 304
    ended(clock, app, cast)
    status, news = poll(mark)
    assert status == 200
    clock.advance(minutes=1)
    assert poll(news)[0] == 200
    assert poll(news, "day")[0] == 200
    _, news = poll(news)
    with app.app_context():
        jobs.cancel_job(jobs.enqueue_job("report", cast.acme.id, by=RUNNER), by=RUNNER)
    assert poll(news)[0] == 200


def test_the_page_asks_again_twice_a_minute_and_no_more_often(ben: FlaskClient) -> None:
    page = ben.get("/w/acme/overview?range=week").text
    assert 'hx-get="/w/acme/overview/panel?range=week"' in page
    assert 'hx-trigger="every 30s, jobs-changed from:document"' in page


# --- the scale of durations --------------------------------------------------------------------------------------


def took(median: float, p95: float) -> Duration:
    return Duration("t", 1, timedelta(seconds=median), timedelta(seconds=p95))


@pytest.mark.parametrize(
    ("types", "ends"),
    [
        ([took(2, 40)], (1, 60)),
        ([took(2, 3), took(0.2, 5000)], (0.1, 36000)),
        ([took(0, 0)], (0.001, 0.01)),
        ([took(60, 60)], (60, 600)),
        ([], (0.001, 0.01)),
    ],
)
def test_the_scale_begins_and_ends_at_round_durations(types: list[Duration], ends: tuple[float, float]) -> None:
    scale = Scale.spanning(types)
    assert (scale.marks[0].total_seconds(), scale.marks[-1].total_seconds()) == ends
    assert (scale(scale.marks[0]), scale(scale.marks[-1])) == (0, 1)
    assert all(0 <= scale(each.median) <= scale(each.p95) <= 1 for each in types)


def test_ten_times_as_long_is_as_far_everywhere_on_the_scale() -> None:
    scale = Scale.spanning([took(1, 60)])
    one, ten = (scale(timedelta(seconds=seconds)) for seconds in (1, 10))
    assert scale(timedelta(seconds=20)) - scale(timedelta(seconds=2)) == pytest.approx(ten - one)
    assert scale(timedelta(days=1000)) == 1


def test_every_status_that_ends_a_job_has_its_chart(ben: FlaskClient, clock: Clock, app: Flask, cast: Cast) -> None:
    ended(clock, app, cast)
    page = ben.get("/w/acme/overview").text
    for status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELED):
        assert f'id="ended-{status}"' in page
    assert all(f"range={span}" in page for span in Range)
