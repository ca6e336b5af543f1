"""Invitations: made and revoked on the page of members; shown and accepted behind their link, outside any workspace."""

import uuid
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, current_app, flash, g, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo

from webapp.core import audit
from webapp.core.accounts import accounts
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.errors import Invalid
from webapp.core.mail import MailNotSent, MailServer
from webapp.core.models import Invitation
from webapp.core.workspaces import invitations
from webapp.core.workspaces.invitations import NoInvitation
from webapp.dashboard import sign_in
from webapp.dashboard.members import InvitationForm, member_page
from webapp.dashboard.scope import workspace
from webapp.dashboard.settings import saved, settings_page, show_faults
from webapp.dashboard.sign_in import me

pages = Blueprint("invitations", __name__, url_prefix="/invitations")


@workspace.post("/settings/members/invitations")
def invite() -> AnyResponse:
    """The page itself answers: behind a redirect the link would have to travel in an address or a cookie."""
    form = InvitationForm()
    try:
        made, secret = invitations.create(g.membership, form.email.data or "", form.role.data or "", by=me())
    except Invalid as refusal:
        show_faults(form, refusal)
        return member_page(form, 422)
    link = current_app.config["PUBLIC_URL"] + url_for("invitations.show", secret=secret)
    answer = settings_page("settings/invitation_made.html", invitation=made, link=link, **_mailed(made, link))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _mailed(invitation: Invitation, link: str) -> dict[str, Any]:
    """Send the link if mail is set up; whether it was sent (null: there is no mail), and if not, why."""
    server: MailServer | None = current_app.config["MAIL_SERVER"]
    if server is None:
        return {"mailed": None}
    subject = f"{g.user.name} invites you to {g.workspace.name} on Callboard"
    try:
        server.send(invitation.email, subject, render_template("mail/invitation.txt", invitation=invitation, link=link))
    except MailNotSent as failure:
        return {"mailed": False, "why": str(failure)}
    return {"mailed": True}


@workspace.post("/settings/members/invitations/<uuid:invitation_id>/revoke")
def revoke_invitation(invitation_id: uuid.UUID) -> AnyResponse:
    gone = invitations.revoke(g.membership, invitation_id, by=me())
    return saved(f"The invitation for {gone.email} is revoked.", ".members")


# --- behind the link ---------------------------------------------------------------------------------------------


class NewAccountForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Your name")
    password = PasswordField("Password")
    again = PasswordField("The password again", [EqualTo("password", "The two passwords are not the same.")])


@pages.after_request
def keep_the_link(answer: AnyResponse) -> AnyResponse:
    """The address is a secret: it goes into no cache, and into no Referer."""
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@pages.get("/<secret>")
def show(secret: str) -> AnyResponse:
    sign_in.load()
    return _page(secret, NewAccountForm())


@pages.post("/<secret>")
def accept(secret: str) -> AnyResponse:
    sign_in.load()
    try:
        invitation = invitations.get_by_secret(secret)
        if g.user is None:
            return _accept_as_new(secret, invitation)
        invitations.accept(secret, g.user, by=me())
    except NoInvitation:
        return _page(secret, NewAccountForm())
    return _welcome(invitation)


def _accept_as_new(secret: str, invitation: Invitation) -> AnyResponse:
    if accounts.has_account(invitation.email):
        return redirect(url_for("sign_in.login", next=url_for(".show", secret=secret)), code=303)
    form = NewAccountForm()
    if not form.validate():
        return _page(secret, form, 422)
    password = form.password.data or ""
    try:
        invitations.accept_as_new(secret, form.name.data or "", password, address=request.remote_addr)
    except Invalid as refusal:
        show_faults(form, refusal)
        return _page(secret, form, 422)
    with suppress(TooManyAttempts):  # Then they sign in later, at the login.
        sign_in.begin(invitation.email, password)
    return _welcome(invitation)


def _welcome(invitation: Invitation) -> AnyResponse:
    flash(f"Welcome to {invitation.workspace.name}.")
    return redirect(url_for("workspace.job_list", slug=invitation.workspace.slug), code=303)


def _page(secret: str, form: NewAccountForm, status: int = 200) -> Response:
    try:
        invitation = invitations.get_by_secret(secret)
    except NoInvitation:
        return Response(render_template("invitations/gone.html"), 404)
    by = audit.get_names([invitation.created_by])[invitation.created_by]
    known = accounts.has_account(invitation.email)
    told = render_template("invitations/page.html", invitation=invitation, secret=secret, by=by, known=known, form=form)
    return Response(told, status)
