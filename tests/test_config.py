"""The settings: what they are when nobody sets them, what they refuse, and in which words."""

import shutil
import subprocess
import sys
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.apps import SECRET_KEY, dispose
from tests.support.environment import command_in, read_settings, refusal
from tests.support.paths import ROOT
from webapp import create_app
from webapp.cli.processes import local_address
from webapp.config import SettingsError, load_settings
from webapp.core.database.session import db
from webapp.core.database.settings import DatabaseSettings, Prepare

NO_KEY = "There is no SECRET_KEY. Set it in the environment, or run `make setup`, which writes one."
DATABASE_LOOKS_LIKE = "DATABASE_URL must look like sqlite:///callboard.db or postgresql://user:password@host/name."
DATABASE_IN_MEMORY = (
    "DATABASE_URL names a SQLite database in memory, where each connection would see its own empty one; "
    "name a file, like sqlite:///callboard.db."
)
DATABASE_OF_ANOTHER_KIND = "DATABASE_URL must name a SQLite or a PostgreSQL database."
HOST_IS = "HOST must be a name or an address like 127.0.0.1 or ::1, without brackets or a port."
PUBLIC_URL_IS = "PUBLIC_URL must be an address like https://jobs.example.com."
TEXTS = (
    "DATABASE_URL", "PUBLIC_URL", "HOST", "METRICS_TOKEN", "WEBHOOK_DENY", "RATE_LIMIT", "RATE_LIMIT_FILE",
    "REMOTE_ADDR_HEADER",
)  # fmt: skip
NUMBERS = {
    "PORT": (1, 65535),
    "WORKERS": (1, 1000),
    "THREADS": (1, 1000),
    "TRUSTED_PROXIES": (0, 10),
    "SESSION_IDLE_HOURS": (1, 336),
    "WEBHOOK_ALLOW_PRIVATE": (0, 1),
}


# --- what nobody set ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [{}, dict.fromkeys((*TEXTS, *NUMBERS), "")],
)
def test_what_is_not_set_or_empty_is_as_the_table_of_settings_says(environ: dict[str, str]) -> None:
    chosen = read_settings(environ)
    assert str(chosen["SQLALCHEMY_DATABASE_URI"]) == "sqlite:///callboard.db"
    assert chosen["PUBLIC_URL"] == "http://127.0.0.1:8000"
    names = ("HOST", "PORT", "WORKERS", "THREADS", "TRUSTED_PROXIES")
    assert [chosen[name] for name in names] == ["127.0.0.1", 8000, 1, 8, 0]
    assert chosen["SESSION_COOKIE_SECURE"] is False
    assert chosen["SESSION_IDLE_HOURS"] == 72
    assert chosen["REMOTE_ADDR_HEADER"] == "X-Forwarded-For"
    assert chosen["WEBHOOK_ALLOW_PRIVATE"] is False
    assert chosen["WEBHOOK_DENY"] == ()
    assert (chosen["RATE_LIMIT"], chosen["RATE_LIMIT_FILE"]) == (None, None)
    assert chosen["SESSION_COOKIE_NAME"] == "callboard-8000"
    assert chosen["PAGE_HOSTS"] == {"127.0.0.1"}
    assert chosen["METRICS_TOKEN"] is None
    assert chosen["DATABASE"] == DatabaseSettings(5, 30, Prepare.AUTO)


# --- the database ------------------------------------------------------------------------------------------------


