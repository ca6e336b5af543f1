"""The settings of a workspace in the browser: who may open them, what the forms save, and what they say when not."""

import re
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import Cast, csrf_token, sign_in
from webapp.core import workspaces
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry, Role
from webapp.extensions import db

SETTINGS = "/w/acme/settings"


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
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/w/<slug>/settings")]
    return [rule.rule.replace("<slug>", "acme") for rule in rules if "<" not in rule.rule.replace("<slug>", "")]


def test_a_member_sees_no_link_to_the_settings_and_no_page_of_them(app: Flask, ben: FlaskClient) -> None:
    assert SETTINGS not in ben.get("/w/acme/jobs").text
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
            workspaces.add_member(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    sign_in(client, "ada@example.com" if role is Role.OWNER else "cleo@example.com")
    assert f'href="{SETTINGS}"' in client.get("/w/acme/jobs").text
    first = client.get(SETTINGS, follow_redirects=True)
    assert first.request.path == f"{SETTINGS}/general"
    links = re.findall(rf'<a href="({SETTINGS}/[^"]+)"', first.text)
    assert links[0] == f"{SETTINGS}/general"
    for address in links:
        page = client.get(address)
        assert page.status_code == 200
        assert f'<a href="{address}" aria-current="page">' in page.text


def test_the_settings_do_not_refresh_under_the_hands_of_who_fills_them_in(ada: FlaskClient) -> None:
    assert 'http-equiv="refresh"' not in ada.get(f"{SETTINGS}/general").text


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
