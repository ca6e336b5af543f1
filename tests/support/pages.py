"""The pages as a person's browser calls them."""

import re
from collections.abc import Mapping

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.people import PASSWORD

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/w/acme/jobs"}


def csrf_token(html: str) -> str:
    """The token in a page's form."""
    field = re.search(r'<input[^>]*name="csrf_token"[^>]*>', html)
    assert field, "There is no csrf_token field in this page."
    value = re.search(r'value="([^"]+)"', field[0])
    assert value
    return value[1]


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD) -> None:
    """Sign a test client in through the login page, as a person does."""
    token = csrf_token(client.get("/login").text)
    answer = client.post("/login", data={"email": email, "password": password, "csrf_token": token})
    assert answer.status_code == 303, answer.text


def post(
    client: FlaskClient,
    address: str,
    data: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> TestResponse:
    """Send a form with the token of the page it stands on."""
    token = csrf_token(client.get("/w/acme/jobs").text)
    return client.post(address, data={"csrf_token": token} | dict(data or {}), headers=headers)