def test_a_relative_sqlite_path_is_taken_from_the_instance_folder(tmp_path: Path) -> None:
    app = create_app({"SECRET_KEY": SECRET_KEY, "DATABASE_URL": "sqlite:///jobs/board.db"}, instance_path=tmp_path)
    with app.app_context():
        assert db.engine.url.database == str(tmp_path / "jobs" / "board.db")
    dispose(app)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_name_of_postgresql_means_psycopg(scheme: str) -> None:
    url = read_settings({"DATABASE_URL": f"{scheme}://ada:p%40ss@db:5433/board"})["SQLALCHEMY_DATABASE_URI"]
    assert url == sa.make_url("postgresql+psycopg://ada:p%40ss@db:5433/board")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("callboard.db", DATABASE_LOOKS_LIKE),
        ("postgresql://h:abc/db", DATABASE_LOOKS_LIKE),
        ("sqlite:///board.db?timeout=soon", DATABASE_LOOKS_LIKE),
        ("sqlite:///a%00b.db", DATABASE_LOOKS_LIKE),
        ("postgresql:///db?host=a:1&host=b:2&port=3", DATABASE_LOOKS_LIKE),
        ("mysql://h/db", DATABASE_OF_ANOTHER_KIND),
        ("postgresql+asyncpg://h/db", DATABASE_OF_ANOTHER_KIND),
        ("sqlite://", DATABASE_IN_MEMORY),
        ("sqlite:///", DATABASE_IN_MEMORY),
        ("sqlite:///:memory:", DATABASE_IN_MEMORY),
        ("sqlite:///file::memory:?cache=shared&uri=true", DATABASE_IN_MEMORY),
        ("sqlite:///file:board?mode=memory&uri=true", DATABASE_IN_MEMORY),
        (
            "postgresql://h/db?prepare_threshold=0",
            "DATABASE_URL cannot have prepare_threshold; set DATABASE_PREPARE to auto, on or off.",
        ),
        (
            "postgresql://ada:secret@h/db?timeout=5",
            'DATABASE_URL has a parameter that PostgreSQL does not take: invalid connection option "timeout".',
        ),
        (
            "postgresql://h/db?connect_timeout=soon",
            "DATABASE_URL has a parameter that PostgreSQL does not take: bad value for connect_timeout: 'soon'.",
        ),
    ],
)
def test_a_database_that_cannot_serve_is_refused(url: str, sentence: str) -> None:
    assert refusal({"DATABASE_URL": url}) == sentence


def test_how_long_to_wait_for_a_database_is_a_number_of_seconds() -> None:
    chosen = read_settings({"DATABASE_CONNECT_TIMEOUT": "600", "DATABASE_STATEMENT_TIMEOUT": "86400"})["DATABASE"]
    assert (chosen.connect_timeout, chosen.statement_timeout) == (600, 86400)
    for name, least in ("DATABASE_CONNECT_TIMEOUT", 2), ("DATABASE_STATEMENT_TIMEOUT", 1):
        assert f"{name} must be a whole number from {least} to" in refusal({name: str(least - 1)})


def test_how_statements_are_prepared_is_one_of_three_words() -> None:
    assert refusal({"DATABASE_PREPARE": "yes"}) == "DATABASE_PREPARE must be auto, on or off."
    assert refusal({"SQLITE_SYNCHRONOUS": "off"}) == "SQLITE_SYNCHRONOUS must be normal or full."


# --- where it listens, and how others call it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost", "http://localhost:8000"),
        ("0.0.0.0", "http://0.0.0.0:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::]:8000"),
    ],
)
def test_the_public_address_is_that_of_the_server_unless_told_otherwise(host: str, address: str) -> None:
    assert read_settings({"HOST": host})["PUBLIC_URL"] == address


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("::1", "http://[::1]:80"), ("h", "http://h:80")],
)
def test_processes_of_this_machine_reach_a_server_that_listens_everywhere(host: str, address: str) -> None:
    assert local_address(host, 80) == address


@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1:80", ":::", "two words", "http://example.com", "a/b"])
def test_a_host_that_is_more_than_a_host_is_refused(host: str) -> None:
    assert refusal({"HOST": host}) == HOST_IS


@pytest.mark.parametrize(
    "url", ["jobs.example.com", "ftp://jobs.example.com", "https://", "http://[::1", "http://h:abc", "http://h:99999"]
)
def test_a_public_address_that_is_none_is_refused(url: str) -> None:
    assert refusal({"PUBLIC_URL": url}) == PUBLIC_URL_IS


def test_the_public_address_ends_without_a_slash() -> None:
    assert read_settings({"PUBLIC_URL": "https://jobs.example.com/"})["PUBLIC_URL"] == "https://jobs.example.com"


@pytest.mark.parametrize(
    "url", ["https://h/board", "https://h/board/", "https://h?x", "https://h/#x", "https://ada@h", "https://ada:pw@h"]
)
def test_a_public_address_under_which_the_board_could_not_serve_is_refused(url: str) -> None:
    sentence = "PUBLIC_URL must be without a path, like https://jobs.example.com: the board needs a host of its own."
    assert refusal({"PUBLIC_URL": url}) == sentence


# --- the cookie, and the names of the pages ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://jobs.example.com", "__Host-callboard"),
        ("https://jobs.example.com:8443", "__Host-callboard"),
        ("http://jobs.example.com", "callboard-80"),
        ("http://127.0.0.1:8001", "callboard-8001"),
    ],
)
def test_the_name_of_the_cookie_follows_the_public_address_unless_it_is_set(url: str, name: str) -> None:
    assert read_settings({"PUBLIC_URL": url})["SESSION_COOKIE_NAME"] == name
    assert read_settings({"PUBLIC_URL": url, "COOKIE_NAME": "board_1"})["SESSION_COOKIE_NAME"] == "board_1"


