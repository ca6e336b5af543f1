"""The webhooks of a workspace, among its settings: all of them, one with its messages, and what is done with it."""

import uuid
from datetime import datetime, timedelta

from flask import Response, g, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SelectMultipleField, URLField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.widgets import CheckboxInput

from webapp.core import audit, clock
from webapp.core.errors import Invalid
from webapp.core.models import WebhookEndpoint, WebhookEvent
from webapp.core.webhooks import endpoints, history
from webapp.core.workspaces import sponsors
from webapp.dashboard.auth import current_actor
from webapp.dashboard.confirmation import requires_password
from webapp.dashboard.forms import NO_MOMENT, MomentField, redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, secret_page, settings_page
from webapp.extensions import outbound

EVENTS = {
    WebhookEvent.COMPLETED: "a job completed",
    WebhookEvent.FAILED: "a job failed, or ran too long",
    WebhookEvent.CANCELED: "a job was canceled",
    WebhookEvent.LOST: "no heartbeat; may recover",
}


class WebhookForm(FlaskForm):  # type: ignore[misc]
    url = URLField("Address")
    events = SelectMultipleField(
        "Events",
        choices=[SelectChoice(event.value, words) for event, words in EVENTS.items()],
        option_widget=CheckboxInput(),
        validate_choice=False,
    )


class RedeliveryForm(FlaskForm):  # type: ignore[misc]
    since = MomentField("Failed since (UTC)")


# --- all of them -------------------------------------------------------------------------------------------------


@manager_pages.get("/webhooks")
def list_webhooks() -> AnyResponse:
    return _webhooks_page(WebhookForm(events=[event.value for event in WebhookEvent]))


def _webhooks_page(form: WebhookForm, status: int = 200) -> AnyResponse:
    webhooks = endpoints.list_endpoints(g.workspace.id)
    return settings_page(
        "settings/webhooks.html",
        status=status,
        form=form,
        endpoints=webhooks,
        without_sponsor=sponsors.list_without_sponsor(g.workspace.id, WebhookEndpoint),
        newest=history.newest_by_endpoint(webhooks),
        limit=endpoints.get_limit(g.workspace.id),
    )


@manager_pages.post("/webhooks")
@requires_password
def create_webhook() -> AnyResponse:
    form = WebhookForm()
    try:
        endpoint = endpoints.create(
            g.membership, form.url.data or "", form.events.data or (), outbound=outbound(), by=current_actor()
        )
    except Invalid as error:
        show_faults(form, error)
        return _webhooks_page(form, 422)
    return _secret_page(endpoint)


def _secret_page(endpoint: WebhookEndpoint) -> AnyResponse:
    """Show a new secret, once. Behind a redirect it would travel in an address or a cookie."""
    return secret_page("settings/webhook_secret.html", endpoint=endpoint)


# --- one ---------------------------------------------------------------------------------------------------------


@manager_pages.get("/webhooks/<uuid:webhook_id>")
def show_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    return _webhook_page(endpoints.get(g.workspace.id, webhook_id))


def _webhook_page(
    endpoint: WebhookEndpoint,
    form: WebhookForm | None = None,
    redelivery_form: RedeliveryForm | None = None,
    status: int = 200,
) -> AnyResponse:
    """Show a webhook with its messages; the forms are those that were sent and have faults, if any."""
    failed_only = "failed" in request.args
    deliveries, older = history.list_deliveries(
        endpoint.id, failed=failed_only, before=request.args.get("before", type=uuid.UUID)
    )
    return settings_page(
        "settings/webhook.html",
        status=status,
        endpoint=endpoint,
        form=form or WebhookForm(formdata=None, url=endpoint.url, events=endpoint.events),
        redelivery_form=redelivery_form or RedeliveryForm(formdata=None, since=_suggested_since(endpoint)),
        failed_only=failed_only,
        deliveries=deliveries,
        older=older,
        is_without_sponsor=endpoint.id in sponsors.list_without_sponsor(g.workspace.id, WebhookEndpoint),
        names=audit.get_names([endpoint.created_by, endpoint.sponsor_ref]),
    )


