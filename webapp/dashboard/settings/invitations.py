"""The invitations of a workspace, on the page of its members: made, mailed and revoked."""

import uuid

from flask import current_app, g, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.bidi import isolate
from webapp.core.errors import Conflict, Invalid
from webapp.core.mail import MailNotSent, MailServer, shorten_name
from webapp.core.mail_limits import MailLimitReached
from webapp.core.models import Invitation
from webapp.core.workspaces import invitations
from webapp.core.workspaces.invitations import NewAccountPolicy
from webapp.dashboard.auth import current_actor
from webapp.dashboard.confirmation import requires_password
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import member_pages, secret_page
from webapp.dashboard.settings.members import BY_HAND, InvitationForm, members_page


@member_pages.post("/invitations")
@requires_password
def create_invitation() -> AnyResponse:
    """Invite somebody. The page itself answers: behind a redirect the link would travel in an address or a cookie."""
    form, server = InvitationForm(), current_app.config["MAIL_SERVER"]
    by_mail = server is not None and form.delivery.data != BY_HAND
    try:
        invitation, secret = invitations.create(
            g.membership, form.email.data or "", form.role.data or "", by_mail=by_mail, by=current_actor()
        )
    except Invalid as error:
        show_faults(form, error)
        return members_page(form, 422)
    except Conflict as error:
        form.email.errors = [str(error)]
        return members_page(form, 409)
    except MailLimitReached as error:
        form.email.errors = [f"{error} Or have the link shown to you, and pass it on."]
        return members_page(form, 429)
    link = current_app.config["PUBLIC_URL"] + url_for("invitations.show_invitation", secret=secret)
    mail_error = _mail_link(server, invitation, link) if by_mail else None
    policy: NewAccountPolicy = current_app.config["INVITE_NEW_ACCOUNTS"]
    return secret_page(
        "settings/invitation_made.html",
        invitation=invitation,
        # A link that went by mail is for who reads that mail alone.
        link=None if by_mail and mail_error is None else link,
        mail_error=mail_error,
        may_create_account=policy.allows(invitation.email),
    )


def _mail_link(server: MailServer, invitation: Invitation, link: str) -> str | None:
    """Send the link; return why it was not sent, in which case it may be shown."""
    sender = shorten_name(g.user.name, default="Somebody")
    # A slug is of letters, digits and hyphens alone.
    workspace = shorten_name(g.workspace.name, default=g.workspace.slug)
    text = render_template("mail/invitation.txt", invitation=invitation, link=link, sender=sender, workspace=workspace)
    subject = f"{isolate(sender)} invites you to {isolate(workspace)} on Callboard"
    try:
        server.send(invitation.email, subject, text)
    except MailNotSent as error:
        invitations.mark_shown(invitation)
        return str(error)
    return None


@member_pages.post("/invitations/<uuid:invitation_id>/revoke")
def revoke_invitation(invitation_id: uuid.UUID) -> AnyResponse:
    invitation = invitations.revoke(g.membership, invitation_id, by=current_actor())
    return redirect_with_message(f"The invitation for {isolate(invitation.email)} is revoked.", ".list_members")
