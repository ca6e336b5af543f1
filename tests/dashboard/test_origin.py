"""Where a request for a page comes from, under which name it was sent, and what the answer tells the browser."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.apps import dispose
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM

HTTPS = {"PUBLIC_URL": "https://jobs.example.com", "TRUSTED_HOSTS": "board.example.net, other.example.net"}
LOGIN = {"email": "ben@example.com", "password": PASSWORD}


@pytest.fixture
def https(url: str, app_on: Callable[..., Flask]) -> Iterator[Flask]:
    """The board as it stands behind https."""
    app = app_on(url, **HTTPS)
    yield app
    dispose(app)


# --- under which name --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "jobs.example.com", "JOBS.example.com", "jobs.example.com:8000", "other.example.net", "localhost:8000",
        "board.localhost", "127.0.0.1:8000", "10.0.0.5", "[::1]:8000", "board:8000",
    ],
)  # fmt: skip
def test_pages_answer_under_the_names_of_the_settings_and_such_that_nobody_can_own(host: str, https: Flask) -> None:
    assert https.test_client().get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "jobs.example.com.evil.example", "xjobs.example.com", "1.2.3.4.5"])
def test_pages_do_not_answer_under_a_foreign_name_and_say_where_the_board_is(host: str, https: Flask) -> None:
    client = https.test_client()
    for answer in (client.get("/login", headers={"Host": host}), client.post("/login", headers={"Host": host})):
        assert answer.status_code == 421
        assert "Open it at https://jobs.example.com." in answer.text
        assert '<a href="https://jobs.example.com">Go to the board</a>' in answer.text
        assert host not in answer.text


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/metrics", 404)])
def test_probes_answer_under_every_name(path: str, status: int, https: Flask) -> None:
    assert https.test_client().get(path, headers={"Host": "10-0-0-5.pods.cluster.local"}).status_code == status


def test_runners_may_call_the_api_under_every_name(https: Flask, token: str) -> None:
    headers = {"Host": "callboard.default.svc.cluster.local", "Authorization": f"Bearer {token}"}
    assert https.test_client().get("/api/v1/jobs", headers=headers).status_code == 200


# --- sent by a page of which site --------------------------------------------------------------------------------

OWN = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Origin": "http://localhost"},
    {"Origin": "http://127.0.0.1:8000"},
    {},
]
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "https://localhost"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", OWN)
def test_a_form_of_the_board_is_taken(headers: Mapping[str, str], client: FlaskClient, cast: Cast) -> None:
    form = LOGIN | {"csrf_token": csrf_token(client.get("/login").text)}
    assert client.post("/login", data=form, headers=headers).status_code == 303


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_of_another_site_is_refused_though_its_token_is_right(
    headers: Mapping[str, str], client: FlaskClient, cast: Cast
) -> None:
    form = LOGIN | {"csrf_token": csrf_token(client.get("/login").text)}
    answer = client.post("/login", data=form, headers=headers)
    assert answer.status_code == 403
    assert "Another site sent this." in answer.text
    assert client.get("/w/acme/jobs").status_code == 303


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_link_of_another_site_leads_to_the_board(headers: Mapping[str, str], client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ben@example.com")
    assert client.get("/w/acme/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_runner_in_a_page_of_another_site_may_report(
    headers: Mapping[str, str], client: FlaskClient, token: str
) -> None:
    answer = client.post(
        "/api/v1/jobs", json={"type": "x"}, headers={"Authorization": f"Bearer {token}"} | dict(headers)
    )
    assert answer.status_code == 201


# --- the cookie --------------------------------------------------------------------------------------------------


def test_behind_https_no_other_host_can_set_the_cookie(https: Flask) -> None:
    cookie = https.test_client().get("/login").headers["Set-Cookie"]
    assert cookie.startswith("__Host-callboard=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} == set(cookie.split("; ")[1:])


def test_boards_on_two_ports_of_a_host_sign_nobody_out_of_the_other(url: str, app_on: Callable[..., Flask]) -> None:
    names = {app_on(url, PORT=port).config["SESSION_COOKIE_NAME"] for port in ("8000", "8001")}
    assert names == {"callboard-8000", "callboard-8001"}


@pytest.mark.parametrize("path", ["/login", "/invitations/secret"])
def test_who_opens_an_https_board_by_http_hears_why_no_form_works(path: str, https: Flask, cast: Cast) -> None:
    answer = https.test_client().post(path, base_url="http://jobs.example.com", data=LOGIN)
    assert answer.status_code == 400
    sentence = (
        "sent no cookie back, because it keeps those of this board for https alone. Open the board at https://jobs."
    )
    assert sentence in answer.text
    assert '<a href="https://jobs.example.com">Go to the board</a>' in answer.text


def test_who_blocks_cookies_hears_that_the_board_needs_one(client: FlaskClient) -> None:
    assert "Your browser sent no cookie back. Open the board at http://127" in client.post("/login", data=LOGIN).text


def test_who_sends_a_cookie_but_an_old_token_hears_that_the_form_is_old(client: FlaskClient) -> None:
    client.get("/login")
    assert "This form was open for too long" in client.post("/login", data=LOGIN).text


# --- what the browser is told ------------------------------------------------------------------------------------


def test_https_once_is_https_for_a_year_on_this_host_alone(https: Flask, client: FlaskClient) -> None:
    for path in ("/login", "/api/v1/openapi.json", "/static/css/base.css", "/nothing"):
        with https.test_client().get(path) as behind_https, client.get(path) as without:
            assert behind_https.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert "Strict-Transport-Security" not in without.headers


def test_every_page_keeps_other_sites_and_the_devices_of_the_viewer_out(client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ben@example.com")
    for path in ("/login", "/w/acme/jobs", "/api/docs", "/nothing"):
        headers = client.get(path, follow_redirects=True).headers
        assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]


def test_nothing_that_a_person_saw_stays_in_a_cache(app: Flask, cast: Cast) -> None:
    ada = app.test_client()
    sign_in(ada, "ada@example.com")
    with app.app_context():
        job_id = jobs.enqueue_job("import", cast.acme.id, by=SYSTEM)
    paths = ("jobs", "jobs/table", f"jobs/{job_id}", f"jobs/{job_id}/log", "jobs/export.csv", "overview", "connect",
             "settings/members", "settings/tokens", "settings/webhooks", "settings/audit")  # fmt: skip
    for address in ("/", "/profile", *(f"/w/acme/{path}" for path in paths)):
        assert "no-store" in ada.get(address, headers={"HX-Request": "true"}).headers["Cache-Control"], address
        assert "no-store" in ada.get(address).headers["Cache-Control"], address


def test_to_sign_out_has_the_browser_drop_what_it_kept(app: Flask, cast: Cast) -> None:
    for path in ("/logout", "/profile/sessions/end"):
        client = app.test_client()
        sign_in(client, "ben@example.com")
        form = {"csrf_token": csrf_token(client.get("/w/acme/jobs").text)}
        assert client.post(path, data=form).headers["Clear-Site-Data"] == '"cache"'


def test_a_session_that_was_ended_elsewhere_drops_what_the_browser_kept(app: Flask, cast: Cast) -> None:
    here, elsewhere = app.test_client(), app.test_client()
    for client in (here, elsewhere):
        sign_in(client, "ben@example.com")
    form = {"csrf_token": csrf_token(elsewhere.get("/w/acme/jobs").text)}
    elsewhere.post("/profile/sessions/end", data=form)
    for headers in ({}, {"HX-Request": "true", "HX-Current-URL": "http://localhost/w/acme/jobs"}):
        answer = here.get("/w/acme/jobs/table", headers=headers)
        assert ("Clear-Site-Data" in answer.headers) is (headers == {})


def test_a_form_that_is_refused_is_counted_where_requests_are_counted(url: str, app_on: Callable[..., Flask]) -> None:
    client = app_on(url, METRICS_TOKEN="a-token-for-tests").test_client()
    assert client.post("/login", data=LOGIN).status_code == 400