def _suggested_since(endpoint: WebhookEndpoint) -> datetime:
    """Return since when somebody who mended a receiver most likely misses messages: a little before the first failure.

    A day ago, where nothing fails now.
    """
    since = (
        endpoint.failing_since - timedelta(minutes=15) if endpoint.failing_since else clock.now() - timedelta(days=1)
    )
    return since.replace(second=0, microsecond=0)


@manager_pages.post("/webhooks/<uuid:webhook_id>")
@requires_password
def update_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    form, former = WebhookForm(), endpoints.get(g.workspace.id, webhook_id).url
    try:
        endpoint = endpoints.update(
            g.membership,
            webhook_id,
            form.url.data or "",
            form.events.data or (),
            outbound=outbound(),
            by=current_actor(),
        )
    except Invalid as error:
        show_faults(form, error)
        return _webhook_page(endpoints.get(g.workspace.id, webhook_id), form, status=422)
    if endpoint.url != former:
        return _secret_page(endpoint)
    return _back_to_webhook("The webhook is saved.", webhook_id)


@manager_pages.post("/webhooks/<uuid:webhook_id>/secret")
@requires_password
def rotate_webhook_secret(webhook_id: uuid.UUID) -> AnyResponse:
    return _secret_page(endpoints.rotate_secret(g.membership, webhook_id, by=current_actor()))


@manager_pages.post("/webhooks/<uuid:webhook_id>/enable")
@requires_password
def enable_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    endpoints.enable(g.membership, webhook_id, by=current_actor())
    return _back_to_webhook("The webhook is enabled: it is told of what happens from now on.", webhook_id)


def _back_to_webhook(text: str, webhook_id: uuid.UUID) -> AnyResponse:
    return redirect_with_message(text, ".show_webhook", webhook_id=webhook_id)


# --- its messages ------------------------------------------------------------------------------------------------


@manager_pages.post("/webhooks/<uuid:webhook_id>/ping")
def ping_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    history.ping(g.membership, webhook_id, by=current_actor())
    return _back_to_webhook("A test message is on its way. Reload this page to see what comes back.", webhook_id)


@manager_pages.get("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/body")
def show_delivery_body(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> AnyResponse:
    endpoints.get(g.workspace.id, webhook_id)
    return Response(history.get_body(webhook_id, delivery_id), mimetype="application/json")


@manager_pages.post("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/again")
def redeliver_message(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> AnyResponse:
    history.redeliver(g.membership, webhook_id, delivery_id, by=current_actor())
    return _back_to_webhook("The message is sent again. Reload this page to see what comes back.", webhook_id)


@manager_pages.post("/webhooks/<uuid:webhook_id>/again")
def redeliver_failed_messages(webhook_id: uuid.UUID) -> AnyResponse:
    form, endpoint = RedeliveryForm(), endpoints.get(g.workspace.id, webhook_id)
    if form.since.moment is None:
        form.since.errors = [NO_MOMENT]
        return _webhook_page(endpoint, redelivery_form=form, status=422)
    count = history.redeliver_failed(g.membership, webhook_id, form.since.moment, by=current_actor())
    sentences = {0: "No message has failed since then.", 1: "1 message is sent again."}
    return _back_to_webhook(sentences.get(count, f"{count:,} messages are sent again."), webhook_id)


# --- deleting ----------------------------------------------------------------------------------------------------


@manager_pages.get("/webhooks/<uuid:webhook_id>/delete")
def confirm_delete_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    endpoint = endpoints.get(g.workspace.id, webhook_id)
    back = url_for(".show_webhook", webhook_id=webhook_id)
    return settings_page("settings/webhook_delete.html", endpoint=endpoint, back=back)


@manager_pages.post("/webhooks/<uuid:webhook_id>/delete")
@requires_password
def delete_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    endpoints.delete(g.membership, webhook_id, by=current_actor())
    return redirect_with_message("The webhook and its messages are deleted.", ".list_webhooks")
