"""API tokens: shown once, looked up at every request, refused at once when revoked."""

import re
import uuid
import zlib
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.paths import ROOT
from tests.support.people import Cast
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.database.transactions import update_best_effort
from webapp.core.errors import Conflict, Invalid, NotFound
from webapp.core.hashing import hash_secret
from webapp.core.models import ApiToken, AuditEntry
from webapp.core.workspaces import tokens, workspaces

pytestmark = pytest.mark.usefixtures("core")


def public_id(text: str) -> str:
    return text.split("_")[1]


def last_used(core: Flask) -> object:
    with core.app_context():
        return db.session.scalar(sa.select(ApiToken.last_used_at))


def test_a_token_opens_its_workspace_with_its_scopes(cast: Cast, token: str) -> None:
    bearer = tokens.authenticate(token)
    assert bearer is not None
    assert bearer.workspace_id == cast.acme.id
    assert bearer.scopes == {"jobs:read", "jobs:write"}
    assert bearer.ref == f"token:{bearer.id}"


def test_a_token_may_be_given_fewer_or_more_scopes(cast: Cast) -> None:
    for scopes in (["jobs:read"], ["jobs:cancel", "jobs:read", "jobs:write"]):
        made, text = tokens.create_unchecked(cast.acme.id, "t", scopes=scopes, by=SYSTEM)
        bearer = tokens.authenticate(text)
        assert bearer is not None
        assert bearer.scopes == set(scopes) == set(made.scopes)


def test_a_revoked_token_is_refused_at_once_and_stays_revoked(cast: Cast, token: str, clock: Clock) -> None:
    assert tokens.authenticate(token)
    at = clock.advance(seconds=1)
    tokens.revoke_unchecked(public_id(token), by=SYSTEM)
    assert tokens.authenticate(token) is None
    clock.advance(days=1)
    assert tokens.revoke_unchecked(public_id(token), by=SYSTEM).revoked_at == at
    assert db.session.scalar(sa.select(sa.func.count()).where(AuditEntry.action == "token.revoked")) == 1


def test_a_token_is_not_revoked_from_another_workspace(cast: Cast, token: str) -> None:
    principal = tokens.authenticate(token)
    assert principal
    cleo = workspaces.get_membership("other", cast.cleo.id)
    for unknown in (principal.id, uuid.uuid4()):
        with pytest.raises(NotFound, match=r"There is no such token\."):
            tokens.revoke(cleo, unknown, by=SYSTEM)
    assert tokens.authenticate(token)


def test_a_token_ends_when_it_expires(cast: Cast, clock: Clock) -> None:
    _, text = tokens.create_unchecked(cast.acme.id, "t", expires_at=clock.now() + timedelta(hours=1), by=SYSTEM)
    clock.advance(minutes=59, seconds=59)
    assert tokens.authenticate(text)
    clock.advance(seconds=1)
    assert tokens.authenticate(text) is None


def test_only_the_whole_token_opens(token: str, other_token: str) -> None:
    mark, public, secret = token.split("_")
    wrong = [
        "",
        "cb_",
        "cb__",
        public,
        f"{mark}_{public}",
        f"{mark}_{public}_",
        f"{mark}_{public}_{secret[:-1]}",
        f"{mark}_{public}_{secret}0",
        f"{mark}_{public}_{other_token.split('_')[2]}",
        f"{mark}_{public_id(other_token)}_{secret}",
        f"cx_{public}_{secret}",
        f"{mark}_{public}\0_{secret}",
        f"{mark}_{public}_{secret}é",
        f"{mark}_{public}_{secret}\ud800",
        f" {token}",
        f"{mark}_' OR 1=1 --_{secret}",
    ]
    assert [text for text in wrong if tokens.authenticate(text) is not None] == []
    assert tokens.authenticate(token)


def test_the_secret_is_not_in_the_database(core: Flask, cast: Cast, token: str) -> None:
    row = db.session.execute(sa.select(ApiToken.__table__)).one()
    secret = token.split("_")[2]
    assert not any(secret in str(value) for value in row)
    assert tokens.authenticate(f"cb_{public_id(token)}_{row.secret_hash}") is None


