"""Verifies the address of whoever is signed in: sends the link that proves it, and what stands behind that link."""

from flask import current_app, flash, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.accounts import verification
from webapp.core.accounts.verification import NoVerification
from webapp.core.bidi import isolate
from webapp.core.mail import MailNotSent
from webapp.core.mail_limits import MailLimitReached
from webapp.dashboard import notices
from webapp.dashboard.auth import current_actor
from webapp.dashboard.forms import redirect_with_message
from webapp.dashboard.headers import keep_address_secret
from webapp.dashboard.profile import pages


@pages.post("/verification")
def request_verification() -> AnyResponse:
    """Send the link, and say on the profile what became of it."""
    server = current_app.config["MAIL_SERVER"]
    if g.user.email_verified_at is not None:
        return redirect_with_message("Your address is verified.", ".show_profile")
    if server is None:
        return _redirect_with_problem("This board doesn't send mail. Ask its administrator to verify your address.")
    try:
        secret = verification.request_link(g.user, current_app.config["SECRET_KEY"], by=current_actor())
        notices.send_verification_link(server, g.user, secret)
    except MailLimitReached as error:
        return _redirect_with_problem(str(error))
    except MailNotSent as error:
        return _redirect_with_problem(f"The mail to {isolate(g.user.email)} was not sent: {error}. Try again later.")
    return redirect_with_message(
        f"We sent a link to {isolate(g.user.email)}. Open it in this browser within a day.", ".show_profile"
    )


def _redirect_with_problem(text: str) -> AnyResponse:
    flash(text, "problem")
    return redirect(url_for(".show_profile"), code=303)


@pages.get("/verification/<verification_secret>")
def show_verification(verification_secret: str) -> AnyResponse:
    """Ask before anything is verified: programs that look through mail open links, too."""
    try:
        verification.require_link(g.user, verification_secret, current_app.config["SECRET_KEY"])
    except NoVerification:
        return _gone_page()
    html = render_template("profile/verification.html", secret=verification_secret)
    return keep_address_secret(current_app.make_response(html))


@pages.post("/verification/<verification_secret>")
def verify_address(verification_secret: str) -> AnyResponse:
    key = current_app.config["SECRET_KEY"]
    try:
        verification.verify_by_link(g.user, verification_secret, key, by=current_actor())
    except NoVerification:
        return _gone_page()
    return redirect_with_message("Your address is verified.", ".show_profile")


def _gone_page() -> AnyResponse:
    response = current_app.make_response((render_template("profile/verification_gone.html"), 404))
    return keep_address_secret(response)
