"""Reads every setting from the environment, once, and checks it before anything starts."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from webapp.core.accounts.accounts import parse_email
from webapp.core.accounts.sessions import LIFETIME
from webapp.core.database.engine import engine_options
from webapp.core.database.postgresql import find_fault_of_parameters
from webapp.core.database.settings import DatabaseSettings, Prepare, Synchronous
from webapp.core.mail import MailServer, Tls
from webapp.core.validation import is_http_address
from webapp.core.workspaces.invitations import NewAccountPolicy
from webapp.rate_limit import RateLimit

_DATABASE_URL_HELP = "DATABASE_URL must look like sqlite:///callboard.db or postgresql://user:password@host/name."
_SMTP_PORTS = {Tls.ALWAYS: 465, Tls.BEFORE: 587, Tls.NEVER: 25}
SMTP_URL_HELP = (
    "SMTP_URL must look like smtp://user:password@mail.example.com:587 or smtps://…, with signs like @ and / "
    "in the password written %40 and %2F."
)

_Word = TypeVar("_Word", bound=StrEnum)


class SettingsError(Exception):
    """Says which setting is missing or wrong, and what to do."""


def _read_integer(environ: Mapping[str, str], name: str, default: int, minimum: int, maximum: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= maximum:
        raise SettingsError(f"{name} must be a whole number from {minimum} to {maximum}.")
    return int(text)


def _is_in_memory(url: sa.URL) -> bool:
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def _read_database_url(environ: Mapping[str, str]) -> sa.URL:
    try:
        url = sa.make_url(environ.get("DATABASE_URL") or "sqlite:///callboard.db")
    except (ArgumentError, ValueError):  # A port that is not a number is a ValueError.
        raise SettingsError(_DATABASE_URL_HELP) from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise SettingsError("DATABASE_URL must name a SQLite or a PostgreSQL database.")
    if url.drivername == "sqlite" and _is_in_memory(url):
        raise SettingsError(
            "DATABASE_URL names a SQLite database in memory, where each connection would see its own empty one; "
            "name a file, like sqlite:///callboard.db."
        )
    try:
        # The driver reads its arguments only when it connects; their faults are found here, before anything starts.
        url.get_dialect()().create_connect_args(url)
        valid = "\0" not in (url.database or "")
    except (ArgumentError, ValueError):
        valid = False
    if not valid:
        raise SettingsError(_DATABASE_URL_HELP)
    _require_known_parameters(url)
    return url


def _require_known_parameters(url: sa.URL) -> None:
    """Refuse a parameter that the driver would refuse only when it connects. Raises ``SettingsError``."""
    if url.get_backend_name() != "postgresql":
        return
    if "prepare_threshold" in url.query:
        raise SettingsError("DATABASE_URL cannot have prepare_threshold; set DATABASE_PREPARE to auto, on or off.")
    if fault := find_fault_of_parameters(url):
        raise SettingsError(f"DATABASE_URL has a parameter that PostgreSQL does not take: {fault}.")


def _read_word(environ: Mapping[str, str], name: str, default: _Word) -> _Word:
    """Return which of the words of a setting is set. Raises ``SettingsError``."""
    words = [word.value for word in type(default)]
    try:
        return type(default)(environ.get(name) or default)
    except ValueError:
        raise SettingsError(f"{name} must be {', '.join(words[:-1])} or {words[-1]}.") from None


def _read_database_settings(environ: Mapping[str, str]) -> DatabaseSettings:
    return DatabaseSettings(
        connect_timeout=_read_integer(environ, "DATABASE_CONNECT_TIMEOUT", 5, 2, 600),
        statement_timeout=_read_integer(environ, "DATABASE_STATEMENT_TIMEOUT", 30, 1, 86400),
        prepare=_read_word(environ, "DATABASE_PREPARE", Prepare.AUTO),
        sqlite_synchronous=_read_word(environ, "SQLITE_SYNCHRONOUS", Synchronous.NORMAL),
    )


SECRET_KEY_LENGTH = 32
"""Characters that a secret key has at least: with all that can be told from a cookie, nobody may guess it."""


def _read_secret_key(environ: Mapping[str, str], instance: Path) -> str:
    path = instance / "secret_key"
    try:
        key = environ.get("SECRET_KEY") or path.read_text().strip()
    except FileNotFoundError:
        key = ""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    if not key:
        raise SettingsError("There is no SECRET_KEY. Set it in the environment, or run `make setup`, which writes one.")
    if len(key) < SECRET_KEY_LENGTH:
        source = "SECRET_KEY" if environ.get("SECRET_KEY") else f"The key in {path}"
        raise SettingsError(
            f"{source} must be of at least {SECRET_KEY_LENGTH} characters, made at random: "
            "python -c 'import secrets; print(secrets.token_urlsafe(48))' prints one."
        )
    return key


def _read_host(environ: Mapping[str, str]) -> str:
    host = environ.get("HOST") or "127.0.0.1"
    try:
        if ":" in host:
            IPv6Address(host)
        elif not re.fullmatch(r"[\w.-]+", host):
            raise ValueError
    except ValueError:
        raise SettingsError(
            "HOST must be a name or an address like 127.0.0.1 or ::1, without brackets or a port."
        ) from None
    return host


def build_http_address(host: str, port: int) -> str:
    """Return the address of a server, with the brackets that an IPv6 address needs before a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _read_public_url(environ: Mapping[str, str], default: str) -> str:
    """Return the address that links are built from, without a slash at its end."""
    public_url = (environ.get("PUBLIC_URL") or default).rstrip("/")
    if not is_http_address(public_url):
        raise SettingsError("PUBLIC_URL must be an address like https://jobs.example.com.")
    parts = urlsplit(public_url)
    # Scripts, cookies and redirects are all for the root of a host, where no other program shares them.
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise SettingsError(
            "PUBLIC_URL must be without a path, like https://jobs.example.com: the board needs a host of its own."
        )
    return public_url


