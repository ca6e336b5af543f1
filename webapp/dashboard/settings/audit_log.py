"""The audit log of a workspace, among its settings: who did what, when, from where; filtered by the address."""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence

from flask import g, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms.validators import Optional

from webapp.core import audit
from webapp.core.audit import AuditFilter
from webapp.core.models import AuditEntry
from webapp.dashboard.forms import MomentField
from webapp.dashboard.settings import manager_pages, settings_page

PAGE_SIZE = 50
_WORD = re.compile(r"[\w.:-]{1,60}", re.ASCII)


class SpanForm(FlaskForm):  # type: ignore[misc]
    since = MomentField("From (UTC)", [Optional()])
    until = MomentField("To (UTC)", [Optional()])


@manager_pages.get("/audit")
def show_audit_log() -> AnyResponse:
    form = SpanForm(formdata=request.args, meta={"csrf": False})
    is_valid = form.validate()
    since, until = (form.since.moment, form.until.moment) if is_valid else (None, None)
    audit_filter = AuditFilter(_word("action"), _word("actor"), since, until)
    cursor = request.args.get("cursor", type=uuid.UUID)
    page = audit.list_entries(g.workspace.id, audit_filter, before=cursor, limit=PAGE_SIZE)
    actions, actors = audit.list_choices(g.workspace.id)
    return settings_page(
        "settings/audit_log.html",
        status=200 if is_valid else 422,
        form=form,
        page=page,
        audit_filter=audit_filter,
        actions=actions,
        actors=actors,
        names=_names(actors, page.entries, audit_filter.actor),
        detail_refs=audit.DETAIL_REFS,
        params={name: value for name, value in request.args.items() if value and name != "cursor"},
    )


def _word(name: str) -> str | None:
    """Return a parameter that can be the name of an action or of an actor."""
    value = request.args.get(name, "")
    return value if _WORD.fullmatch(value) else None


def _names(actors: Iterable[str], entries: Sequence[AuditEntry], filter_actor: str | None) -> Mapping[str, str]:
    """Return the names of everybody and every token that the lines of this workspace name.

    Whoever else the address asks for has no name here.
    """
    names = audit.get_names([*actors, *_refs(entries)])
    return {filter_actor: "somebody who is not here", **names} if filter_actor else names


def _refs(entries: Iterable[AuditEntry]) -> Iterator[str]:
    for entry in entries:
        yield from (entry.actor, entry.resource)
        yield from (str(value) for key, value in (entry.detail or {}).items() if key in audit.DETAIL_REFS)
