"""Many browsers that watch one page cost little more than one: they share what the server saw a moment ago."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.jobs import RUNNER, job_in
from tests.support.pages import sign_in
from tests.support.people import PASSWORD, Cast
from tests.support.statements import record_statements
from webapp.core import jobs
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.models import Role
from webapp.core.workspaces import members

TICK = {"HX-Request": "true", "Cache-Control": "max-age=1"}
TABLE = "/w/acme/jobs/table"


@pytest.fixture
def two(app: Flask, clock: Clock, cast: Cast) -> tuple[FlaskClient, FlaskClient]:
    """Two members in front of two browsers."""
    with app.app_context():
        dora = accounts.create("dora@example.com", "Dora", PASSWORD, by=SYSTEM)
        members.add_unchecked(cast.acme, dora, Role.MEMBER, by=SYSTEM)
    browsers = app.test_client(), app.test_client()
    for browser, name in zip(browsers, ("ben", "dora"), strict=True):
        sign_in(browser, f"{name}@example.com")
    return browsers


def tick(browser: FlaskClient, held: TestResponse | None = None, address: str = TABLE) -> TestResponse:
    mark = {"If-None-Match": held.headers["ETag"]} if held else {}
    return browser.get(address, headers=TICK | mark)


@contextmanager
def reads_of_jobs() -> Iterator[list[str]]:
    with record_statements() as statements:
        about_jobs: list[str] = []
        yield about_jobs
        about_jobs += [statement for statement in statements if "job_runs" in statement]


def test_what_one_browser_was_told_another_hears_without_a_look(
    app: Flask, cast: Cast, two: tuple[FlaskClient, FlaskClient]
) -> None:
    with app.app_context():
        job = job_in("running", cast.acme)
    one, other = two
    first = tick(one)
    with app.app_context(), reads_of_jobs() as reads:
        second, third = tick(other), tick(one, first)
    assert reads == []
    assert second.text == first.text
    assert f"job-{job.id}" in second.text
    assert third.status_code == 304


def test_a_look_is_shared_for_a_second(
    app: Flask, cast: Cast, clock: Clock, two: tuple[FlaskClient, FlaskClient]
) -> None:
    with app.app_context():
        job = job_in("running", cast.acme)
    one, other = two
    first = tick(one)
    with app.app_context():
        jobs.update_job_status(job.id, progress=77, by=RUNNER)
    clock.advance(seconds=1)
    assert tick(other, first).status_code == 304
    clock.advance(seconds=0.1)
    assert "77 %" in tick(other, first).text


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {"HX-Request": "true", "Cache-Control": "no-cache"}])
def test_whoever_does_not_say_so_sees_how_things_stand_and_shows_it_to_the_others(
    app: Flask, cast: Cast, two: tuple[FlaskClient, FlaskClient], headers: dict[str, str]
) -> None:
    with app.app_context():
        job = job_in("running", cast.acme)
    one, other = two
    first = tick(one)
    with app.app_context():
        jobs.update_job_status(job.id, progress=77, by=RUNNER)
    assert "77 %" in one.get(TABLE, headers=headers).text
    assert "77 %" in tick(other, first).text


def test_nobody_shares_a_look_at_another_view_workspace_or_role(
    app: Flask, cast: Cast, two: tuple[FlaskClient, FlaskClient]
) -> None:
    with app.app_context():
        job = job_in("running", cast.acme)
    one, _ = two
    owner, stranger = app.test_client(), app.test_client()
    sign_in(owner, "ada@example.com")
    sign_in(stranger, "cleo@example.com")
    tick(one)
    for browser, address in (
        (one, f"{TABLE}?status=pending"),
        (owner, TABLE),
        (stranger, "/w/other/jobs/table"),
    ):
        with app.app_context(), reads_of_jobs() as reads:
            answer = tick(browser, address=address)
        assert reads, address
        assert (f"job-{job.id}" in answer.text) is (browser is owner)
    assert tick(stranger).status_code == 404


def test_the_overview_is_shared_as_well(app: Flask, cast: Cast, two: tuple[FlaskClient, FlaskClient]) -> None:
    with app.app_context():
        job_in("completed", cast.acme)
    one, other = two
    first = tick(one, address="/w/acme/overview/panel?range=hour")
    with app.app_context(), reads_of_jobs() as reads:
        second = tick(other, address="/w/acme/overview/panel?range=hour")
    assert reads == []
    assert re.sub(r"\s", "", second.text) == re.sub(r"\s", "", first.text)


def test_looks_that_nobody_asks_for_any_more_are_given_up(
    app: Flask, cast: Cast, two: tuple[FlaskClient, FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.dashboard.fragment_cache.CAPACITY", 2)
    one, _ = two
    for type in ("a", "b", "c"):
        tick(one, address=f"{TABLE}?type={type}")
    assert len(app.extensions["fragment_cache"]._entries) == 2
    with app.app_context(), reads_of_jobs() as reads:
        tick(one, address=f"{TABLE}?type=a")
    assert reads
