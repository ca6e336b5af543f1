"""Sets a forgotten password anew: asks for the address, and what stands behind the link that goes there."""

from flask import Blueprint, Response, current_app, render_template, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo

from webapp.core.accounts import resets
from webapp.core.accounts.attempts import make_visitor
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.accounts.resets import NoReset
from webapp.core.errors import Invalid
from webapp.dashboard import notices
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.headers import keep_address_secret
from webapp.dashboard.known_browsers import remember_browser

pages = Blueprint("password_reset", __name__, url_prefix="/password-reset")
pages.after_request(keep_address_secret)


class RequestForm(FlaskForm):  # type: ignore[misc]
    email = StringField("Email")


class NewPasswordForm(FlaskForm):  # type: ignore[misc]
    password = PasswordField("New password")
    again = PasswordField("Confirm new password", [EqualTo("password", "The two passwords are not the same.")])


# --- asking for the link -----------------------------------------------------------------------------------------


@pages.get("")
def show_request() -> AnyResponse:
    return _request_page(RequestForm())


@pages.post("")
def request_reset() -> AnyResponse:
    """Send a link, if there is an account; the answer is the same whether there is one or not."""
    form = RequestForm()
    if current_app.config["MAIL_SERVER"] is None or not form.validate():
        return _request_page(form, status=422)
    visitor = make_visitor(request.remote_addr, request.user_agent.string)
    try:
        new_reset = resets.request_reset(form.email.data or "", visitor)
    except TooManyAttempts as error:
        response = _request_page(form, problem=str(error), status=429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    if new_reset:
        notices.send_reset_link(new_reset.user, new_reset.secret, visitor.address)
    return _request_page(form, sent=True)


def _request_page(form: RequestForm, *, sent: bool = False, problem: str | None = None, status: int = 200) -> Response:
    has_mail = current_app.config["MAIL_SERVER"] is not None
    html = render_template("auth/reset_request.html", form=form, has_mail=has_mail, sent=sent, problem=problem)
    return Response(html, status)


# --- behind the link ---------------------------------------------------------------------------------------------


@pages.get("/<reset_secret>")
def show_reset(reset_secret: str) -> AnyResponse:
    return _reset_page(reset_secret, NewPasswordForm())


@pages.post("/<reset_secret>")
def reset_password(reset_secret: str) -> AnyResponse:
    form = NewPasswordForm()
    if not form.validate():
        return _reset_page(reset_secret, form, 422)
    try:
        user = resets.reset_password(reset_secret, form.password.data or "", address=request.remote_addr)
    except NoReset:
        return _reset_page(reset_secret, form)
    except Invalid as error:
        show_faults(form, error)
        return _reset_page(reset_secret, form, 422)
    except TooManyAttempts as error:
        form.password.errors = [str(error)]
        response = _reset_page(reset_secret, form, 429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    notices.send_password_notice(user)
    # Whoever has the mailbox is no stranger: guesses of others do not hold up the sign-in that comes next.
    remember_browser(user.id)
    return redirect_with_message("Your password is changed. Sign in with the new one.", "auth.show_login")


def _reset_page(reset_secret: str, form: NewPasswordForm, status: int = 200) -> Response:
    try:
        user = resets.get_user(reset_secret)
    except NoReset:
        return Response(render_template("auth/reset_gone.html"), 404)
    return Response(render_template("auth/reset.html", form=form, user=user, secret=reset_secret), status)
