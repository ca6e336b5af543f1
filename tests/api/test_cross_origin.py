"""Calls from pages of other web sites: refused by the browser unless the token's workspace lists the site."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from tests.support.pages import post, sign_in
from tests.support.people import Cast
from webapp.core.audit import SYSTEM
from webapp.core.errors import Invalid
from webapp.core.workspaces import origins

SITE = "https://app.example.com"
ASKS = {"Origin": SITE, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


def cors(headers: Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("Access-Control-")}


def list_site(app: Flask, cast: Cast, slug: str = "acme", *sites: str) -> None:
    with app.app_context():
        workspace = cast.acme if slug == "acme" else cast.other
        origins.replace_unchecked(workspace.id, sites or (SITE,), by=SYSTEM)


def call(client: FlaskClient, token: str | None, origin: str | None = SITE) -> tuple[int, dict[str, str], str]:
    headers = {} if origin is None else {"Origin": origin}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    answer = client.get("/api/v1/jobs", headers=headers)
    return answer.status_code, cors(answer.headers), answer.headers["Vary"]


def test_without_a_list_no_page_of_another_site_may_call(client: FlaskClient, token: str) -> None:
    answer = client.options("/api/v1/jobs/0193a000-0000-7000-8000-000000000001", headers=ASKS)
    assert (answer.status_code, answer.data, cors(answer.headers)) == (204, b"", {})
    assert call(client, token) == (200, {}, "Origin")


def test_a_preflight_needs_no_token_and_names_what_may_be_sent(app: Flask, client: FlaskClient, cast: Cast) -> None:
    list_site(app, cast)
    answer = client.options("/api/v1/jobs", headers=ASKS)
    assert (answer.status_code, answer.headers["Vary"]) == (204, "Origin")
    allowed = cors(answer.headers)
    assert allowed["Access-Control-Allow-Origin"] == SITE
    assert {"GET", "POST", "PATCH"} <= set(allowed["Access-Control-Allow-Methods"].split(", "))
    assert {"Authorization", "Content-Type", "Idempotency-Key"} <= set(
        allowed["Access-Control-Allow-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in allowed
    assert cors(client.options("/api/v1/jobs", headers=ASKS | {"Origin": "https://evil.example"}).headers) == {}
    assert client.options("/api/v1/jobs").status_code == 401


def test_a_page_of_a_listed_site_may_read_answers_and_their_headers(
    app: Flask, client: FlaskClient, cast: Cast, token: str
) -> None:
    list_site(app, cast)
    status, allowed, vary = call(client, token)
    assert (status, vary, allowed["Access-Control-Allow-Origin"]) == (200, "Origin", SITE)
    assert {"ETag", "Location", "Retry-After", "X-Request-Id"} <= set(
        allowed["Access-Control-Expose-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in allowed
    assert call(client, None)[:2] == (401, allowed)
    assert call(client, token, "https://app.example.com.evil.example") == (200, {}, "Origin")
    assert call(client, token, None) == (200, {}, "Origin")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/jobs/none", 404), ("DELETE", "/jobs", 405)])
def test_a_page_may_read_that_there_is_no_such_address(
    app: Flask, client: FlaskClient, cast: Cast, token: str, method: str, path: str, status: int
) -> None:
    list_site(app, cast)
    headers = {"Authorization": f"Bearer {token}", "Origin": SITE}
    answer = client.open(f"/api/v1{path}", method=method, headers=headers)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, SITE)
    answer = client.open(f"/api/v1{path}", method=method, headers=headers | {"Origin": "https://evil.example"})
    assert cors(answer.headers) == {}


def test_a_site_that_only_another_workspace_lists_reads_nothing_with_this_token(
    app: Flask, client: FlaskClient, cast: Cast, token: str
) -> None:
    list_site(app, cast, "other")
    assert cors(client.options("/api/v1/jobs", headers=ASKS).headers)["Access-Control-Allow-Origin"] == SITE
    assert call(client, token)[1] == {}


def test_pages_of_the_board_are_for_no_other_site(app: Flask, client: FlaskClient, cast: Cast) -> None:
    list_site(app, cast)
    for path in ("/login", "/api/docs", "/healthz"):
        assert cors(client.get(path, headers={"Origin": SITE}).headers) == {}


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        (" HTTPS://App.example.com/ ", SITE),
        ("https://app.example.com:443", SITE),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:80", "http://[::1]"),
        ("*", None),
        ("null", None),
        ("app.example.com", None),
        ("ftp://app.example.com", None),
        ("https://app.example.com/path", None),
        ("https://ada@app.example.com", None),
        ("https://größe.example", None),
        ("https://*.example.com", None),
    ],
)
def test_a_site_is_written_as_browsers_send_it(text: str, origin: str | None) -> None:
    assert origins.parse_origin(text) == origin


def test_a_workspace_lists_no_more_sites_than_it_may(app: Flask, cast: Cast) -> None:
    sites = [f"https://a{number}.example" for number in range(origins.LIMIT + 1)]
    list_site(app, cast, "acme", *sites[:-1])
    with pytest.raises(Invalid):
        list_site(app, cast, "acme", *sites)
    with app.app_context():
        assert len(origins.list_origins(cast.acme.id)) == origins.LIMIT


# --- who lists them ----------------------------------------------------------------------------------------------


def test_sites_are_listed_on_a_page_of_the_settings(app: Flask, client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ada@example.com")
    page = "/w/acme/settings/origins"
    assert post(client, page, {"origins": f"{SITE}\r\nhttp://localhost:5173\r\n"}).status_code == 303
    assert f"http://localhost:5173\n{SITE}" in client.get(page).text
    refused = post(client, page, {"origins": "everywhere"})
    assert (refused.status_code, "everywhere" in refused.text) == (422, True)
    with app.app_context():
        assert origins.list_origins(cast.acme.id) == ["http://localhost:5173", SITE]
    assert post(client, page, {"origins": ""}).status_code == 303
    with app.app_context():
        assert origins.list_origins(cast.acme.id) == []


def test_a_member_may_not_list_sites(client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ben@example.com")
    page = "/w/acme/settings/origins"
    assert (client.get(page).status_code, post(client, page, {"origins": SITE}).status_code) == (403, 403)


def test_sites_are_listed_by_a_command(app: Flask, cast: Cast) -> None:
    def run(*words: str) -> list[str]:
        ended = app.test_cli_runner().invoke(args=["workspaces", "origins", "acme", *words])
        assert ended.exit_code == 0, ended.output
        return ended.output.splitlines()

    assert run() == []
    assert run("--add", SITE, "--add", "http://localhost:5173") == ["http://localhost:5173", SITE]
    assert run("--remove", "https://APP.example.com/") == ["http://localhost:5173"]