def test_the_last_use_is_written_at_most_once_a_minute(core: Flask, cast: Cast, clock: Clock, token: str) -> None:
    assert last_used(core) is None
    first = clock.advance(seconds=1)
    tokens.authenticate(token)
    assert last_used(core) == first
    clock.advance(seconds=59)
    tokens.authenticate(token)
    assert last_used(core) == first
    later = clock.advance(seconds=1)
    tokens.authenticate(token)
    assert last_used(core) == later


def test_two_uses_at_the_same_moment_leave_one_mark(
    core: Flask, cast: Cast, clock: Clock, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.authenticate(token)

    def leave_two(statement: sa.Update) -> None:
        update_best_effort(statement)
        clock.advance(seconds=1)
        update_best_effort(statement.values(last_used_at=clock.now()))

    monkeypatch.setattr(tokens, "update_best_effort", leave_two)
    first = clock.advance(minutes=1)
    assert tokens.authenticate(token)
    assert last_used(core) == first


def test_a_refused_token_is_not_noted_as_used(core: Flask, cast: Cast, token: str) -> None:
    tokens.authenticate(token[:-6] + "xxxxxx")
    tokens.revoke_unchecked(public_id(token), by=SYSTEM)
    tokens.authenticate(token)
    assert last_used(core) is None


def test_everything_wrong_with_a_new_token_is_said_at_once(cast: Cast, clock: Clock) -> None:
    with pytest.raises(Invalid) as caught:
        tokens.create_unchecked(cast.acme.id, " ", scopes=["jobs:everything"], expires_at=clock.now(), by=SYSTEM)
    assert {fault.path for fault in caught.value.faults} == {("name",), ("scopes",), ("expires_at",)}
    with pytest.raises(Invalid):
        tokens.create_unchecked(cast.acme.id, "t", scopes=[], by=SYSTEM)


def test_a_workspace_lists_its_own_tokens_newest_first_the_revoked_last(cast: Cast, clock: Clock) -> None:
    names = []
    for name in ("first", "second", "third"):
        clock.advance(seconds=1)
        names.append(tokens.create_unchecked(cast.acme.id, name, by=SYSTEM)[0])
    tokens.revoke_unchecked(names[1].public_id, by=SYSTEM)
    assert [token.name for token in tokens.list_tokens(cast.acme.id)] == ["third", "first", "second"]
    assert tokens.list_tokens(cast.other.id) == []


def test_tokens_that_ended_stand_last_and_not_for_ever(core: Flask, cast: Cast, clock: Clock) -> None:
    soon = clock.now() + timedelta(days=1)
    revoked, _ = tokens.create_unchecked(cast.acme.id, "revoked", by=SYSTEM)
    clock.advance(seconds=1)
    tokens.create_unchecked(cast.acme.id, "expired", expires_at=soon, by=SYSTEM)
    tokens.create_unchecked(cast.acme.id, "good", by=SYSTEM)
    tokens.revoke_unchecked(revoked.public_id, by=SYSTEM)

    def names() -> list[str]:
        return [token.name for token in tokens.list_tokens(cast.acme.id)]

    clock.advance(days=2)
    assert names() == ["good", "expired", "revoked"]
    clock.advance(days=28, hours=12)
    assert names() == ["good", "expired"]
    clock.advance(days=1)
    assert names() == ["good"]
    assert tokens.get(cast.acme.id, revoked.id).name == "revoked"


def test_of_many_tokens_that_ended_the_newest_are_listed(core: Flask, cast: Cast) -> None:
    for number in range(tokens.MAX_ENDED + 2):
        token, _ = tokens.create_unchecked(cast.acme.id, f"token {number}", by=SYSTEM)
        tokens.revoke_unchecked(token.public_id, by=SYSTEM)
    names = [token.name for token in tokens.list_tokens(cast.acme.id)]
    assert names == [f"token {number}" for number in range(tokens.MAX_ENDED + 1, 1, -1)]


def test_each_token_is_another(cast: Cast) -> None:
    texts = {tokens.create_unchecked(cast.acme.id, "t", by=SYSTEM)[1] for _ in range(20)}
    assert len({public_id(text) for text in texts}) == len({text.split("_")[2] for text in texts}) == 20
    assert uuid.UUID(str(tokens.list_tokens(cast.acme.id)[0].id)).version == 7


# --- rotated, and when they end ----------------------------------------------------------------------------------


def rotate(text: str, **days: float) -> tuple[ApiToken, str]:
    return tokens.rotate_unchecked(public_id(text), overlap=timedelta(**days), expires_at=None, by=SYSTEM)


def test_a_rotated_token_and_its_successor_both_work_until_the_overlap_is_over(
    cast: Cast, token: str, clock: Clock
) -> None:
    new, text = rotate(token, days=7)
    old = db.session.scalar(sa.select(ApiToken).where(ApiToken.public_id == public_id(token)))
    assert old
    assert (new.name, new.scopes, new.workspace_id) == (old.name, old.scopes, old.workspace_id)
    for accepted in (token, text):
        bearer = tokens.authenticate(accepted)
        assert bearer
        assert bearer.workspace_id == cast.acme.id
    clock.advance(days=7)
    assert tokens.authenticate(token) is None
    assert tokens.authenticate(text)
    (line,) = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "token.rotated"))
    assert (line.resource, (line.detail or {})["by"]) == (old.ref, new.public_id)


