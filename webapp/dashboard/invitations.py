"""An invitation behind its link, outside any workspace: shown, and accepted."""

from contextlib import suppress

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo

from webapp.core import audit
from webapp.core.accounts import accounts
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.bidi import isolate
from webapp.core.errors import Invalid
from webapp.core.models import Invitation
from webapp.core.workspaces import invitations
from webapp.core.workspaces.invitations import NewAccountPolicy, NoInvitation
from webapp.dashboard.auth import current_actor, load_session, start_session
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.headers import keep_address_secret

pages = Blueprint("invitations", __name__, url_prefix="/invitations")
pages.after_request(keep_address_secret)


class NewAccountForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Your name")
    password = PasswordField("Password")
    again = PasswordField("Confirm password", [EqualTo("password", "The two passwords are not the same.")])


@pages.get("/<secret>")
def show_invitation(secret: str) -> AnyResponse:
    load_session()
    return _invitation_page(secret, NewAccountForm())


def _invitation_page(secret: str, form: NewAccountForm, status: int = 200) -> Response:
    try:
        invitation = invitations.get_by_secret(secret)
    except NoInvitation:
        return Response(render_template("invitations/gone.html"), 404)
    inviter = audit.get_names([invitation.created_by])[invitation.created_by]
    html = render_template(
        "invitations/page.html",
        invitation=invitation,
        secret=secret,
        inviter=inviter,
        may_create_account=_policy().allows(invitation.email),
        form=form,
    )
    return Response(html, status)


@pages.post("/<secret>")
def accept_invitation(secret: str) -> AnyResponse:
    load_session()
    try:
        invitation = invitations.get_by_secret(secret)
        if g.user is None:
            return _accept_with_new_account(secret, invitation)
        invitations.accept(secret, g.user, by=current_actor())
    except NoInvitation:
        return _invitation_page(secret, NewAccountForm())
    return _welcome(invitation)


def _accept_with_new_account(secret: str, invitation: Invitation) -> AnyResponse:
    if accounts.has_account(invitation.email) or not _policy().allows(invitation.email):
        return redirect(url_for("auth.show_login", next=url_for(".show_invitation", secret=secret)), code=303)
    form = NewAccountForm()
    if not form.validate():
        return _invitation_page(secret, form, 422)
    password = form.password.data or ""
    try:
        invitations.accept_as_new(secret, form.name.data or "", password, policy=_policy(), address=request.remote_addr)
    except Invalid as error:
        show_faults(form, error)
        return _invitation_page(secret, form, 422)
    except TooManyAttempts as error:
        form.password.errors = [str(error)]
        response = _invitation_page(secret, form, 429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    with suppress(TooManyAttempts):  # Then they sign in later, at the login.
        start_session(invitation.email, password)
    return _welcome(invitation)


def _policy() -> NewAccountPolicy:
    policy: NewAccountPolicy = current_app.config["INVITE_NEW_ACCOUNTS"]
    return policy


def _welcome(invitation: Invitation) -> AnyResponse:
    workspace = invitation.workspace
    return redirect_with_message(f"Welcome to {isolate(workspace.name)}.", "workspace.list_jobs", slug=workspace.slug)
