"""A name that is written from right to left scrambles nothing that stands beside it, on any page."""

import json
import re
import uuid
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.pages import HTMX, post, sign_in
from tests.support.people import PASSWORD
from webapp.core import jobs
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM, Actor
from webapp.core.bidi import has_right_to_left, isolate
from webapp.core.models import Role, WebhookEvent
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import invitations, members, tokens, workspaces
from webapp.extensions import outbound

PERSON, WORKSPACE, TYPE, TOKEN, TAG, RUNNER = "سلمى ٢", "مصنع ٣", "تقرير شهري", "رمز", "ليلي", "خادم ١"
MESSAGE, ERROR = "صفحة 3", "فشل"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "path", "rect", "circle", "line", "source"}
INLINE = {"a", "abbr", "b", "bdi", "code", "em", "i", "kbd", "small", "span", "time"}
SPOKEN = ("title", "aria-label", "data-name", "hx-confirm", "placeholder", "content")
ISOLATED = re.compile("\u2068[^\u2068\u2069]*\u2069")


@dataclass
class Element:
    tag: str
    parent: "Element | None"
    texts: list[tuple[str, bool]] = field(default_factory=list)
    """The texts of a block, each with whether it stands in an element of its own direction."""


class Blocks(HTMLParser):
    """Gathers the texts of each block of a page, and the attributes that people read or hear."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.blocks: list[Element] = []
        self.spoken: list[str] = []
        self._open: list[str] = []
        self._current = [Element("html", None)]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.spoken += [value for name, value in attrs if name in SPOKEN and value]
        if tag in VOID:
            return
        self._open.append(tag)
        if tag not in INLINE:
            self._current.append(Element(tag, self._current[-1]))
            self.blocks.append(self._current[-1])

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            closed = self._open.pop()
            if closed not in INLINE:
                self._current.pop()
            if closed == tag:
                return

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open and self._open[-1] not in ("script", "style"):
            self._current[-1].texts.append((data.strip(), "bdi" in self._open))


def find_scrambled(html: str) -> list[str]:
    """List what mixes a text from right to left with another."""
    page = Blocks(html)
    mixed = [
        " ".join(text for text, _ in block.texts)
        for block in page.blocks
        for text, is_apart in block.texts
        if not is_apart
        and has_right_to_left(rest := ISOLATED.sub("", text))
        and (len(block.texts) > 1 or is_mixed(rest))
    ]
    return mixed + [text for text in page.spoken if is_mixed(ISOLATED.sub("", text))]


def is_mixed(text: str) -> bool:
    """Return whether Latin letters or the dots of an id stand in a text beside such from right to left."""
    return has_right_to_left(text) and re.search("[A-Za-z…“]", text) is not None


@dataclass(frozen=True)
class Scene:
    job_id: uuid.UUID
    addresses: list[str]


@pytest.fixture
def scene(app: Flask) -> Scene:
    """A workspace in which everything has a name from right to left."""
    with app.app_context():
        salma = accounts.create("salma@example.com", PERSON, PASSWORD, by=SYSTEM)
        nour = accounts.create("nour@مثال.example", f"{PERSON}٤", PASSWORD, by=SYSTEM)
        acme = workspaces.create(WORKSPACE, "acme", owner=salma, by=Actor(salma.ref))
        members.add_unchecked(acme, nour, Role.ADMIN, by=SYSTEM)
        me = workspaces.get_membership("acme", salma.id)
        token, _ = tokens.create_unchecked(acme.id, TOKEN, by=Actor(salma.ref))
        by = Actor(f"token:{token.id}")
        parent = jobs.enqueue_job(TYPE, acme.id, tags=[TAG], by=by)
        jobs.update_job_status(parent, status="running", message=MESSAGE, runner=RUNNER, progress=3, by=by)
        child = jobs.enqueue_job(TYPE, acme.id, parent_id=parent, by=by)
        jobs.cancel_job(child, by=Actor(salma.ref))
        lost = jobs.enqueue_job(TYPE, acme.id, by=by)
        jobs.update_job_status(lost, status="failed", error=ERROR, by=by)
        done = jobs.enqueue_job(TYPE, acme.id, by=by)
        jobs.update_job_status(done, status="running", by=by)
        jobs.update_job_status(done, status="completed", by=by)
        invitations.create(me, "dora@مثال.example", "member", by=Actor(salma.ref))
        url = "https://example.com/hook"
        hook = endpoints.create(me, url, [WebhookEvent.COMPLETED], outbound=outbound(), by=Actor(salma.ref))
        error_group = jobs.get_job_status(lost).error_group
    settings = [f"/w/acme/settings/{name}" for name in ("general", "members", "tokens", "audit", "webhooks")]
    return Scene(
        parent,
        [
            "/?all",
            "/profile",
            "/w/acme/jobs",
            f"/w/acme/jobs?type={TYPE}&tag={TAG}&created_by=token:{token.id}&status=pending",
            f"/w/acme/jobs?status=failed&error_group={error_group}&q={TAG}",
            "/w/acme/jobs/table",
            *(f"/w/acme/jobs/{job_id}" for job_id in (parent, child, lost, done)),
            f"/w/acme/jobs/{parent}/panel",
            f"/w/acme/jobs/cancel?type={TYPE}",
            "/w/acme/overview",
            "/w/acme/connect",
            "/w/acme/connect/python",
            *settings,
            "/w/acme/settings/general/delete",
            "/w/acme/settings/time-limits",
            "/w/acme/settings/retention",
            f"/w/acme/settings/audit?actor={salma.ref}",
            f"/w/acme/settings/members/{nour.id}/remove",
            f"/w/acme/settings/members/{nour.id}/transfer",
            f"/w/acme/settings/tokens/{token.id}/revoke",
            f"/w/acme/settings/webhooks/{hook.id}",
            f"/w/acme/settings/webhooks/{hook.id}/delete",
        ],
    )


@pytest.fixture
def salma(client: FlaskClient, scene: Scene) -> FlaskClient:
    sign_in(client, "salma@example.com")
    return client


def test_no_name_on_any_page_mixes_with_what_stands_beside_it(salma: FlaskClient, scene: Scene) -> None:
    scrambled = {}
    for address in scene.addresses:
        answer = salma.get(address)
        assert answer.status_code == 200, address
        if blocks := find_scrambled(answer.text):
            scrambled[address] = blocks
    assert scrambled == {}


def test_news_of_a_cancel_keeps_the_name_and_the_id_apart(salma: FlaskClient, scene: Scene) -> None:
    answer = post(salma, f"/w/acme/jobs/{scene.job_id}/cancel", headers=HTMX)
    toast = json.loads(answer.headers["HX-Trigger"])["toast"]["text"]
    assert toast == f"Canceled \u2068{TYPE}\u2069 …{str(scene.job_id)[-8:]}"


def test_flashed_messages_keep_names_apart(salma: FlaskClient, scene: Scene) -> None:
    data = {"of-type-type": TYPE, "of-type-heartbeat_timeout": "60"}
    assert post(salma, "/w/acme/settings/time-limits/type", data).status_code == 303
    page = salma.get("/w/acme/settings/time-limits").text
    assert f"The limits of \u2068{TYPE}\u2069 are saved." in page
    assert find_scrambled(page) == []


@pytest.mark.parametrize(
    ("html", "is_scrambled"),
    [
        (f"<p>{TYPE}</p>", False),
        (f"<p>{TYPE} …06b827ae</p>", True),
        (f"<p><a>{TYPE}</a> <span>06b827ae</span></p>", True),
        (f"<p><a><bdi>{TYPE}</bdi></a> <span>06b827ae</span></p>", False),
        (f'<p title="{TYPE} …06b827ae">x</p>', True),
        (f'<p title="{isolate(TYPE)} …06b827ae">x</p>', False),
    ],
)
def test_a_name_that_is_mixed_with_another_would_be_found(html: str, is_scrambled: bool) -> None:
    assert bool(find_scrambled(html)) is is_scrambled


def test_a_name_from_left_to_right_is_left_as_it_is() -> None:
    assert [isolate(name) for name in ("import.contacts", "Jürgen", "工場")] == ["import.contacts", "Jürgen", "工場"]


@pytest.mark.parametrize("control", ["\u202e", "\u2069", "\u2067", "\u200f"])
def test_no_name_ends_its_own_isolation(control: str) -> None:
    assert isolate(f"{control}تقرير{control}") == "\u2068تقرير\u2069"
