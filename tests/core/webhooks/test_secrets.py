"""The secrets that sign messages: two at a time while one takes the place of the other, and encrypted at rest."""

import pytest
import sqlalchemy as sa
from flask import Flask
from standardwebhooks import WebhookVerificationError

from tests.support.apps import SECRET_KEY
from tests.support.clock import Clock
from tests.support.jobs import OPERATOR
from tests.support.people import Cast
from tests.support.receiver import Receiver
from tests.support.webhooks import PRIVATE
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.encryption import Cipher, Unreadable
from webapp.core.errors import Conflict
from webapp.core.models import Membership, WebhookEndpoint, WebhookEvent
from webapp.core.webhooks import endpoints, history, secrets, sender
from webapp.core.workspaces import workspaces
from webapp.extensions import outbound

OTHER_KEY = "another secret key, of 32 signs at least"
PLAIN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


@pytest.fixture
def settings() -> dict[str, str]:
    return PRIVATE


@pytest.fixture
def ada(core: Flask, cast: Cast) -> Membership:
    return workspaces.get_membership("acme", cast.ada.id)


@pytest.fixture
def endpoint(ada: Membership, hooks: Receiver) -> WebhookEndpoint:
    return endpoints.create(ada, hooks.url, list(WebhookEvent), outbound=outbound(), by=OPERATOR)


def stored(column: str = "secret") -> str | None:
    """What the database itself holds."""
    db.session.remove()
    text: str | None = db.session.execute(sa.text(f"SELECT {column} FROM webhook_endpoints")).scalar_one()
    return text


def store(secret: str) -> None:
    db.session.execute(sa.text("UPDATE webhook_endpoints SET secret = :secret"), {"secret": secret})
    db.session.commit()


def read(ada: Membership) -> WebhookEndpoint:
    db.session.remove()
    [one] = endpoints.list_endpoints(ada.workspace_id)
    return one


def send(ada: Membership, endpoint: WebhookEndpoint) -> None:
    history.ping(ada, endpoint.id, by=SYSTEM)
    sender.send_due(outbound(), lambda: True)


# --- two at a time -----------------------------------------------------------------------------------------------


def test_both_secrets_sign_until_the_overlap_is_over(
    ada: Membership, endpoint: WebhookEndpoint, hooks: Receiver, clock: Clock
) -> None:
    former = endpoint.secret
    present = endpoints.rotate_secret(ada, endpoint.id, by=OPERATOR).secret
    for signing, passed in (((present, former), 0), ((present,), 1)):
        at = clock.advance(days=passed)
        send(ada, endpoint)
        sent = hooks.received[-1]
        message_id, text = sent.headers["webhook-id"], sent.body.decode()
        signatures = [sender.sign(secret, message_id, at, text) for secret in signing]
        assert sent.headers["webhook-signature"].split(" ") == signatures


def test_a_receiver_with_either_secret_takes_a_message_for_ours(
    ada: Membership, endpoint: WebhookEndpoint, hooks: Receiver
) -> None:
    former = endpoint.secret
    present = endpoints.rotate_secret(ada, endpoint.id, by=OPERATOR).secret
    send(ada, endpoint)
    for secret in (former, present):
        assert hooks.received[-1].verified(secret)["type"] == "ping"


def test_a_secret_that_is_replaced_twice_is_good_no_more(
    ada: Membership, endpoint: WebhookEndpoint, hooks: Receiver
) -> None:
    first = endpoint.secret
    for _ in range(2):
        endpoints.rotate_secret(ada, endpoint.id, by=OPERATOR)
    send(ada, endpoint)
    with pytest.raises(WebhookVerificationError):
        hooks.received[-1].verified(first)


# --- at rest -----------------------------------------------------------------------------------------------------


def test_the_database_holds_no_secret_that_can_be_read(ada: Membership, endpoint: WebhookEndpoint) -> None:
    former, present = endpoint.secret, endpoints.rotate_secret(ada, endpoint.id, by=OPERATOR).secret
    for column, secret in (("secret", present), ("previous_secret", former)):
        text = stored(column)
        assert text
        assert text.startswith("enc1:")
        assert len(text) <= 100
        assert secret.removeprefix("whsec_") not in text
    assert (read(ada).secret, read(ada).previous_secret) == (present, former)


def test_what_an_older_release_stored_signs_as_before_and_is_encrypted_soon(
    ada: Membership, endpoint: WebhookEndpoint, hooks: Receiver
) -> None:
    store(PLAIN)
    send(ada, endpoint)
    assert hooks.received[-1].verified(PLAIN)
    assert secrets.encrypt_plain() == 1
    assert str(stored()).startswith("enc1:")
    assert read(ada).secret == PLAIN
    assert secrets.encrypt_plain() == 0


def test_another_key_reads_what_the_old_one_encrypted_once_it_is_told(
    core: Flask, ada: Membership, endpoint: WebhookEndpoint, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = endpoint.secret
    former = endpoints.rotate_secret(ada, endpoint.id, by=OPERATOR).previous_secret
    assert former == secret
    monkeypatch.setitem(core.extensions, "cipher", Cipher(OTHER_KEY))
    assert read(ada).secret is None
    send(ada, endpoint)
    assert hooks.received == []
    db.session.remove()
    [message] = history.list_deliveries(endpoint.id)[0]
    assert message.attempts[-1].error == sender.UNREADABLE
    before = stored()
    with pytest.raises(Conflict):
        secrets.change_key(Cipher("neither of the two keys, of 32 signs"))
    assert stored() == before
    assert secrets.change_key(Cipher(SECRET_KEY)) == 2
    assert secrets.change_key(Cipher(SECRET_KEY)) == 0
    assert read(ada).previous_secret == secret


def test_the_command_takes_the_old_key_from_standard_input(
    app: Flask, core: Flask, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions, "cipher", Cipher(OTHER_KEY))
    for key, code in (("wrong, though it has 32 signs or more", 1), (SECRET_KEY, 0)):
        ended = app.test_cli_runner().invoke(args=["secret-key", "rotate", "--old-key-stdin"], input=f"{key}\n")
        assert ended.exit_code == code, ended.output
    assert ended.output == "Secrets of webhooks that are now encrypted with the present SECRET_KEY: 1.\n"


def test_a_text_that_was_changed_is_not_decrypted() -> None:
    cipher = Cipher(SECRET_KEY)
    text = cipher.encrypt(b"content")
    assert cipher.decrypt(text) == b"content"
    assert text != cipher.encrypt(b"content")
    for wrong in (text[:-4] + "AAAA", text[:20], "enc1:", "enc1:größe", "enc1:****"):
        with pytest.raises(Unreadable):
            cipher.decrypt(wrong)
