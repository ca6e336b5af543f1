"""Keeps the endpoints to which a workspace has messages about its jobs sent; its owner and admins manage them.

What is sent there stands in ``outbox``, how it is sent in ``sender``.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Invalid, NotFound
from webapp.core.limits import limits
from webapp.core.models import Membership, WebhookDelivery, WebhookEndpoint, WebhookEvent, new_id
from webapp.core.validation import is_http_address
from webapp.core.webhooks.outbound import Denied, NotPublic, Outbound
from webapp.core.webhooks.secrets import make_secret
from webapp.core.workspaces.sponsors import take_over
from webapp.core.workspaces.workspaces import require_manager

URL_LIMIT = 2000
SECRET_OVERLAP = timedelta(days=1)
"""How long messages are signed with the former secret as well, after it was replaced."""


# --- read --------------------------------------------------------------------------------------------------------


def list_endpoints(workspace_id: uuid.UUID) -> Sequence[WebhookEndpoint]:
    """Return all endpoints of a workspace, oldest first."""
    return db.session.scalars(
        sa.select(WebhookEndpoint).where(WebhookEndpoint.workspace_id == workspace_id).order_by(WebhookEndpoint.id)
    ).all()


def get(workspace_id: uuid.UUID, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    """Return an endpoint of a workspace. Raises ``NotFound``."""
    return _fetch(db.session(), _select_endpoint(workspace_id, endpoint_id))


def get_limit(workspace_id: uuid.UUID) -> int:
    """Return how many endpoints a workspace may have."""
    return limits.get_limit(db.session(), limits.of_workspace(workspace_id), limits.WEBHOOKS)


def select_count(workspace_id: uuid.UUID) -> sa.Select[int]:
    """Return the statement that counts the endpoints of a workspace."""
    return sa.select(sa.func.count()).where(WebhookEndpoint.workspace_id == workspace_id)


def list_disabled(workspace_id: uuid.UUID) -> Sequence[WebhookEndpoint]:
    """Return the endpoints that the board has given up on: somebody should know."""
    return [endpoint for endpoint in list_endpoints(workspace_id) if endpoint.disabled_at is not None]


def lock(session: Session, workspace_id: uuid.UUID, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    """Lock an endpoint until the caller's transaction ends. Raises ``NotFound``.

    Whoever changes an endpoint and its messages locks the endpoint first, so that two never wait in a circle. A job
    that ends does not wait for it.
    """
    return _fetch(session, _select_endpoint(workspace_id, endpoint_id).with_for_update(key_share=True))


def _select_endpoint(workspace_id: uuid.UUID, endpoint_id: uuid.UUID) -> sa.Select[Any]:
    return sa.select(WebhookEndpoint).where(
        WebhookEndpoint.id == endpoint_id, WebhookEndpoint.workspace_id == workspace_id
    )


def _fetch(session: Session, query: sa.Select[Any]) -> WebhookEndpoint:
    endpoint: WebhookEndpoint | None = session.scalar(query.execution_options(populate_existing=True))
    if endpoint is None:
        raise NotFound("There is no such webhook.")
    return endpoint


# --- write -------------------------------------------------------------------------------------------------------


def create(member: Membership, url: str, events: Collection[str], *, outbound: Outbound, by: Actor) -> WebhookEndpoint:
    """Create an endpoint with a secret of its own. Raises ``Forbidden``, ``Invalid``, ``Conflict`` (``too_many``).

    ``outbound`` says which addresses may be called.
    """
    require_manager(member)
    url = _validate(url, events, outbound)
    at = clock.now()
    endpoint = WebhookEndpoint(
        id=new_id(at),
        workspace_id=member.workspace_id,
        url=url,
        secret=make_secret(),
        events=_in_order(events),
        created_by=by.ref,
        sponsor_id=member.user_id,
        created_at=at,
    )
    with write_transaction() as session:
        # Each endpoint is a message more for every job that ends.
        owner = limits.of_workspace(member.workspace_id)
        limits.require_room(session, owner, limits.WEBHOOKS, select_count(member.workspace_id))
        session.add(endpoint)
        _record(session, "created", endpoint, by, {"url": url, "events": endpoint.events})
    return endpoint


def update(
    member: Membership, endpoint_id: uuid.UUID, url: str, events: Collection[str], *, outbound: Outbound, by: Actor
) -> WebhookEndpoint:
    """Change the address or the events; ``member`` stands for it from now on.

    Another address has another secret: who is no longer called must not be able to sign for the board. Raises
    ``Forbidden``, ``Invalid`` and ``NotFound``.
    """
    require_manager(member)
    url = _validate(url, events, outbound)
    with write_transaction() as session:
        endpoint = lock(session, member.workspace_id, endpoint_id)
        take_over(session, endpoint, member.user_id, by=by)
        if (endpoint.url, endpoint.events) != (url, _in_order(events)):
            if endpoint.url != url:
                endpoint.secret, endpoint.previous_secret, endpoint.previous_until = make_secret(), None, None
            endpoint.url, endpoint.events = url, _in_order(events)
            _record(session, "changed", endpoint, by, {"url": url, "events": endpoint.events})
    return endpoint


def rotate_secret(member: Membership, endpoint_id: uuid.UUID, *, by: Actor) -> WebhookEndpoint:
    """Give an endpoint a new secret; the present one signs beside it for ``SECRET_OVERLAP``.

    Raises ``Forbidden`` and ``NotFound``.
    """
    require_manager(member)
    with write_transaction() as session:
        endpoint = lock(session, member.workspace_id, endpoint_id)
        # One that no key reads signs nothing any more.
        endpoint.previous_secret = endpoint.secret or None
        endpoint.secret, endpoint.previous_until = make_secret(), clock.now() + SECRET_OVERLAP
        _record(session, "secret_rotated", endpoint, by)
    return endpoint


def enable(member: Membership, endpoint_id: uuid.UUID, *, by: Actor) -> WebhookEndpoint:
    """Send an endpoint what happens from now on again; ``member`` stands for it. Raises ``Forbidden``, ``NotFound``."""
    require_manager(member)
    with write_transaction() as session:
        endpoint = lock(session, member.workspace_id, endpoint_id)
        take_over(session, endpoint, member.user_id, by=by)
        if endpoint.disabled_at is not None:
            endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
            _record(session, "enabled", endpoint, by)
    return endpoint


def delete(member: Membership, endpoint_id: uuid.UUID, *, by: Actor) -> None:
    """Delete an endpoint and all that is known of its messages. Raises ``Forbidden`` and ``NotFound``."""
    require_manager(member)
    with write_transaction() as session:
        endpoint = lock(session, member.workspace_id, endpoint_id)
        session.delete(endpoint)
        _record(session, "deleted", endpoint, by, {"url": endpoint.url})


def disable(session: Session, endpoint_id: uuid.UUID, reason: str, *, at: datetime) -> None:
    """Stop sending to an endpoint, in the caller's transaction: the board gives up. What waits for it has failed."""
    endpoint = session.get(WebhookEndpoint, endpoint_id, populate_existing=True)
    if endpoint is None or endpoint.disabled_at is not None:
        return
    endpoint.disabled_at, endpoint.disabled_reason = at, reason
    pending = sa.update(WebhookDelivery).where(
        WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.due_at.is_not(None)
    )
    session.execute(pending.values(due_at=None), execution_options={"synchronize_session": False})
    _record(session, "disabled", endpoint, SYSTEM, {"reason": reason})


