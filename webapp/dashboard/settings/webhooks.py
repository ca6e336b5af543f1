"""The webhooks of a workspace, among its settings: the list, one of them with its messages, and what its owner and
admins may do with it.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, g, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import DateTimeLocalField, SelectMultipleField, URLField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.widgets import CheckboxInput

from webapp.core import audit, clock
from webapp.core.errors import Invalid
from webapp.core.models import WebhookEndpoint, WebhookEvent
from webapp.core.webhooks import endpoints, history
from webapp.dashboard.auth import me
from webapp.dashboard.forms import saved, show_faults
from webapp.dashboard.settings import manager_pages, settings_page
from webapp.extensions import outbound

EVENTS = {
    WebhookEvent.COMPLETED: "a job completed",
    WebhookEvent.FAILED: "a job failed, or ran too long",
    WebhookEvent.CANCELED: "a job was canceled: the way to tell a runner that cannot ask",
    WebhookEvent.LOST: "a job's runner fell silent; it may yet speak again",
}


class WebhookForm(FlaskForm):  # type: ignore[misc]
    url = URLField("Address")
    events = SelectMultipleField(
        "Events",
        choices=[SelectChoice(event.value, words) for event, words in EVENTS.items()],
        option_widget=CheckboxInput(),
        validate_choice=False,
    )


class SinceForm(FlaskForm):  # type: ignore[misc]
    since = DateTimeLocalField("Failed since (UTC)")


# --- all of them -------------------------------------------------------------------------------------------------


@manager_pages.get("/webhooks")
def list_webhooks() -> AnyResponse:
    return _list(WebhookForm(events=[event.value for event in WebhookEvent]))


def _list(form: WebhookForm, status: int = 200) -> AnyResponse:
    webhooks = endpoints.list_endpoints(g.workspace.id)
    context = {"endpoints": webhooks, "last": history.newest_by_endpoint(webhooks), "limit": endpoints.LIMIT}
    return settings_page("settings/webhooks.html", status=status, form=form, **context)


@manager_pages.post("/webhooks")
def create_webhook() -> AnyResponse:
    form = WebhookForm()
    try:
        made = endpoints.create(g.membership, form.url.data or "", form.events.data or (), outbound=outbound(), by=me())
    except Invalid as refusal:
        show_faults(form, refusal)
        return _list(form, 422)
    return saved("The webhook is there. Give its secret to the receiver.", ".show_webhook", webhook_id=made.id)


# --- one ---------------------------------------------------------------------------------------------------------


@manager_pages.get("/webhooks/<uuid:webhook_id>")
def show_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    endpoint = endpoints.get(g.workspace.id, webhook_id)
    return _page(endpoint, WebhookForm(url=endpoint.url, events=endpoint.events), SinceForm(since=_since(endpoint)))


def _since(endpoint: WebhookEndpoint) -> datetime:
    """What somebody most likely means who has mended a receiver: from a little before the first failure on."""
    since = (
        endpoint.failing_since - timedelta(minutes=15) if endpoint.failing_since else clock.now() - timedelta(days=1)
    )
    return since.replace(second=0, microsecond=0)


def _page(endpoint: WebhookEndpoint, form: WebhookForm, since: SinceForm, status: int = 200) -> AnyResponse:
    failed = "failed" in request.args
    page, older = history.list_deliveries(endpoint.id, failed=failed, before=request.args.get("before", type=uuid.UUID))
    told: dict[str, Any] = {"endpoint": endpoint, "form": form, "since": since, "failed": failed}
    told |= {"deliveries": page, "older": older, "names": audit.get_names([endpoint.created_by])}
    return settings_page("settings/webhook.html", status=status, **told)


@manager_pages.post("/webhooks/<uuid:webhook_id>")
def update_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    form = WebhookForm()
    try:
        endpoints.update(
            g.membership, webhook_id, form.url.data or "", form.events.data or (), outbound=outbound(), by=me()
        )
    except Invalid as refusal:
        show_faults(form, refusal)
        endpoint = endpoints.get(g.workspace.id, webhook_id)
        return _page(endpoint, form, SinceForm(formdata=None, since=_since(endpoint)), 422)
    return _done("The webhook is saved.", webhook_id)


@manager_pages.post("/webhooks/<uuid:webhook_id>/enable")
def enable_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    endpoints.enable(g.membership, webhook_id, by=me())
    return _done("The webhook is enabled: it is told of what happens from now on.", webhook_id)


@manager_pages.post("/webhooks/<uuid:webhook_id>/ping")
def ping_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    history.ping(g.membership, webhook_id, by=me())
    return _done("A test message is on its way. Reload this page to see what comes back.", webhook_id)


@manager_pages.get("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/body")
def show_delivery_body(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> AnyResponse:
    endpoints.get(g.workspace.id, webhook_id)
    return Response(history.get_body(webhook_id, delivery_id), mimetype="application/json")


@manager_pages.post("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/again")
def redeliver_message(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> AnyResponse:
    history.redeliver(g.membership, webhook_id, delivery_id, by=me())
    return _done("The message is sent again. Reload this page to see what comes back.", webhook_id)


@manager_pages.post("/webhooks/<uuid:webhook_id>/again")
def redeliver_failed_messages(webhook_id: uuid.UUID) -> AnyResponse:
    form, endpoint = SinceForm(), endpoints.get(g.workspace.id, webhook_id)
    if form.since.data is None:
        form.since.errors = ["A day and a time, as in 2026-11-24 14:02."]
        return _page(endpoint, WebhookForm(formdata=None, url=endpoint.url, events=endpoint.events), form, 422)
    since = form.since.data.replace(tzinfo=UTC)
    count = history.redeliver_failed(g.membership, webhook_id, since, by=me())
    words = {0: "No message has failed since then.", 1: "1 message is sent again."}
    return _done(words.get(count, f"{count:,} messages are sent again."), webhook_id)


def _done(text: str, webhook_id: uuid.UUID) -> AnyResponse:
    return saved(text, ".show_webhook", webhook_id=webhook_id)


# --- deleting ----------------------------------------------------------------------------------------------------


@manager_pages.get("/webhooks/<uuid:webhook_id>/delete")
def confirm_delete_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    endpoint = endpoints.get(g.workspace.id, webhook_id)
    return settings_page("settings/webhook_delete.html", endpoint=endpoint)


@manager_pages.post("/webhooks/<uuid:webhook_id>/delete")
def delete_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    endpoints.delete(g.membership, webhook_id, by=me())
    return saved("The webhook and its messages are deleted.", ".list_webhooks")
