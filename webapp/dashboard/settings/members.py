"""The members of a workspace, among its settings: every member may see them; what else one may do, one's role says."""

import uuid

from flask import Response, current_app, flash, g, redirect, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import EmailField, RadioField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from webapp.core import audit
from webapp.core.errors import Fault, Invalid
from webapp.core.models import Role
from webapp.core.workspaces import invitations, members
from webapp.core.workspaces import members as people
from webapp.dashboard.auth import me
from webapp.dashboard.forms import saved
from webapp.dashboard.settings import member_pages, settings_page


class InvitationForm(FlaskForm):  # type: ignore[misc]
    email = EmailField("E-mail")
    role = RadioField(
        "As",
        choices=[
            SelectChoice(Role.MEMBER.value, "member: sees jobs and cancels them"),
            SelectChoice(Role.ADMIN.value, "admin: may also change the settings"),
        ],
        default=Role.MEMBER.value,
    )


@member_pages.get("")
def list_members() -> AnyResponse:
    return member_page(InvitationForm())


def member_page(form: InvitationForm, status: int = 200) -> Response:
    """Who is there; and for those who may invite, whom they invited, and the form."""
    invited = invitations.list_open(g.workspace.id) if g.membership.role.can_manage else []
    return settings_page(
        "settings/members.html",
        status=status,
        members=members.list_members(g.workspace.id),
        form=form,
        invited=invited,
        names=audit.get_names(invitation.created_by for invitation in invited),
        mails=current_app.config["MAIL_SERVER"] is not None,
    )


@member_pages.post("/<uuid:user_id>/role")
def change_role(user_id: uuid.UUID) -> AnyResponse:
    member = people.change_role(g.membership, user_id, _role(), by=me())
    return saved(f"{member.user.name} is {people.with_article(member.role)} now.", ".list_members")


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        raise Invalid([Fault(("role",), "Choose admin or member.")]) from None


@member_pages.get("/<uuid:user_id>/remove")
def confirm_remove_member(user_id: uuid.UUID) -> AnyResponse:
    other = people.get(g.workspace.id, user_id)
    people.require_may_remove(g.membership, other)
    return settings_page("settings/member_remove.html", other=other)


@member_pages.post("/<uuid:user_id>/remove")
def remove_member(user_id: uuid.UUID) -> AnyResponse:
    gone = people.remove(g.membership, user_id, by=me())
    return saved(f"{gone.user.name} is no longer in {g.workspace.name}.", ".list_members")


@member_pages.get("/<uuid:user_id>/transfer")
def confirm_transfer_ownership(user_id: uuid.UUID) -> AnyResponse:
    other = people.get(g.workspace.id, user_id)
    people.require_may_transfer(g.membership, other)
    return settings_page("settings/member_transfer.html", other=other)


@member_pages.post("/<uuid:user_id>/transfer")
def transfer_ownership(user_id: uuid.UUID) -> AnyResponse:
    owner = people.transfer(g.membership, user_id, by=me())
    return saved(f"{owner.user.name} owns {g.workspace.name} now; you are an admin.", ".list_members")


@member_pages.get("/leave")
def confirm_leave_workspace() -> AnyResponse:
    people.require_may_leave(g.membership)
    return settings_page("settings/member_leave.html")


@member_pages.post("/leave")
def leave_workspace() -> AnyResponse:
    people.leave(g.membership, by=me())
    flash(f"You left {g.workspace.name}.")
    return redirect(url_for("home.show_home", all=""), code=303)