def _record(
    session: Session, verb: str, endpoint: WebhookEndpoint, by: Actor, detail: dict[str, object] | None = None
) -> None:
    resource = f"webhook:{endpoint.id}"
    audit.record(session, f"webhook.{verb}", resource, by=by, workspace_id=endpoint.workspace_id, detail=detail)


# --- what may be an endpoint -------------------------------------------------------------------------------------


def _in_order(events: Collection[str]) -> list[str]:
    return [event.value for event in WebhookEvent if event in events]


def _validate(url: str, events: Collection[str], outbound: Outbound) -> str:
    """Return the address without the blanks around it. Raises ``Invalid`` with every fault."""
    url = url.strip()
    faults = [Fault(("url",), fault)] if (fault := _find_url_fault(url, outbound)) else []
    if not events or not set(events) <= set(WebhookEvent):
        faults.append(Fault(("events",), "At least one of the events."))
    if faults:
        raise Invalid(faults)
    return url


def _find_url_fault(url: str, outbound: Outbound) -> str | None:
    if not is_http_address(url) or not url.isascii() or not url.isprintable() or " " in url or len(url) > URL_LIMIT:
        return f"An address that begins with https:// or http://, in ASCII, of at most {URL_LIMIT} characters."
    parts = urlsplit(url)
    if parts.username is not None or parts.fragment:
        return "An address without a name, a password or a # in it; the signature says who sends."
    try:
        outbound.check_host(parts.hostname or "")
    except NotPublic:
        return "A public address: this one leads into a private network, which the administrator may allow."
    except Denied:
        return "Another address: the administrator does not allow webhooks to this one."
    return None
