"""Everybody's own page: another password, and where one is signed in."""

import re
import uuid

from flask import Blueprint, Response, flash, g, redirect, render_template, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField
from wtforms.validators import EqualTo

from webapp.core.accounts import accounts, sessions
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.errors import Invalid
from webapp.dashboard import auth
from webapp.dashboard.auth import me
from webapp.dashboard.forms import saved, show_faults

pages = Blueprint("profile", __name__, url_prefix="/profile")

_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone|iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser(user_agent: str | None) -> str:
    """What a browser calls itself, in short words: ``Firefox on Linux``. Each one names its forebears after itself."""
    text = user_agent or ""
    name = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if re.search(mark, text)), None)
    if name is None:
        return text.partition("/")[0][:40] or "unknown browser"
    return f"{name} on {system}" if system else name


class PasswordForm(FlaskForm):  # type: ignore[misc]
    present = PasswordField("Present password")
    password = PasswordField("New password")
    again = PasswordField("The new password again", [EqualTo("password", "The two passwords are not the same.")])


@pages.before_request
def required() -> AnyResponse | None:
    return auth.required()


@pages.get("")
def show_profile() -> AnyResponse:
    return _page(PasswordForm())


def _page(form: PasswordForm, status: int = 200) -> Response:
    known = sessions.list_sessions(g.user)
    return Response(render_template("profile/page.html", form=form, sessions=known, browser=browser), status)


@pages.post("/password")
def change_password() -> AnyResponse:
    form = PasswordForm()
    if not form.validate():
        return _page(form, 422)
    try:
        accounts.change_password(g.session, form.present.data or "", form.password.data or "", by=me())
    except Invalid as refusal:
        show_faults(form, refusal)
        return _page(form, 422)
    except TooManyAttempts as refusal:
        form.present.errors = [str(refusal)]
        answer = _page(form, 429)
        answer.headers["Retry-After"] = str(refusal.retry_after)
        return answer
    return saved("The new password is saved; you are signed out everywhere else.", ".show_profile")


@pages.post("/sessions/<uuid:session_id>/end")
def end_session(session_id: uuid.UUID) -> AnyResponse:
    sessions.end_session(g.user, session_id, by=me())
    if session_id == g.session.id:
        return _out("You are signed out.")
    return saved("That browser is signed out.", ".show_profile")


@pages.post("/sessions/end")
def end_every_session() -> AnyResponse:
    sessions.end_all_sessions(g.user, by=me())
    return _out("You are signed out everywhere.")


def _out(text: str) -> AnyResponse:
    session.clear()
    flash(text)
    return redirect(url_for("auth.show_login"), code=303)
