"""The members of a workspace, among its settings: every member may see them; the core decides who may do what."""

import uuid

from flask import Response, current_app, g, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import RadioField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from webapp.core import audit
from webapp.core.bidi import isolate
from webapp.core.errors import Fault, Invalid
from webapp.core.models import Membership, Role
from webapp.core.workspaces import invitations, members, sponsors
from webapp.dashboard.auth import current_actor
from webapp.dashboard.confirmation import requires_password
from webapp.dashboard.forms import redirect_with_message
from webapp.dashboard.settings import member_pages, settings_page

BY_MAIL, BY_HAND = "mail", "link"


class InvitationForm(FlaskForm):  # type: ignore[misc]
    email = StringField("Email")
    role = RadioField(
        "Role",
        choices=[
            SelectChoice(Role.MEMBER.value, "member: sees jobs and cancels them"),
            SelectChoice(Role.ADMIN.value, "admin: may also change the settings"),
        ],
        default=Role.MEMBER.value,
    )
    delivery = RadioField(
        "Link",
        choices=[
            SelectChoice(BY_MAIL, "send it by email: it verifies the address"),
            SelectChoice(BY_HAND, "show it to me, and I pass it on"),
        ],
        default=BY_MAIL,
        validate_choice=False,
    )


@member_pages.get("")
def list_members() -> AnyResponse:
    return members_page(InvitationForm())


def members_page(form: InvitationForm, status: int = 200) -> Response:
    """Show who is there; and to those who may invite, whom they invited, and the form."""
    open_invitations = invitations.list_open(g.workspace.id) if g.membership.role.can_manage else []
    return settings_page(
        "settings/members.html",
        status=status,
        members=members.list_members(g.workspace.id),
        form=form,
        open_invitations=open_invitations,
        names=audit.get_names(invitation.created_by for invitation in open_invitations),
        has_mail=current_app.config["MAIL_SERVER"] is not None,
    )


@member_pages.post("/<uuid:user_id>/role")
@requires_password
def change_role(user_id: uuid.UUID) -> AnyResponse:
    member = members.change_role(g.membership, user_id, _requested_role(), keep=_unticked(), by=current_actor())
    return redirect_with_message(
        f"{isolate(member.user.name)} is {members.with_article(member.role)} now.", ".list_members"
    )


def _requested_role() -> Role:
    """Return the role that the form names. Raises ``Invalid``."""
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        raise Invalid([Fault(("role",), "Choose admin or member.")]) from None


@member_pages.get("/<uuid:user_id>/role")
def confirm_demote_admin(user_id: uuid.UUID) -> AnyResponse:
    member = members.get(g.workspace.id, user_id)
    members.require_may_change_role(g.membership, member, Role.MEMBER)
    return _farewell_page("settings/member_demote.html", member)


def _farewell_page(template: str, member: Membership) -> Response:
    """Ask before somebody may no longer manage the workspace: what of their tokens and webhooks is to be revoked?"""
    sponsored = sponsors.list_sponsored(g.workspace.id, member.user)
    return settings_page(template, member=member, sponsored=sponsored, back=url_for(".list_members"))


def _unticked() -> set[uuid.UUID]:
    """Return the ids of the tokens and webhooks that the page listed and that are not to be revoked.

    What came to be since the page was shown is in neither list, and so is revoked.
    """
    listed, ticked = (request.form.getlist(name, type=uuid.UUID) for name in ("listed", "revoke"))
    return set(listed) - set(ticked)


@member_pages.get("/<uuid:user_id>/remove")
def confirm_remove_member(user_id: uuid.UUID) -> AnyResponse:
    member = members.get(g.workspace.id, user_id)
    members.require_may_remove(g.membership, member)
    return _farewell_page("settings/member_remove.html", member)


@member_pages.post("/<uuid:user_id>/remove")
@requires_password
def remove_member(user_id: uuid.UUID) -> AnyResponse:
    member = members.remove(g.membership, user_id, keep=_unticked(), by=current_actor())
    return redirect_with_message(
        f"{isolate(member.user.name)} is no longer in {isolate(g.workspace.name)}.", ".list_members"
    )


@member_pages.get("/<uuid:user_id>/transfer")
def confirm_transfer_ownership(user_id: uuid.UUID) -> AnyResponse:
    member = members.get(g.workspace.id, user_id)
    members.require_may_transfer(g.membership, member)
    return settings_page("settings/member_transfer.html", member=member, back=url_for(".list_members"))


@member_pages.post("/<uuid:user_id>/transfer")
@requires_password
def transfer_ownership(user_id: uuid.UUID) -> AnyResponse:
    owner = members.transfer(g.membership, user_id, by=current_actor())
    return redirect_with_message(
        f"{isolate(owner.user.name)} owns {isolate(g.workspace.name)} now; you are an admin.", ".list_members"
    )


@member_pages.get("/leave")
def confirm_leave_workspace() -> AnyResponse:
    members.require_may_leave(g.membership)
    return _farewell_page("settings/member_leave.html", g.membership)


@member_pages.post("/leave")
def leave_workspace() -> AnyResponse:
    members.leave(g.membership, keep=_unticked(), by=current_actor())
    return redirect_with_message(f"You left {isolate(g.workspace.name)}.", "home.show_home", all="")
