"""Tells people by mail what happened to their account, where mail is set up."""

from flask import current_app, render_template

from webapp.core.mail import MailServer, shorten_name
from webapp.core.models import BrowserSession, User
from webapp.dashboard.browser_names import describe_browser


def send_new_browser_notice(browser_session: BrowserSession) -> None:
    """Tell a person that somebody signed in to their account with a browser that nobody had used for it before."""
    text = render_template(
        "mail/new_browser.txt",
        user=browser_session.user,
        name=_name_of(browser_session.user),
        browser=describe_browser(browser_session.user_agent),
        address=browser_session.address,
        at=browser_session.created_at,
        public_url=current_app.config["PUBLIC_URL"],
    )
    _send(browser_session.user, "New sign-in to Callboard", text)


def send_password_notice(user: User) -> None:
    """Tell a person that their account has a new password."""
    public_url = current_app.config["PUBLIC_URL"]
    text = render_template("mail/new_password.txt", user=user, name=_name_of(user), public_url=public_url)
    _send(user, "Your Callboard password was changed", text)


def send_reset_link(user: User, secret: str, address: str) -> None:
    """Send the link by which a person sets a new password; ``address`` is from where it was asked for."""
    public_url = current_app.config["PUBLIC_URL"]
    text = render_template(
        "mail/password_reset.txt",
        user=user,
        name=_name_of(user),
        secret=secret,
        address=address,
        public_url=public_url,
    )
    _send(user, "Reset your Callboard password", text)


def send_verification_link(server: MailServer, user: User, secret: str) -> None:
    """Send the link by which a person verifies the address of their account. Raises ``MailNotSent``."""
    public_url = current_app.config["PUBLIC_URL"]
    text = render_template(
        "mail/verification.txt", user=user, name=_name_of(user), secret=secret, public_url=public_url
    )
    server.send(user.email, "Verify your email address for Callboard", text)


def _name_of(user: User) -> str:
    """Return a name as a mail may greet by it: whoever made an account for another's address chose its name."""
    return shorten_name(user.name, default="there")


def _send(user: User, subject: str, text: str) -> None:
    server: MailServer | None = current_app.config["MAIL_SERVER"]
    if server is not None:
        server.send_later(user.email, subject, text)
