"""The invitations of a workspace, on the page of its members: made, mailed and revoked."""

import uuid
from typing import Any

from flask import current_app, g, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.bidi import isolate
from webapp.core.errors import Invalid
from webapp.core.mail import MailNotSent, MailServer
from webapp.core.models import Invitation
from webapp.core.workspaces import invitations
from webapp.dashboard.auth import current_actor
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import member_pages, secret_page
from webapp.dashboard.settings.members import InvitationForm, members_page


@member_pages.post("/invitations")
def create_invitation() -> AnyResponse:
    """Invite somebody. The page itself answers: behind a redirect the link would travel in an address or a cookie."""
    form = InvitationForm()
    try:
        invitation, secret = invitations.create(
            g.membership, form.email.data or "", form.role.data or "", by=current_actor()
        )
    except Invalid as error:
        show_faults(form, error)
        return members_page(form, 422)
    link = current_app.config["PUBLIC_URL"] + url_for("invitations.show_invitation", secret=secret)
    return secret_page(
        "settings/invitation_made.html", invitation=invitation, link=link, **_mail_link(invitation, link)
    )


def _mail_link(invitation: Invitation, link: str) -> dict[str, Any]:
    """Send the link if mail is set up; return whether it was sent (``None``: there is no mail), and if not, why."""
    server: MailServer | None = current_app.config["MAIL_SERVER"]
    if server is None:
        return {"mail_sent": None}
    subject = f"{isolate(g.user.name)} invites you to {isolate(g.workspace.name)} on Callboard"
    try:
        server.send(invitation.email, subject, render_template("mail/invitation.txt", invitation=invitation, link=link))
    except MailNotSent as error:
        return {"mail_sent": False, "mail_error": str(error)}
    return {"mail_sent": True}


@member_pages.post("/invitations/<uuid:invitation_id>/revoke")
def revoke_invitation(invitation_id: uuid.UUID) -> AnyResponse:
    invitation = invitations.revoke(g.membership, invitation_id, by=current_actor())
    return redirect_with_message(f"The invitation for {isolate(invitation.email)} is revoked.", ".list_members")
