"""Everybody's own page: their password, and the browsers in which they are signed in."""

import uuid

from flask import Blueprint, Response, current_app, g, render_template, session
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField
from wtforms.validators import EqualTo

from webapp.core.accounts import accounts, attempts, sessions
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.errors import Invalid
from webapp.dashboard import notices
from webapp.dashboard.auth import current_actor, forget_pages, get_idle_timeout, keep_secret, require_login
from webapp.dashboard.browser_names import describe_browser
from webapp.dashboard.forms import redirect_with_message, show_faults

pages = Blueprint("profile", __name__, url_prefix="/profile")

SIGN_INS_SHOWN = 20


class PasswordForm(FlaskForm):  # type: ignore[misc]
    present = PasswordField("Current password")
    password = PasswordField("New password")
    again = PasswordField("Confirm new password", [EqualTo("password", "The two passwords are not the same.")])


pages.before_request(require_login)


@pages.get("")
def show_profile() -> AnyResponse:
    return _profile_page(PasswordForm())


def _profile_page(form: PasswordForm, status: int = 200) -> Response:
    html = render_template(
        "profile/page.html",
        form=form,
        browser_sessions=sessions.list_sessions(g.user, idle_timeout=get_idle_timeout()),
        sign_ins=attempts.list_sign_ins(g.user, SIGN_INS_SHOWN),
        describe_browser=describe_browser,
        has_mail=current_app.config["MAIL_SERVER"] is not None,
    )
    return Response(html, status)


@pages.post("/password")
def change_password() -> AnyResponse:
    form = PasswordForm()
    if not form.validate():
        return _profile_page(form, 422)
    try:
        secret = accounts.change_password(
            g.session, form.present.data or "", form.password.data or "", by=current_actor()
        )
    except Invalid as error:
        show_faults(form, error)
        return _profile_page(form, 422)
    except TooManyAttempts as error:
        form.present.errors = [str(error)]
        response = _profile_page(form, 429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    keep_secret(secret)
    notices.send_password_notice(g.user)
    return redirect_with_message("Your password is changed. You are signed out on all other devices.", ".show_profile")


@pages.post("/sessions/<uuid:session_id>/end")
def end_session(session_id: uuid.UUID) -> AnyResponse:
    sessions.end_session(g.user, session_id, by=current_actor())
    if session_id == g.session.id:
        return _leave("You are signed out.")
    return redirect_with_message("That browser is signed out.", ".show_profile")


@pages.post("/sessions/end")
def end_every_session() -> AnyResponse:
    sessions.end_all_sessions(g.user, by=current_actor())
    return _leave("You are signed out everywhere.")


def _leave(text: str) -> AnyResponse:
    """Forget the ended session of this browser, and lead to the login."""
    session.clear()
    return forget_pages(redirect_with_message(text, "auth.show_login"))