@pytest.mark.parametrize("name", ["two words", "a=b", "a;b", "größe", "a\nb"])
def test_a_name_that_no_cookie_can_have_is_refused(name: str) -> None:
    sentence = "COOKIE_NAME must be of ASCII letters, digits, hyphens and underscores."
    assert refusal({"COOKIE_NAME": name}) == sentence


@pytest.mark.parametrize("prefix", ["__Host-", "__Secure-"])
def test_a_cookie_that_browsers_keep_for_https_alone_is_refused_without_it(prefix: str) -> None:
    sentence = f"COOKIE_NAME must not begin with {prefix} unless PUBLIC_URL has https."
    assert refusal({"COOKIE_NAME": f"{prefix}board"}) == sentence
    assert read_settings({"PUBLIC_URL": "https://h", "COOKIE_NAME": f"{prefix}board"})


def test_names_of_the_board_are_parted_by_commas_or_spaces() -> None:
    hosts = read_settings({"PUBLIC_URL": "https://Jobs.example.com", "TRUSTED_HOSTS": "a.example, B.example c"})
    assert hosts["PAGE_HOSTS"] == {"jobs.example.com", "a.example", "b.example", "c"}


@pytest.mark.parametrize("text", ["a.example:8000", "https://a.example", "*", "größe.example"])
def test_a_name_of_the_board_that_is_none_is_refused(text: str) -> None:
    sentence = "TRUSTED_HOSTS must be names like jobs.example.com, without a port, parted by commas."
    assert refusal({"TRUSTED_HOSTS": text}) == sentence


@pytest.mark.parametrize(
    ("url", "secure"), [("https://jobs.example.com", True), ("HTTPS://jobs.example.com", True), ("http://jobs", False)]
)
def test_a_public_address_with_https_makes_cookies_secure(url: str, secure: bool, tmp_path: Path) -> None:
    app = create_app({"SECRET_KEY": SECRET_KEY, "PUBLIC_URL": url}, instance_path=tmp_path)
    cookies = app.test_client().get("/login").headers["Set-Cookie"].split("; ")
    assert ("Secure" in cookies) is secure
    dispose(app)


# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_good_from_its_lowest_to_its_highest(name: str) -> None:
    for bound in NUMBERS[name]:
        assert read_settings({name: str(bound)})[name] == bound


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["below", "above", "-1", "1.5", "many", "٣", " 1"])
def test_a_number_out_of_bounds_or_no_number_is_refused(name: str, text: str) -> None:
    lowest, highest = NUMBERS[name]
    value = {"below": str(lowest - 1), "above": str(highest + 1)}.get(text, text)
    assert refusal({name: value}) == f"{name} must be a whole number from {lowest} to {highest}."


def test_a_process_keeps_a_connection_for_each_thread() -> None:
    assert read_settings({"THREADS": "3"})["SQLALCHEMY_ENGINE_OPTIONS"]["pool_size"] == 3


@pytest.mark.parametrize("token", ["two words", "schlüssel", "a\nb", " "])
def test_a_token_of_metrics_that_no_header_could_carry_is_refused(token: str) -> None:
    assert (
        refusal({"METRICS_TOKEN": token}) == "METRICS_TOKEN must be of ASCII letters, digits and signs, without spaces."
    )


@pytest.mark.parametrize(("text", "days"), [("", 365), ("90d", 90), ("1 d", 1), ("never", None)])
def test_the_life_of_a_token_is_in_days(text: str, days: int | None) -> None:
    assert read_settings({"TOKEN_LIFETIME": text})["TOKEN_LIFETIME"] == (None if days is None else timedelta(days))


@pytest.mark.parametrize("text", ["0d", "90", "1y", "-1d", "forever"])
def test_a_life_of_a_token_that_is_none_is_refused(text: str) -> None:
    assert refusal({"TOKEN_LIFETIME": text}) == "TOKEN_LIFETIME must be days, like 90d, or never."


