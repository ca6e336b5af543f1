"""The way in and out, and who is here. The cookie carries a secret; whether it is worth anything, the core says."""

from flask import Blueprint, Response, flash, g, redirect, render_template, request, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import EmailField, PasswordField
from wtforms.validators import InputRequired

from webapp.core.accounts import sessions
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.accounts.sessions import WrongPassword
from webapp.core.audit import Actor
from webapp.dashboard import hx

pages = Blueprint("auth", __name__)


class LoginForm(FlaskForm):  # type: ignore[misc]
    email = EmailField("E-mail", [InputRequired("Your e-mail address.")])
    password = PasswordField("Password", [InputRequired("Your password.")])


def load() -> None:
    """Find out who is here: ``g.session`` and ``g.user``, or null. A poll is no sign of a person."""
    g.session = g.user = None
    if secret := session.get("secret"):
        g.session = sessions.find_session(secret)
    if g.session:
        g.user = g.session.user
        if not hx.is_fragment():
            sessions.touch(g.session)


def required() -> AnyResponse | None:
    """Nothing for somebody who is signed in; for everybody else the answer that leads to the login."""
    load()
    if g.user:
        return None
    if session.pop("secret", None):
        flash("Your session ended. Sign in to go on.", "problem")
    return to_login()


def to_login() -> AnyResponse:
    """Lead to the login, and back afterwards to the page that was asked for."""
    if hx.is_fragment():
        return hx.leave_for(url_for("auth.show_login", next=hx.current_address()))
    asked = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.show_login", next=None if asked == "/" else asked), code=303)


def me() -> Actor:
    """The signed-in person, as the core's verbs want to know them."""
    return Actor(g.user.ref, request.remote_addr)


def _safe(address: str | None) -> str:
    """Where to go after the login: a path of this board, and nothing that a browser takes for another host."""
    if not address or not address.isprintable() or "\\" in address:
        return url_for("home.show_home")
    return address if address.startswith("/") and not address.startswith("//") else url_for("home.show_home")


@pages.get("/login")
def show_login() -> AnyResponse | str:
    load()
    if g.user:
        return redirect(_safe(request.args.get("next")), code=303)
    return render_template("sign_in/login.html", form=LoginForm(), problem=None)


@pages.post("/login")
def log_in() -> AnyResponse:
    form = LoginForm()
    if not form.validate_on_submit():
        return _again(form, "Fill in your e-mail address and your password.", 422)
    try:
        begin(form.email.data or "", form.password.data or "")
    except WrongPassword as error:
        return _again(form, str(error), 422)
    except TooManyAttempts as error:
        answer = _again(form, str(error), 429)
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    return redirect(_safe(request.args.get("next")), code=303)


def begin(email: str, password: str) -> None:
    """Sign this browser in; whoever was signed in with it is signed out. Raises what ``accounts.sign_in`` raises."""
    address = request.remote_addr or "unknown"
    _, secret = sessions.sign_in(email, password, address=address, user_agent=request.user_agent.string)
    _leave()
    session["secret"] = secret
    session.permanent = True


def _again(form: LoginForm, problem: str, status: int) -> Response:
    return Response(render_template("sign_in/login.html", form=form, problem=problem), status)


@pages.post("/logout")
def log_out() -> AnyResponse:
    _leave()
    return redirect(url_for("auth.show_login"), code=303)


def _leave() -> None:
    """End the session of this browser, if it has one; a copy of its cookie is then worth nothing."""
    load()
    if g.session:
        sessions.sign_out(g.session)
    session.clear()