def _read_cookie_name(environ: Mapping[str, str], public_url: SplitResult) -> str:
    """Return the name of the session's cookie. Behind https no other host and no page opened by http can set it."""
    is_secure = public_url.scheme == "https"
    # Cookies know no ports: two boards on one host would sign each other out.
    default = "__Host-callboard" if is_secure else f"callboard-{public_url.port or 80}"
    name = environ.get("COOKIE_NAME") or default
    if not re.fullmatch(r"[\w-]+", name, re.ASCII):
        raise SettingsError("COOKIE_NAME must be of ASCII letters, digits, hyphens and underscores.")
    if name.lower().startswith(("__host-", "__secure-")) and not is_secure:
        raise SettingsError(f"COOKIE_NAME must not begin with {name.partition('-')[0]}- unless PUBLIC_URL has https.")
    return name


def _read_trusted_hosts(environ: Mapping[str, str], public_url: SplitResult) -> frozenset[str]:
    """Return the names under which the pages answer, in small letters: that of PUBLIC_URL and those of the setting."""
    names = [text.lower() for text in re.split(r"[\s,]+", environ.get("TRUSTED_HOSTS") or "") if text]
    if not all(re.fullmatch(r"[a-z0-9_.-]+", name) for name in names):
        raise SettingsError("TRUSTED_HOSTS must be names like jobs.example.com, without a port, parted by commas.")
    return frozenset({public_url.hostname or "", *names})


def _read_remote_addr_header(environ: Mapping[str, str]) -> str:
    """Return the name of the header that has a client's address."""
    header = environ.get("REMOTE_ADDR_HEADER")
    if not header or header.lower() == "x-forwarded-for":
        return "X-Forwarded-For"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", header):
        raise SettingsError("REMOTE_ADDR_HEADER must be the name of a header like X-Real-IP, with no underscores.")
    if not _read_integer(environ, "TRUSTED_PROXIES", 0, 0, 10):
        raise SettingsError("REMOTE_ADDR_HEADER is believed of proxies alone: set TRUSTED_PROXIES as well.")
    return header


def _read_metrics_token(environ: Mapping[str, str]) -> str | None:
    token = environ.get("METRICS_TOKEN") or None
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise SettingsError("METRICS_TOKEN must be of ASCII letters, digits and signs, without spaces.")
    # A variable of prometheus_client, which would stop with a traceback. Set though empty, it means a folder as well.
    folder = environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is not None and not (Path(folder).is_dir() and folder):
        raise SettingsError("PROMETHEUS_MULTIPROC_DIR must name a folder that exists, or not be set at all.")
    return token


def _read_lifetime(environ: Mapping[str, str], name: str, default: str) -> timedelta | None:
    """Return a time in days, or ``None`` for ``never``."""
    text = environ.get(name) or default
    if text == "never":
        return None
    if not (match := re.fullmatch(r"([1-9][0-9]{0,4}) ?d", text)):
        raise SettingsError(f"{name} must be days, like 90d, or never.")
    return timedelta(days=int(match[1]))