def test_without_an_overlap_the_old_token_ends_at_once(cast: Cast, token: str) -> None:
    _, text = rotate(token)
    assert tokens.authenticate(token) is None
    assert tokens.authenticate(text)


def test_an_overlap_never_lengthens_the_life_of_a_token(cast: Cast, clock: Clock) -> None:
    end = clock.now() + timedelta(days=1)
    _, text = tokens.create_unchecked(cast.acme.id, "t", expires_at=end, by=SYSTEM)
    rotate(text, days=7)
    rotate(text, days=30)
    assert db.session.scalar(sa.select(ApiToken.expires_at).where(ApiToken.public_id == public_id(text))) == end


def test_a_token_that_ended_is_not_rotated_and_no_overlap_is_longer_than_a_quarter(
    cast: Cast, token: str, clock: Clock
) -> None:
    for days in (-1, 90.5):
        with pytest.raises(Invalid):
            rotate(token, days=days)
    tokens.revoke_unchecked(public_id(token), by=SYSTEM)
    _, expired = tokens.create_unchecked(cast.acme.id, "t", expires_at=clock.advance(days=1) + timedelta(1), by=SYSTEM)
    clock.advance(days=2)
    for text in (token, expired):
        with pytest.raises(Conflict) as refused:
            rotate(text, days=7)
        assert refused.value.code == "token_ended"
    with pytest.raises(NotFound):
        rotate("cb_nobody_x", days=7)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(ApiToken)) == 2


def test_a_token_of_another_workspace_cannot_be_rotated(cast: Cast, token: str) -> None:
    principal = tokens.authenticate(token)
    assert principal
    cleo = workspaces.get_membership("other", cast.cleo.id)
    with pytest.raises(NotFound):
        tokens.rotate(cleo, principal.id, overlap=timedelta(0), expires_at=None, by=SYSTEM)
    assert tokens.authenticate(token)


SCANNED = re.compile(r"\bcb_([0-9a-f]{12})_([0-9a-f]{48})([0-9a-f]{8})\b")
"""The pattern that docs/tokens.md gives to secret scanners."""


def test_a_scanner_knows_a_token_by_its_form_and_its_checksum(cast: Cast) -> None:
    assert SCANNED.pattern in (ROOT / "docs" / "tokens.md").read_text()
    for _ in range(20):
        _, text = tokens.create_unchecked(cast.acme.id, "t", by=SYSTEM)
        match = SCANNED.search(f"TOKEN='{text}'")
        assert match
        assert f"{zlib.crc32(text[:-8].encode()):08x}" == match[3]


def test_a_token_from_before_there_were_checksums_goes_on_working(cast: Cast, token: str) -> None:
    old = "a" * 48
    db.session.execute(sa.update(ApiToken).values(secret_hash=hash_secret(old)))
    db.session.commit()
    assert tokens.authenticate(f"cb_{public_id(token)}_{old}")
