"""Keeps the web sites whose pages may call the API with a token of a workspace. None may unless it is listed."""

import re
import uuid
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import sqlalchemy as sa

from webapp.core import audit
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Invalid
from webapp.core.models import Membership, Workspace, WorkspaceOrigin
from webapp.core.validation import is_http_address
from webapp.core.workspaces.workspaces import require_manager

LIMIT = 20
"""Origins that a workspace may list."""
_PORTS = {"http": 80, "https": 443}
_FAULT = "One site a line, like https://app.example.com: without a path, in ASCII."


def list_origins(workspace_id: uuid.UUID) -> Sequence[str]:
    """Return the origins that a workspace lists, in order."""
    query = sa.select(WorkspaceOrigin.origin).where(WorkspaceOrigin.workspace_id == workspace_id)
    return db.session.scalars(query.order_by(WorkspaceOrigin.origin)).all()


def is_listed(origin: str, workspace_id: uuid.UUID | None = None) -> bool:
    """Return whether a workspace lists an origin, or any workspace does."""
    query = sa.select(WorkspaceOrigin.origin).join(Workspace, Workspace.id == WorkspaceOrigin.workspace_id)
    query = query.where(WorkspaceOrigin.origin == origin, Workspace.deleted_at.is_(None))
    if workspace_id is not None:
        query = query.where(WorkspaceOrigin.workspace_id == workspace_id)
    return db.session.scalar(query.limit(1)) is not None


def replace(member: Membership, origins: Iterable[str], *, by: Actor) -> None:
    """Let exactly these sites call the API. Raises ``Forbidden`` and ``Invalid``."""
    require_manager(member)
    replace_unchecked(member.workspace_id, origins, by=by)


def replace_unchecked(workspace_id: uuid.UUID, origins: Iterable[str], *, by: Actor) -> None:
    """Let exactly these sites call the API, whoever asks. Raises ``Invalid``."""
    parsed = {parse_origin(text) for text in origins}
    if None in parsed or len(parsed) > LIMIT:
        raise Invalid([Fault(("origins",), _FAULT if None in parsed else f"At most {LIMIT} sites.")])
    with write_transaction() as session:
        session.execute(sa.select(Workspace.id).where(Workspace.id == workspace_id).with_for_update())
        listed = set(
            session.scalars(sa.select(WorkspaceOrigin.origin).where(WorkspaceOrigin.workspace_id == workspace_id))
        )
        if listed == parsed:
            return
        session.execute(sa.delete(WorkspaceOrigin).where(WorkspaceOrigin.workspace_id == workspace_id))
        session.add_all(WorkspaceOrigin(workspace_id=workspace_id, origin=origin) for origin in parsed)
        audit.record(
            session,
            "workspace.origins_changed",
            f"workspace:{workspace_id}",
            by=by,
            workspace_id=workspace_id,
            detail={"origins": sorted(str(origin) for origin in parsed)},
        )


def parse_origin(text: str) -> str | None:
    """Return an origin as browsers send it, in small letters and without the usual port; ``None`` when it is none."""
    text = text.strip().lower().rstrip("/")
    if not is_http_address(text) or not re.fullmatch(r"https?://[a-z0-9.:\[\]_-]{1,255}", text):
        return None
    parts = urlsplit(text)
    return text.removesuffix(f":{parts.port}") if parts.port == _PORTS[parts.scheme] else text
