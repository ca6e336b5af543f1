"""The settings of a workspace in the browser: who may open them, what the forms save, and what they say when not."""

import re
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.jobs import job_in
from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from webapp.core.audit import SYSTEM
from webapp.core.chores import retention
from webapp.core.database.session import db
from webapp.core.jobs import time_limits
from webapp.core.lifecycle import JobStatus
from webapp.core.limits import limits
from webapp.core.models import AuditEntry, Role
from webapp.core.workspaces import members, tokens
from webapp.dashboard.settings.general import LIMIT_TITLES

SETTINGS = "/w/acme/settings"
OPEN_TO_MEMBERS = "/w/<slug>/settings/members"


@pytest.fixture
def ada(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ada, who owns acme, is signed in."""
    sign_in(client, "ada@example.com")
    return client


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ben, a member of acme, is signed in."""
    sign_in(client, "ben@example.com")
    return client


def post(client: FlaskClient, address: str, data: Mapping[str, object]) -> TestResponse:
    """Send a form with the token of a page; every page carries the same."""
    token = csrf_token(client.get("/w/acme/jobs").text)
    return client.post(address, data={"csrf_token": token} | dict(data))


def entries(app: Flask, action: str) -> list[AuditEntry]:
    with app.app_context():
        return list(db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == action)))


# --- who may -----------------------------------------------------------------------------------------------------


