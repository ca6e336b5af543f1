"""The invitations of a workspace, on the page of its members: made, mailed and revoked."""

import uuid
from typing import Any

from flask import current_app, g, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.errors import Invalid
from webapp.core.mail import MailNotSent, MailServer
from webapp.core.models import Invitation
from webapp.core.workspaces import invitations
from webapp.dashboard.auth import me
from webapp.dashboard.forms import saved, show_faults
from webapp.dashboard.settings import member_pages, settings_page
from webapp.dashboard.settings.members import InvitationForm, member_page


@member_pages.post("/invitations")
def create_invitation() -> AnyResponse:
    """The page itself answers: behind a redirect the link would have to travel in an address or a cookie."""
    form = InvitationForm()
    try:
        made, secret = invitations.create(g.membership, form.email.data or "", form.role.data or "", by=me())
    except Invalid as refusal:
        show_faults(form, refusal)
        return member_page(form, 422)
    link = current_app.config["PUBLIC_URL"] + url_for("invitations.show_invitation", secret=secret)
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


@member_pages.post("/invitations/<uuid:invitation_id>/revoke")
def revoke_invitation(invitation_id: uuid.UUID) -> AnyResponse:
    gone = invitations.revoke(g.membership, invitation_id, by=me())
    return saved(f"The invitation for {gone.email} is revoked.", ".list_members")
