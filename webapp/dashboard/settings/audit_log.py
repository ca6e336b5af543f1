"""The audit log of a workspace, among its settings: who did what, when, from where; filtered by the address."""

import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from flask import g, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import DateTimeLocalField
from wtforms.validators import Optional

from webapp.core import audit
from webapp.core.audit import AuditFilter
from webapp.core.models import AuditEntry
from webapp.dashboard.settings import manager_pages, settings_page

PAGE = 50
_WORD = re.compile(r"[\w.:-]{1,60}", re.ASCII)


class MomentField(DateTimeLocalField):
    """A day and a time in UTC; whatever is none is told in words."""

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError("A day and a time, as in 2026-11-24 14:02.") from None

    @property
    def moment(self) -> datetime | None:
        return self.data.replace(tzinfo=UTC) if self.data else None


class SpanForm(FlaskForm):  # type: ignore[misc]
    since = MomentField("From (UTC)", [Optional()])
    until = MomentField("To (UTC)", [Optional()])


@manager_pages.get("/audit")
def show_audit_log() -> AnyResponse:
    form = SpanForm(formdata=request.args, meta={"csrf": False})
    sound = form.validate()
    wanted = AuditFilter(
        _word("action"), _word("actor"), form.since.moment if sound else None, form.until.moment if sound else None
    )
    page = audit.list_entries(g.workspace.id, wanted, before=request.args.get("cursor", type=uuid.UUID), limit=PAGE)
    actions, actors = audit.list_choices(g.workspace.id)
    names = audit.get_names([*actors, wanted.actor, *_refs(page.entries)])
    asked = {name: value for name, value in request.args.items() if value and name != "cursor"}
    told = {"page": page, "wanted": wanted, "actions": actions, "actors": actors, "names": names, "asked": asked}
    return settings_page("settings/audit_log.html", status=200 if sound else 422, form=form, **told)


def _word(name: str) -> str | None:
    """A parameter that can be the name of an action or of an actor."""
    value = request.args.get(name, "")
    return value if _WORD.fullmatch(value) else None


def _refs(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """Everybody and every token whom the lines name."""
    for entry in entries:
        yield from (entry.actor, entry.resource, *map(str, (entry.detail or {}).values()))
