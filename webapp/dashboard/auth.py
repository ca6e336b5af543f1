"""Sign people in and out, and know who is here. The cookie carries a secret; what it is worth, the core says."""

from datetime import timedelta

from flask import Blueprint, Response, current_app, flash, g, redirect, render_template, request, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from webapp.core.accounts import sessions
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.accounts.sessions import WrongPassword
from webapp.core.audit import Actor
from webapp.dashboard import hx, notices
from webapp.dashboard.known_browsers import read_browsers, remember_browser

pages = Blueprint("auth", __name__)


class LoginForm(FlaskForm):  # type: ignore[misc]
    email = StringField("Email", [InputRequired("Your email address.")])
    password = PasswordField("Password", [InputRequired("Your password.")])


# --- who is here -------------------------------------------------------------------------------------------------


def load_session() -> None:
    """Find out who is here: ``g.session`` and ``g.user``, or ``None``. A poll is no sign of a person."""
    g.session = g.user = None
    if secret := session.get("secret"):
        g.session = sessions.find_session(secret, idle_timeout=get_idle_timeout())
    if g.session:
        g.user = g.session.user
        if not hx.is_fragment():
            sessions.touch(g.session)


def get_idle_timeout() -> timedelta:
    """Return how long after its last page a session ends."""
    return timedelta(hours=current_app.config["SESSION_IDLE_HOURS"])


def require_login() -> AnyResponse | None:
    """Return ``None`` if somebody is signed in, else the answer that leads to the login."""
    load_session()
    if g.user:
        return None
    if session.pop("secret", None):
        flash("Your session ended. Sign in to go on.", "problem")
        return forget_pages(redirect_to_login())
    return redirect_to_login()


def redirect_to_login() -> AnyResponse:
    """Lead to the login, and back afterwards to the page of this request."""
    if hx.is_fragment():
        return hx.redirect_page(url_for("auth.show_login", next=hx.current_path()))
    path = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.show_login", next=None if path == "/" else path), code=303)


def current_actor() -> Actor:
    """Return the signed-in person, as the core's verbs want to know them."""
    return Actor(g.user.ref, request.remote_addr)


# --- in ----------------------------------------------------------------------------------------------------------


@pages.get("/login")
def show_login() -> AnyResponse:
    load_session()
    return _redirect_to_next() if g.user else _login_page(LoginForm())


@pages.post("/login")
def log_in() -> AnyResponse:
    form = LoginForm()
    if not form.validate_on_submit():
        return _login_page(form, "Fill in your email address and your password.", 422)
    try:
        start_session(form.email.data or "", form.password.data or "")
    except WrongPassword as error:
        return _login_page(form, str(error), 422)
    except TooManyAttempts as error:
        response = _login_page(form, str(error), 429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    return _redirect_to_next()


def _login_page(form: LoginForm, problem: str | None = None, status: int = 200) -> Response:
    return Response(render_template("auth/login.html", form=form, problem=problem), status)


def _redirect_to_next() -> AnyResponse:
    """Lead to the ``next`` of the address if it is a path of this board, else home."""
    path = request.args.get("next", "")
    # What begins with two slashes, or has a backslash, a browser takes for another host.
    is_ours = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return redirect(path if is_ours else url_for("home.show_home"), code=303)


def start_session(email: str, password: str) -> None:
    """Sign this browser in; whoever was signed in with it is signed out. Raises what ``sessions.sign_in`` raises."""
    signed_in = sessions.sign_in(
        email,
        password,
        address=request.remote_addr,
        user_agent=request.user_agent.string,
        browsers=read_browsers(),
    )
    _end_session()
    keep_secret(signed_in.secret)
    remember_browser(signed_in.browser_session.user_id)
    if signed_in.is_new_browser:
        notices.send_new_browser_notice(signed_in.browser_session)


def keep_secret(secret: str) -> None:
    """Put the secret of this browser's session into a fresh cookie; nothing of the former cookie is good any more."""
    session.clear()
    session["secret"] = secret
    session.permanent = True


# --- out ---------------------------------------------------------------------------------------------------------


@pages.post("/logout")
def log_out() -> AnyResponse:
    _end_session()
    return forget_pages(redirect(url_for(".show_login"), code=303))


def forget_pages(response: AnyResponse) -> AnyResponse:
    """Have the browser drop the pages that it keeps for Back; where it does not know how, ``no-store`` has to do."""
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _end_session() -> None:
    """End the session of this browser, if it has one; a copy of its cookie is then worth nothing."""
    load_session()
    if g.session:
        sessions.sign_out(g.session)
    session.clear()