def _read_networks(environ: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of a setting, which commas or spaces part."""
    try:
        return tuple(ip_network(text) for text in re.split(r"[\s,]+", environ.get(name) or "") if text)
    except ValueError:
        raise SettingsError(f"{name} must be addresses and networks like 203.0.113.0/24, 2001:db8::/32.") from None


def _read_tls(parts: SplitResult) -> Tls:
    """Return when encryption begins. Raises ``KeyError`` for an unknown scheme or query."""
    modes = {("smtps", ""): Tls.ALWAYS, ("smtp", ""): Tls.BEFORE, ("smtp", "tls=no"): Tls.NEVER}
    return modes[parts.scheme, parts.query]


def _read_mail_server(environ: Mapping[str, str]) -> MailServer | None:
    """Return the server that mail is sent by, or None when there is none."""
    if not environ.get("SMTP_URL"):
        return None
    # No message repeats anything of the address, because it holds a password.
    try:
        parts = urlsplit(environ["SMTP_URL"])
        host, port, tls = parts.hostname, parts.port, _read_tls(parts)
    except (ValueError, KeyError):
        raise SettingsError(SMTP_URL_HELP) from None
    if not host or port == 0 or not re.fullmatch(r"[\w.:-]+", host) or parts.path not in ("", "/") or parts.fragment:
        raise SettingsError(SMTP_URL_HELP)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user + password).isascii() or (password and not user):
        raise SettingsError(SMTP_URL_HELP)
    if user and tls is Tls.NEVER:
        raise SettingsError("SMTP_URL has a user, who would be sent in the clear; leave out tls=no, or the user.")
    sender = parse_email(environ.get("MAIL_FROM") or "")
    if sender is None:
        raise SettingsError("MAIL_FROM must be the address that mail is from, like callboard@example.com.")
    return MailServer(host, port or _SMTP_PORTS[tls], tls, sender, user or None, password)


def _read_new_account_policy(environ: Mapping[str, str]) -> NewAccountPolicy:
    """Return for which addresses owners and admins may invite people who have no account."""
    text = (environ.get("INVITE_NEW_ACCOUNTS") or "admins").strip()
    if text in ("admins", "nobody"):
        return NewAccountPolicy(None if text == "admins" else frozenset())
    # Domains in the form in which addresses are kept.
    addresses = [parse_email(f"somebody@{domain.strip()}") for domain in text.split(",")]
    if None in addresses:
        raise SettingsError("INVITE_NEW_ACCOUNTS must be admins, nobody, or domains like example.com,example.org.")
    return NewAccountPolicy(frozenset(address.rpartition("@")[2] for address in addresses if address))


def _read_rate_limit(environ: Mapping[str, str]) -> RateLimit | None:
    """Return how many requests a token may make, or None for as many as it likes."""
    try:
        return RateLimit.parse(environ.get("RATE_LIMIT") or "off")
    except ValueError:
        raise SettingsError("RATE_LIMIT must be off, or look like 50/s, 600/min or 10000/h.") from None


def load_settings(environ: Mapping[str, str], instance: Path) -> dict[str, Any]:
    """Return the configuration of the app. Raises ``SettingsError`` with one sentence that says what to do."""
    host = _read_host(environ)
    port = _read_integer(environ, "PORT", 8000, 1, 65535)
    threads = _read_integer(environ, "THREADS", 8, 1, 1000)
    public_url = _read_public_url(environ, build_http_address(host, port))
    database_url, database_settings = _read_database_url(environ), _read_database_settings(environ)
    public_parts = urlsplit(public_url)
    return {
        "SQLALCHEMY_DATABASE_URI": database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(database_url, threads, database_settings),
        "DATABASE": database_settings,
        "SECRET_KEY": _read_secret_key(environ, instance),
        "PUBLIC_URL": public_url,
        "HOST": host,
        "PORT": port,
        "WORKERS": _read_integer(environ, "WORKERS", 1, 1, 1000),
        "THREADS": threads,
        "TRUSTED_PROXIES": _read_integer(environ, "TRUSTED_PROXIES", 0, 0, 10),
        "INVITE_NEW_ACCOUNTS": _read_new_account_policy(environ),
        "REMOTE_ADDR_HEADER": _read_remote_addr_header(environ),
        "MAIL_SERVER": _read_mail_server(environ),
        "METRICS_TOKEN": _read_metrics_token(environ),
        "RATE_LIMIT": _read_rate_limit(environ),
        "RATE_LIMIT_FILE": Path(environ["RATE_LIMIT_FILE"]) if environ.get("RATE_LIMIT_FILE") else None,
        "WEBHOOK_ALLOW_PRIVATE": bool(_read_integer(environ, "WEBHOOK_ALLOW_PRIVATE", 0, 0, 1)),
        "TOKEN_LIFETIME": _read_lifetime(environ, "TOKEN_LIFETIME", "365d"),
        "WEBHOOK_DENY": _read_networks(environ, "WEBHOOK_DENY"),
        "SESSION_IDLE_HOURS": _read_integer(environ, "SESSION_IDLE_HOURS", 72, 1, 336),
        "MAX_CONTENT_LENGTH": 1024 * 1024,
        "PAGE_HOSTS": _read_trusted_hosts(environ, public_parts),
        "SESSION_COOKIE_NAME": _read_cookie_name(environ, public_parts),
        "SESSION_COOKIE_SECURE": public_parts.scheme == "https",
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": LIFETIME,
        # A page left open all day must still be able to cancel; the token lives as long as the session.
        "WTF_CSRF_TIME_LIMIT": None,
        # Behind a proxy that ends TLS the Referer is https while the app sees http; SameSite and the token protect.
        "WTF_CSRF_SSL_STRICT": False,
        "SEND_FILE_MAX_AGE_DEFAULT": timedelta(days=365),
    }