@pytest.mark.parametrize("text", ["203.0.113.0/24 2001:db8::/32", " 203.0.113.0/24,\t2001:db8::/32, "])
def test_networks_are_parted_by_commas_or_spaces(text: str) -> None:
    networks = (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
    assert read_settings({"WEBHOOK_DENY": text})["WEBHOOK_DENY"] == networks


@pytest.mark.parametrize("text", ["example.com", "203.0.113.1/24", "203.0.113.0/33", "203.0.113.0/24;10.0.0.0/8"])
def test_a_network_that_is_none_is_refused(text: str) -> None:
    sentence = "WEBHOOK_DENY must be addresses and networks like 203.0.113.0/24, 2001:db8::/32."
    assert refusal({"WEBHOOK_DENY": text}) == sentence


# --- the secret key ----------------------------------------------------------------------------------------------


def test_the_secret_key_of_the_environment_goes_before_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text(f"{'f' * 32}\n")
    assert load_settings({"SECRET_KEY": "e" * 32}, tmp_path)["SECRET_KEY"] == "e" * 32
    assert load_settings({"SECRET_KEY": ""}, tmp_path)["SECRET_KEY"] == "f" * 32


def test_a_secret_key_that_could_be_guessed_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    for key in ("x", "k" * 31):
        assert refusal({"SECRET_KEY": key}).startswith("SECRET_KEY must be of at least 32 characters, made at random: ")
    (tmp_path / "secret_key").write_text(f"{'f' * 31}\n")
    with pytest.raises(SettingsError) as refused:
        load_settings({}, tmp_path)
    assert str(refused.value).startswith(f"The key in {tmp_path / 'secret_key'} must be of at least 32 characters")


def test_an_empty_secret_key_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("\n")
    with pytest.raises(SettingsError) as refused:
        load_settings({}, tmp_path)
    assert str(refused.value) == NO_KEY


def test_a_secret_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret_key").mkdir()
    with pytest.raises(SettingsError) as refused:
        load_settings({}, tmp_path)
    assert str(refused.value) == f"{tmp_path / 'secret_key'} cannot be read: is a directory."


def make_key(folder: Path) -> str:
    """What ``make setup`` does for the secret key, in a folder of the test's own."""
    command = ["make", "--silent", "--file", str(ROOT / "Makefile"), f"PYTHON={sys.executable}", "instance/secret_key"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "instance" / "secret_key").read_text().strip()


def test_make_writes_a_secret_key_that_only_its_owner_can_read_and_keeps_it(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    assert len(key) == 64
    assert (tmp_path / "instance").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "instance" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert make_key(tmp_path) == key


def test_a_command_stops_with_one_line_when_a_setting_is_missing_or_wrong(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "webapp", tmp_path / "webapp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "wsgi.py", tmp_path)
    for environ, sentence in (
        ({}, NO_KEY),
        ({"SECRET_KEY": SECRET_KEY, "PORT": "http"}, "PORT must be a whole number from 1"),
    ):
        ended = command_in(tmp_path, **environ)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith(f"Callboard cannot start. {sentence}")
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "domains"),
    [
        (None, None),
        ("admins", None),
        ("nobody", frozenset()),
        ("Example.com, bücher.example", frozenset({"example.com", "bücher.example"})),
    ],
)
def test_who_may_be_invited_without_an_account_is_everybody_nobody_or_some_domains(
    value: str | None, domains: frozenset[str] | None
) -> None:
    environ = {"INVITE_NEW_ACCOUNTS": value} if value else {}
    assert read_settings(environ)["INVITE_NEW_ACCOUNTS"].domains == domains


@pytest.mark.parametrize("value", ["somebody@example.com", "example.com,,", "not a domain"])
def test_a_wrong_choice_of_who_may_be_invited_is_refused(value: str) -> None:
    said = refusal({"INVITE_NEW_ACCOUNTS": value})
    assert said == "INVITE_NEW_ACCOUNTS must be admins, nobody, or domains like example.com,example.org."


# --- the client's address ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"TRUSTED_PROXIES": "1", "REMOTE_ADDR_HEADER": "X_Real_IP"}, "must be the name of a header"),
        ({"REMOTE_ADDR_HEADER": "X-Real-IP"}, "set TRUSTED_PROXIES as well"),
    ],
)
def test_a_header_for_the_address_is_a_name_and_comes_from_a_proxy(environ: dict[str, str], sentence: str) -> None:
    assert sentence in refusal(environ)


@pytest.mark.parametrize("text", ["50", "0/s", "50/day", "on"])
def test_a_rate_limit_that_is_none_is_refused_with_what_it_looks_like(text: str) -> None:
    assert refusal({"RATE_LIMIT": text}) == "RATE_LIMIT must be off, or look like 50/s, 600/min or 10000/h."