def pages_of(app: Flask) -> list[str]:
    """The addresses of the settings that name nothing further and are for managers."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/w/<slug>/settings")]
    rules = [rule for rule in rules if not rule.rule.startswith(OPEN_TO_MEMBERS)]
    return [rule.rule.replace("<slug>", "acme") for rule in rules if "<" not in rule.rule.replace("<slug>", "")]


def test_a_member_sees_of_the_settings_the_members_alone(app: Flask, ben: FlaskClient) -> None:
    assert re.findall(rf'"({SETTINGS}[^"]*)"', ben.get("/w/acme/jobs").text) == [f"{SETTINGS}/members"]
    for address in pages_of(app):
        assert ben.get(address).status_code in (403, 405)
        assert post(ben, address, {}).status_code in (403, 405)
    answer = ben.get(f"{SETTINGS}/general")
    assert answer.status_code == 403
    assert "Only the owner and the admins of Acme" in answer.text


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_the_owner_and_an_admin_come_from_the_board_to_every_page_of_the_settings(
    app: Flask, client: FlaskClient, cast: Cast, role: Role
) -> None:
    if role is Role.ADMIN:
        with app.app_context():
            members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    sign_in(client, "ada@example.com" if role is Role.OWNER else "cleo@example.com")
    assert f'href="{SETTINGS}"' in client.get("/w/acme/jobs").text
    first = client.get(SETTINGS, follow_redirects=True)
    assert first.request.path == f"{SETTINGS}/general"
    sections = first.text.partition('<nav class="sections"')[2].partition("</nav>")[0]
    links = re.findall(rf'<a href="({SETTINGS}/[^"]+)"', sections)
    assert links[0] == f"{SETTINGS}/general"
    for address in links:
        page = client.get(address)
        assert page.status_code == 200
        assert f'<a href="{address}" aria-current="page">' in page.text


def test_the_settings_do_not_refresh_under_the_hands_of_who_fills_them_in(app: Flask, ada: FlaskClient) -> None:
    pages = [address for address in pages_of(app) if ada.get(address).status_code == 200]
    assert len(pages) >= 3
    for address in pages:
        assert 'http-equiv="refresh"' not in ada.get(address).text


# --- general -----------------------------------------------------------------------------------------------------


def test_a_workspace_gets_another_name_and_the_board_tells_who_gave_it(
    app: Flask, ada: FlaskClient, cast: Cast
) -> None:
    answer = post(ada, f"{SETTINGS}/general", {"name": "  Acme & Sons "})
    assert (answer.status_code, answer.location) == (303, f"{SETTINGS}/general")
    page = ada.get(answer.location).text
    assert "The name is saved." in page
    assert 'value="Acme &amp; Sons"' in page
    [entry] = entries(app, "workspace.renamed")
    assert (entry.actor, entry.workspace_id, entry.address) == (cast.ada.ref, cast.acme.id, "127.0.0.1")
    assert entry.detail == {"from": "Acme", "to": "Acme & Sons"}


def test_the_limits_say_where_the_workspace_stands(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    def row(name: str) -> str:
        match = re.search(rf'<tr id="limit-{name}">(.*?)</tr>', ada.get(f"{SETTINGS}/general").text, re.DOTALL)
        assert match
        return " ".join(re.sub("<[^>]*>", " ", match[1]).split())

    assert row("webhooks") == "Webhooks 0 20"
    assert row("tokens-per-day") == "Tokens created in 24 hours 0 500"
    assert row("payload-mib-per-day") == "Payloads and results today 0 MiB 4,096 MiB"
    with app.app_context():
        for name in LIMIT_TITLES:
            limits.set_limit(limits.of_workspace(cast.acme.id), name, 2, by=SYSTEM)
    assert row("members") == "Members limit reached 2 2"
    assert row("tokens") == "Active tokens 0 2"


@pytest.mark.parametrize(
    ("limit", "page", "address", "filled"),
    [
        ("tokens", f"{SETTINGS}/tokens", f"{SETTINGS}/tokens", {"name": "one more", "scopes": "jobs:read"}),
        (
            "invitations",
            f"{SETTINGS}/members",
            f"{SETTINGS}/members/invitations",
            {"email": "dora@example.com", "role": "member"},
        ),
    ],
)
def test_one_more_than_the_limit_is_refused_beside_what_was_filled_in(
    app: Flask, ada: FlaskClient, cast: Cast, limit: str, page: str, address: str, filled: dict[str, str]
) -> None:
    with app.app_context():
        limits.set_limit(limits.of_workspace(cast.acme.id), limit, 0, by=SYSTEM)
    answer = post(ada, address, filled)
    assert answer.status_code == 409
    assert f"<h1>{page.rpartition('/')[2].capitalize()}</h1>" in answer.text
    assert "A workspace has at most 0 " in answer.text
    assert f'value="{next(iter(filled.values()))}"' in answer.text


def test_a_rotation_over_the_limit_says_that_a_limit_is_reached(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    with app.app_context():
        token, _ = tokens.create_unchecked(cast.acme.id, "a runner", by=SYSTEM)
        limits.set_limit(limits.of_workspace(cast.acme.id), "tokens", 1, by=SYSTEM)
    answer = post(ada, f"{SETTINGS}/tokens/{token.id}/rotate", {"overlap": "7"})
    assert answer.status_code == 409
    assert "<h1>Limit reached</h1>" in answer.text


def test_the_name_that_it_has_is_no_news(app: Flask, ada: FlaskClient) -> None:
    assert post(ada, f"{SETTINGS}/general", {"name": "Acme"}).status_code == 303
    assert entries(app, "workspace.renamed") == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\nb", "a\0b"])
def test_a_name_that_is_none_is_told_beside_the_field(app: Flask, ada: FlaskClient, name: str) -> None:
    answer = post(ada, f"{SETTINGS}/general", {"name": name})
    assert answer.status_code == 422
    assert '<p class="wrong" id="name-wrong">A name of 1 to 100 characters, in one line.</p>' in answer.text
    assert re.search(r'<input[^>]*aria-describedby="name-hint name-wrong"[^>]*aria-invalid="true"', answer.text)
    assert entries(app, "workspace.renamed") == []


# --- time limits -------------------------------------------------------------------------------------------------

LIMITS = f"{SETTINGS}/time-limits"


def limits_of(app: Flask, cast: Cast) -> list[tuple[str, int | None, int | None]]:
    with app.app_context():
        limits = time_limits.list_limits(cast.acme.id)
        return [(limit.type, limit.heartbeat_timeout, limit.max_duration) for limit in limits]


def field(page: str, name: str) -> str:
    """The value that stands in a field of a page."""
    field = re.search(rf'<input[^>]*name="{name}"[^>]*>', page)
    assert field, name
    value = re.search(r'value="([^"]*)"', field[0])
    return value[1] if value else ""


def test_limits_of_every_type_are_saved_as_people_write_them_and_stand_in_the_form(
    app: Flask, ada: FlaskClient, cast: Cast
) -> None:
    answer = post(ada, LIMITS, {"heartbeat_timeout": "90 s", "max_duration": " 1 H  30min"})
    assert (answer.status_code, answer.location) == (303, LIMITS)
    assert limits_of(app, cast) == [("", 90, 5400)]
    page = ada.get(LIMITS).text
    assert "The limits of every type are saved." in page
    assert (field(page, "heartbeat_timeout"), field(page, "max_duration")) == ("1 min 30 s", "1 h 30 min")
    [entry] = entries(app, "time_limits.set")
    assert (entry.actor, entry.address) == (cast.ada.ref, "127.0.0.1")


def test_a_form_that_is_saved_as_it_is_shown_changes_nothing(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    post(ada, LIMITS, {"heartbeat_timeout": "100001", "max_duration": "30 d"})
    page = ada.get(LIMITS).text
    post(ada, LIMITS, {name: field(page, name) for name in ("heartbeat_timeout", "max_duration")})
    assert limits_of(app, cast) == [("", 100_001, 30 * 24 * 3600)]


def test_the_limits_of_one_type_are_saved_changed_and_removed(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    assert post(ada, f"{LIMITS}/type", {"of-type-type": "import & co", "of-type-max_duration": "5 min"}).location
    assert limits_of(app, cast) == [("import & co", None, 300)]
    page = ada.get(LIMITS).text
    assert '<th scope="row">import &amp; co</th>' in page
    assert "5 min" in page
    change = ada.get(LIMITS, query_string={"type": "import & co"}).text
    assert (field(change, "of-type-type"), field(change, "of-type-max_duration")) == ("import &amp; co", "5 min")
    post(ada, f"{LIMITS}/type", {"of-type-type": "import & co", "of-type-heartbeat_timeout": "30"})
    assert limits_of(app, cast) == [("import & co", 30, None)]
    answer = post(ada, f"{LIMITS}/remove", {"type": "import & co"})
    assert answer.status_code == 303
    assert limits_of(app, cast) == []
    assert "The limits of import &amp; co are removed." in ada.get(LIMITS).text


def test_emptied_fields_take_the_limits_of_every_type_back(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    post(ada, LIMITS, {"heartbeat_timeout": "90", "max_duration": ""})
    assert post(ada, LIMITS, {"heartbeat_timeout": "", "max_duration": " "}).status_code == 303
    assert limits_of(app, cast) == []


@pytest.mark.parametrize("text", ["soon", "-5", "1.5 h", "5 minutes", "1" * 60, "1 " * 40 + "x", "５", "90 5 min"])
def test_a_time_that_is_none_is_told_beside_its_field_with_what_was_written(
    app: Flask, ada: FlaskClient, cast: Cast, text: str
) -> None:
    answer = post(ada, LIMITS, {"heartbeat_timeout": text, "max_duration": "5"})
    assert answer.status_code == 422
    assert 'id="heartbeat_timeout-wrong">Write it like 90 s, 5 min or 1 h 30 min.</p>' in answer.text
    assert field(answer.text, "heartbeat_timeout") == text
    assert field(answer.text, "max_duration") == "5"
    assert limits_of(app, cast) == []


@pytest.mark.parametrize("text", ["0", "0 s", "31 d", "2592001"])
def test_a_time_that_is_too_short_or_too_long_is_told_beside_its_field(
    app: Flask, ada: FlaskClient, cast: Cast, text: str
) -> None:
    answer = post(ada, LIMITS, {"heartbeat_timeout": "5", "max_duration": text})
    assert answer.status_code == 422
    assert 'id="max_duration-wrong"' in answer.text
    assert 'id="heartbeat_timeout-wrong"' not in answer.text
    assert limits_of(app, cast) == []


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({"max_duration": "5"}, "type"),
        ({"type": "x" * 201, "max_duration": "5"}, "type"),
        ({"type": "a\0b", "max_duration": "5"}, "type"),
        ({"type": "import"}, "heartbeat_timeout"),
        ({"type": "import", "heartbeat_timeout": "x"}, "heartbeat_timeout"),
    ],
)
def test_what_is_wrong_with_the_limits_of_a_type_is_told_beside_the_field(
    app: Flask, ada: FlaskClient, cast: Cast, sent: dict[str, str], wrong: str
) -> None:
    answer = post(ada, f"{LIMITS}/type", {f"of-type-{name}": value for name, value in sent.items()})
    assert answer.status_code == 422
    assert re.findall(r'class="wrong" id="([^"]+)-wrong"', answer.text) == [f"of-type-{wrong}"]
    assert limits_of(app, cast) == []


def test_to_remove_what_is_not_there_is_no_fault_and_no_news(app: Flask, ada: FlaskClient) -> None:
    assert post(ada, f"{LIMITS}/remove", {"type": "nothing"}).status_code == 303
    assert post(ada, f"{LIMITS}/remove", {"type": "a\0b"}).status_code == 422
    assert entries(app, "time_limits.removed") == []


# --- retention ---------------------------------------------------------------------------------------------------

RETENTION = f"{SETTINGS}/retention"


def kept(app: Flask, cast: Cast) -> dict[str, int]:
    with app.app_context():
        return {status.value: days for status, days in retention.get_retention(cast.acme.id).items()}


def made_old(app: Flask, cast: Cast, clock: Clock, *states: str) -> None:
    with app.app_context():
        for state in states:
            job_in(state, cast.acme)
    clock.advance(days=40)


def test_without_a_retention_the_page_promises_no_deletion(ada: FlaskClient) -> None:
    page = ada.get(RETENTION).text
    assert [field(page, name) for name in ("completed", "failed", "canceled")] == ["", "", ""]
    assert "sweep" not in page


def test_how_many_jobs_would_go_is_told_before_anything_is_saved(
    app: Flask, client: FlaskClient, cast: Cast, clock: Clock
) -> None:
    made_old(app, cast, clock, "completed", "completed", "failed", "canceled")
    sign_in(client, "ada@example.com")
    page = client.get(f"{RETENTION}?completed=30&failed=39&canceled=").text
    assert "3 jobs would go</b> at the next sweep: 2 completed, 1 failed." in " ".join(page.split())
    assert "Save and delete 3 jobs" in page
    assert [field(page, name) for name in ("completed", "failed", "canceled")] == ["30", "39", ""]
    assert kept(app, cast) == {}
    assert entries(app, "retention.set") == []


def test_what_was_counted_is_what_is_saved(app: Flask, client: FlaskClient, cast: Cast, clock: Clock) -> None:
    made_old(app, cast, clock, "completed")
    sign_in(client, "ada@example.com")
    counted = client.get(f"{RETENTION}?completed=30&failed=&canceled=90").text
    form = counted[counted.index('id="verdict"') :]
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
    answer = client.post(RETENTION, data=sent)
    assert (answer.status_code, answer.location) == (303, RETENTION)
    assert kept(app, cast) == {"completed": 30, "canceled": 90}
    page = client.get(RETENTION).text
    assert "The retention is saved." in page
    assert "As it is set, 1 job will go at the next sweep." in page
    [entry] = entries(app, "retention.set")
    assert entry.detail == {"completed": 30, "failed": None, "canceled": 90}


def test_a_retention_that_deletes_nothing_yet_says_so(ada: FlaskClient) -> None:
    page = ada.get(f"{RETENTION}?completed=30&failed=&canceled=").text
    assert "No job would go</b> at the next sweep." in page
    assert "delete" not in page[page.index('id="verdict"') :]


def test_emptied_fields_keep_the_jobs_for_ever_again(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    post(ada, RETENTION, {"completed": "30"})
    assert kept(app, cast) == {"completed": 30}
    assert "would go" in ada.get(f"{RETENTION}?completed=&failed=&canceled=").text
    post(ada, RETENTION, {"completed": "", "failed": "", "canceled": ""})
    assert kept(app, cast) == {}
    assert len(entries(app, "retention.removed")) == 1


@pytest.mark.parametrize("days", ["0", "-1", "3651", "soon", "1.5", "9" * 30, "9" * 5000])
def test_wrong_days_are_told_beside_the_field_and_nothing_is_counted_or_saved(
    app: Flask, ada: FlaskClient, cast: Cast, days: str
) -> None:
    wrong = '<p class="wrong" id="failed-wrong">A whole number of days from 1 to 3650, or nothing.</p>'
    for answer in (
        ada.get(RETENTION, query_string={"completed": "5", "failed": days}),
        post(ada, RETENTION, {"completed": "5", "failed": days}),
    ):
        assert answer.status_code == 422
        assert wrong in answer.text
        assert 'id="verdict"' not in answer.text
        assert field(answer.text, "completed") == "5"
    assert kept(app, cast) == {}


def test_a_form_of_the_settings_without_its_token_is_refused(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    for address in (f"{SETTINGS}/general", LIMITS, f"{LIMITS}/type", f"{LIMITS}/remove", RETENTION):
        assert ada.post(address, data={"name": "x", "completed": "1", "max_duration": "5"}).status_code == 400
    assert (kept(app, cast), limits_of(app, cast)) == ({}, [])


@pytest.mark.parametrize("status", list(JobStatus))
def test_there_is_a_field_for_every_status_that_can_be_deleted_and_for_no_other(
    ada: FlaskClient, status: JobStatus
) -> None:
    assert (f'name="{status}"' in ada.get(RETENTION).text) is (status in retention.STATUSES)
