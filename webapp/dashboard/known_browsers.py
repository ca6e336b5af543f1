"""Marks a browser in which somebody has signed in, so that it is no stranger to that account the next time.

The mark is a signed cookie for each account, sent with the sign-in form alone. It opens nothing: it says that guesses
of strangers do not count here, and that a sign-in is no news to the account's owner.
"""

import secrets
import uuid
from collections.abc import Mapping
from datetime import timedelta

from flask import after_this_request, current_app, request, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from webapp.core import clock

LIFETIME = timedelta(days=365)


def read_browsers() -> Mapping[uuid.UUID, str]:
    """Return the accounts that have been signed in to with this browser, and what it is known by to each."""
    prefix = _cookie_name("")
    marks = (_read_mark(value) for name, value in request.cookies.items() if name.startswith(prefix))
    return dict(mark for mark in marks if mark)


def _read_mark(value: str) -> tuple[uuid.UUID, str] | None:
    try:
        (user_id, browser), signed_at = _serializer().loads(value, return_timestamp=True)
    except BadSignature:
        return None
    # Not by max_age, which refuses what another server has signed whose clock is a little ahead.
    return (uuid.UUID(user_id), browser) if clock.now() - signed_at < LIFETIME else None


def remember_browser(user_id: uuid.UUID) -> None:
    """Mark this browser as known to an account, by the name that it has there if it has one."""
    browser = read_browsers().get(user_id) or secrets.token_urlsafe(16)
    value = _serializer().dumps([user_id.hex, browser])

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            _cookie_name(user_id.hex[-12:]),
            value,
            max_age=LIFETIME,
            path=url_for("auth.show_login"),
            secure=current_app.config["SESSION_COOKIE_SECURE"],
            httponly=True,
            samesite="Lax",
        )
        return response


def _cookie_name(account: str) -> str:
    # Named after the session's cookie, which differs between boards on one host. The prefix of that may ask for the
    # path /, while this one is for the sign-in form alone.
    board = current_app.config["SESSION_COOKIE_NAME"].removeprefix("__Host-")
    return f"{board}-browser-{account}"


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="known-browser")
