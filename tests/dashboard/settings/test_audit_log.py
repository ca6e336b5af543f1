"""The audit log in the browser: what it tells, how it is filtered, and how one comes to what is older."""

import html
import re
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.core import audit, jobs
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.transactions import write_transaction
from webapp.core.workspaces import members, tokens, workspaces

PAGE = "/w/acme/settings/audit"


@pytest.fixture
def log(app: Flask, clock: Clock, cast: Cast) -> uuid.UUID:
    """A minute apart: Ada makes a token, makes Ben an admin, and Ben cancels a job, whose id this is."""
    with app.app_context():
        ada = workspaces.get_membership("acme", cast.ada.id)
        clock.advance(minutes=1)
        tokens.create_unchecked(cast.acme.id, "nightly", by=Actor(cast.ada.ref, "203.0.113.5"))
        clock.advance(minutes=1)
        members.change_role(ada, cast.ben.id, ada.role.ADMIN, by=Actor(cast.ada.ref))
        job_id = jobs.enqueue_job("import", cast.acme.id)
        clock.advance(minutes=1)
        jobs.cancel_job(job_id, by=Actor(cast.ben.ref))
        jobs.cancel_job(jobs.enqueue_job("theirs", cast.other.id), by=Actor(cast.cleo.ref))
    return job_id


@pytest.fixture
def ada(client: FlaskClient, log: uuid.UUID) -> FlaskClient:
    """A browser in which Ada, who owns acme, is signed in."""
    sign_in(client, "ada@example.com")
    return client


def lines(client: FlaskClient, query: str = "") -> list[str]:
    page = client.get(f"{PAGE}{query}")
    assert page.status_code == 200
    items = re.findall(r'<li id="entry-.*?</li>', page.text, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", line)).split()) for line in items]


def actions(client: FlaskClient, query: str = "") -> list[str]:
    return [re.findall(r"\b[a-z]+\.[a-z_]+\b", line)[0] for line in lines(client, query)]


def test_each_line_says_who_did_what_to_which_when_and_from_where(ada: FlaskClient, log: uuid.UUID) -> None:
    canceled, promoted, made = lines(ada)[:3]
    assert canceled.startswith(f"Ben job.canceled job …{str(log)[-8:]} 24 Nov 12:03")
    assert promoted.startswith("Ada member.role_changed Ben 24 Nov 12:02")
    assert promoted.endswith("from: member to: admin")
    assert made.startswith("Ada token.created token nightly 24 Nov 12:01 from 203.0.113.5")
    assert f'href="/w/acme/jobs/{log}"' in ada.get(PAGE).text


def test_nothing_of_another_workspace_is_told(ada: FlaskClient, cast: Cast) -> None:
    assert "Cleo" not in ada.get(PAGE).text
    assert lines(ada, f"?actor={cast.cleo.ref}") == []


@pytest.mark.parametrize("kind", ["user", "token"])
def test_an_address_that_names_somebody_of_another_workspace_is_not_told_who_it_is(
    app: Flask, ada: FlaskClient, cast: Cast, kind: str
) -> None:
    with app.app_context():
        strange, _ = tokens.create_unchecked(cast.other.id, "a secret project", by=Actor(cast.cleo.ref))
    ref = cast.cleo.ref if kind == "user" else strange.ref
    page = ada.get(f"{PAGE}?actor={ref}").text
    assert ">somebody who is not here</option>" in re.sub(r">\s+", ">", page).replace("token somebody", "somebody")
    assert "Cleo" not in page
    assert "a secret project" not in page


def test_a_text_that_looks_like_somebody_of_another_workspace_stays_a_text(
    app: Flask, ada: FlaskClient, cast: Cast
) -> None:
    with app.app_context():
        strange, _ = tokens.create_unchecked(cast.other.id, "a secret project", by=Actor(cast.cleo.ref))
        me = workspaces.get_membership("acme", cast.ada.id)
        for name in (strange.ref, cast.cleo.ref, "Acme"):
            workspaces.rename(me, name, by=Actor(cast.ada.ref))
    page = ada.get(PAGE).text
    assert page.count(strange.ref) == page.count(cast.cleo.ref) == 2
    assert "Cleo" not in page
    assert "a secret project" not in page


def test_what_is_asked_for_is_shown_alone(ada: FlaskClient, cast: Cast) -> None:
    assert actions(ada, "?action=token.created") == ["token.created"]
    assert actions(ada, f"?actor={cast.ben.ref}") == ["job.canceled"]
    assert actions(ada, f"?actor={cast.ada.ref}&action=job.canceled") == []
    assert actions(ada, "?since=2026-11-24T12:02&until=2026-11-24T12:03") == ["member.role_changed"]
    assert actions(ada, "?since=2026-11-24T12:03") == ["job.canceled"]
    assert "Nothing matches." in ada.get(f"{PAGE}?action=no.such").text


def test_a_time_that_is_none_is_told_beside_the_field(ada: FlaskClient) -> None:
    answer = ada.get(f"{PAGE}?since=yesterday")
    assert (answer.status_code, "A day and a time, as in 2026-11-24 14:02." in answer.text) == (422, True)


@pytest.mark.parametrize("query", ["?action=%00", "?actor=%00", "?cursor=x", "?actor=token:x", "?actor=" + "a" * 500])
def test_a_filter_that_means_nothing_breaks_nothing(ada: FlaskClient, query: str) -> None:
    lines(ada, query)


def test_older_lines_are_behind_a_link_that_keeps_the_filters(
    app: Flask, ada: FlaskClient, cast: Cast, clock: Clock
) -> None:
    clock.moment += timedelta(hours=1)
    with app.app_context(), write_transaction() as session:
        for number in range(120):
            clock.advance(seconds=1)
            audit.record(session, "thing.done", f"thing:{number}", by=SYSTEM, workspace_id=cast.acme.id)
            audit.record(session, "other.done", f"thing:{number}", by=SYSTEM, workspace_id=cast.acme.id)
    query, seen, pages = "?action=thing.done", [], 0
    while query:
        page = html.unescape(ada.get(f"{PAGE}{query}").text)
        seen += re.findall(r"thing …(\d+)", page)
        assert "<code>other.done</code>" not in page
        older = re.findall(rf'href="{PAGE}(\?[^"]*)">Older', page)
        query, pages = older[0] if older else "", pages + 1
    assert seen == [str(number) for number in reversed(range(120))]
    assert pages == 3


def test_a_member_does_not_read_the_audit_log(app: Flask, client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ben@example.com")
    assert client.get(PAGE).status_code == 403
