"""Accounts: passwords and sessions."""

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher, extract_parameters
from flask import Flask

from tests.support.clock import Clock
from tests.support.people import PASSWORD, Cast
from webapp.core.accounts import accounts, passwords, sessions
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.accounts.sessions import WrongPassword
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Invalid, NotFound
from webapp.core.models import AuditEntry, BrowserSession, User
from webapp.core.workspaces import offboarding

HOME, AWAY = "203.0.113.1", "198.51.100.1"
UNPATCHED_NOBODY = passwords._NOBODY


def sign_in(email: str = "ada@example.com", address: str = HOME) -> str:
    return sessions.sign_in(email, PASSWORD, address=address)[1]


def count_sessions() -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(BrowserSession)) or 0


@pytest.mark.usefixtures("core")
class TestSessions:
    def test_the_right_password_opens_a_session_of_14_days_that_use_does_not_lengthen(
        self, cast: Cast, clock: Clock
    ) -> None:
        secret = sign_in()
        clock.advance(days=13)
        session = sessions.find_session(secret, idle_timeout=sessions.LIFETIME)
        assert session is not None
        assert session.user.email == "ada@example.com"
        sessions.touch(session)
        clock.advance(hours=23, minutes=59, seconds=59)
        assert sessions.find_session(secret) is not None
        clock.advance(seconds=1)
        assert sessions.find_session(secret) is None

    def test_signing_out_deletes_the_session_so_that_a_copied_cookie_is_worth_nothing(self, cast: Cast) -> None:
        secret, elsewhere = sign_in(), sign_in()
        session = sessions.find_session(secret)
        assert session is not None
        sessions.sign_out(session)
        assert count_sessions() == 1
        assert sessions.find_session(secret) is None
        assert sessions.find_session(elsewhere) is not None

    def test_a_new_password_signs_out_everywhere_and_the_old_one_opens_nothing(self, cast: Cast) -> None:
        mine, theirs = sign_in(), sign_in("ben@example.com")
        accounts.set_password(cast.ada, "another horse battery", by=SYSTEM)
        assert sessions.find_session(mine) is None
        assert sessions.find_session(theirs) is not None
        with pytest.raises(WrongPassword):
            sign_in()
        sessions.sign_in("ada@example.com", "another horse battery", address=HOME)

    def test_a_closed_account_is_signed_out_and_stays_out(self, cast: Cast) -> None:
        secret = sign_in()
        for _ in range(2):
            offboarding.deactivate(cast.ada, by=SYSTEM)
        assert sessions.find_session(secret) is None
        with pytest.raises(WrongPassword):
            sign_in()
        closings = sa.select(sa.func.count()).where(AuditEntry.action == "user.deactivated")
        assert db.session.scalar(closings) == 1

    def test_the_secret_of_a_session_is_not_in_the_database(self, cast: Cast) -> None:
        secret = sign_in()
        row = db.session.execute(sa.select(BrowserSession.__table__)).one()
        assert secret not in map(str, row)
        assert sessions.find_session(row.secret_hash) is None

    @pytest.mark.parametrize("change", ["deactivate", "set_password"])
    def test_an_account_that_changes_while_its_password_is_checked_gets_no_session(
        self, change: str, core: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        matches = passwords.verify_password

        def matches_meanwhile(password_hash: str, password: str) -> bool:
            with core.app_context():
                if change == "deactivate":
                    offboarding.deactivate(cast.ada, by=SYSTEM)
                else:
                    accounts.set_password(cast.ada, "another horse battery", by=SYSTEM)
            return matches(password_hash, password)

        monkeypatch.setattr(passwords, "verify_password", matches_meanwhile)
        with pytest.raises(WrongPassword):
            sign_in()
        assert count_sessions() == 0

    def test_no_connection_is_held_while_a_password_is_checked(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = []
        matches = passwords.verify_password

        def matches_watched(password_hash: str, password: str) -> bool:
            held.append(db.engine.pool.checkedout())  # type: ignore[attr-defined]
            return matches(password_hash, password)

        monkeypatch.setattr(passwords, "verify_password", matches_watched)
        sign_in()
        assert held == [0]

    def test_a_session_whose_account_was_closed_behind_its_back_is_worth_nothing(
        self, cast: Cast, clock: Clock
    ) -> None:
        secret = sign_in()
        with write_transaction() as session:
            session.execute(sa.update(User).where(User.id == cast.ada.id).values(deactivated_at=clock.now()))
        assert sessions.find_session(secret) is None

    def test_two_that_note_it_in_the_same_minute_leave_one_mark(self, cast: Cast, clock: Clock) -> None:
        signed_in = sessions.find_session(sign_in())
        assert signed_in is not None
        at = clock.advance(minutes=1)
        sessions.touch(signed_in)
        clock.advance(seconds=1)
        # What this one read is a minute old by now.
        sessions.touch(signed_in)
        assert db.session.scalar(sa.select(BrowserSession.__table__.c.last_seen_at)) == at

    def test_being_here_is_noted_at_most_once_a_minute(self, cast: Cast, clock: Clock) -> None:
        signed_in = sessions.find_session(sign_in())
        assert signed_in is not None
        begun = clock.now()
        clock.advance(seconds=59)
        sessions.touch(signed_in)
        assert db.session.scalar(sa.select(BrowserSession.__table__.c.last_seen_at)) == begun
        at = clock.advance(seconds=1)
        sessions.touch(signed_in)
        assert db.session.scalar(sa.select(BrowserSession.__table__.c.last_seen_at)) == at

    def test_a_session_in_which_no_page_is_opened_ends_before_its_fourteen_days(self, cast: Cast, clock: Clock) -> None:
        secret, day = sign_in(), timedelta(hours=24)
        clock.advance(hours=23, minutes=59)
        signed_in = sessions.find_session(secret, idle_timeout=day)
        assert signed_in is not None
        sessions.touch(signed_in)
        clock.advance(hours=23, minutes=59)
        assert sessions.find_session(secret, idle_timeout=day)
        assert len(sessions.list_sessions(cast.ada, idle_timeout=day)) == 1
        clock.advance(minutes=1)
        assert sessions.find_session(secret, idle_timeout=day) is None
        assert sessions.list_sessions(cast.ada, idle_timeout=day) == []

    def test_sessions_that_have_ended_are_swept_at_the_next_sign_in(self, cast: Cast, clock: Clock) -> None:
        sign_in()
        clock.advance(days=14)
        sign_in()
        assert count_sessions() == 1


@pytest.mark.usefixtures("core")
class TestPasswords:
    def test_two_passwords_are_checked_at_once_two_wait_and_the_next_is_refused_at_once(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, may_end = threading.Semaphore(0), threading.Event()

        class SlowHasher:
            def verify(self, *_: str) -> bool:
                begun.release()
                return may_end.wait(20)

        monkeypatch.setattr(passwords, "_hasher", SlowHasher())
        with ThreadPoolExecutor(5) as people:
            checks = [people.submit(passwords.verify_password, "hash", "password") for _ in range(5)]
            try:
                (refused,), _ = wait(checks, timeout=20, return_when=FIRST_COMPLETED)
                assert isinstance(refused.exception(), TooManyAttempts)
                with pytest.raises(TooManyAttempts) as caught:
                    sign_in()
                assert caught.value.retry_after == 2
                assert begun.acquire(timeout=20)
                assert begun.acquire(timeout=20)
                assert not begun.acquire(blocking=False)
            finally:
                may_end.set()
            assert all(check.result() for check in checks if check is not refused)
        assert passwords.verify_password("hash", "password")

    @pytest.mark.parametrize("email", ["nobody@example.com", "", "a\0b", "x" * 10_000])
    def test_an_unknown_account_is_refused_in_the_same_words(self, email: str, cast: Cast) -> None:
        with pytest.raises(WrongPassword) as unknown:
            sessions.sign_in(email, PASSWORD, address=HOME)
        with pytest.raises(WrongPassword) as known:
            sessions.sign_in("ada@example.com", "wrong", address=HOME)
        assert str(unknown.value) == str(known.value)


def test_an_unknown_account_costs_as_much_to_refuse_as_a_known_one() -> None:
    nobody, real = extract_parameters(UNPATCHED_NOBODY), extract_parameters(PasswordHasher().hash("x"))
    for cost in ("type", "version", "memory_cost", "time_cost", "parallelism", "hash_len"):
        assert getattr(nobody, cost) == getattr(real, cost), cost


WRITTEN_IN_SEVERAL_WAYS = [
    ["dieter@bücher.example", "Dieter@xn--bcher-kva.example", "DIETER@BÜCHER.EXAMPLE", "dieter@bu\u0308cher.example "],
    ["josé@example.com", "jose\u0301@example.com", "JOSÉ@Example.com", "JOSE\u0301@EXAMPLE.COM"],
    ["ana@例え.jp", "ana@xn--r8jz45g.jp", "\tAna@XN--R8JZ45G.jp\n"],
]


@pytest.mark.usefixtures("core")
class TestAnAccount:
    def test_it_is_found_by_its_address_in_any_case(self, cast: Cast) -> None:
        assert accounts.get_by_email(" Ada@Example.COM").id == cast.ada.id
        with pytest.raises(NotFound):
            accounts.get_by_email("nobody@example.com")

    @pytest.mark.parametrize("forms", WRITTEN_IN_SEVERAL_WAYS)
    def test_an_address_is_the_same_however_it_is_written(self, forms: list[str]) -> None:
        for number, created in enumerate(forms):
            user = accounts.create(created, "Anybody", PASSWORD, by=SYSTEM)
            assert user.email == forms[0]
            for other in forms:
                assert accounts.get_by_email(other).id == user.id
                assert accounts.has_account(other)
                with pytest.raises(Conflict):
                    accounts.create(other, "Somebody", PASSWORD, by=SYSTEM)
            assert sessions.sign_in(forms[-1 - number], PASSWORD, address=HOME)[0].user_id == user.id
            with write_transaction() as session:
                session.execute(sa.delete(User).where(User.id == user.id))

    @pytest.mark.parametrize("text", ["", "@", "a@b@c", "x" * 2000 + "@example.com", "xn--@xn--a.de"])
    def test_what_is_no_address_has_no_account(self, text: str) -> None:
        assert accounts.parse_email(text) is None
        assert not accounts.has_account(text)

    def test_there_is_one_for_each_address(self, cast: Cast) -> None:
        with pytest.raises(Conflict) as refused:
            accounts.create("ADA@example.com", "Another Ada", PASSWORD, by=SYSTEM)
        assert refused.value.code == "email_taken"
        assert len(accounts.list_all()) == 3

    def test_everything_wrong_with_a_new_one_is_said_at_once(self) -> None:
        with pytest.raises(Invalid) as caught:
            accounts.create("no address", " ", "too short", by=SYSTEM)
        assert {fault.path for fault in caught.value.faults} == {("email",), ("name",), ("password",)}
        assert "too short" not in str(caught.value)

    @pytest.mark.parametrize(("length", "good"), [(9, False), (10, True), (1000, True), (1001, False)])
    def test_a_password_has_10_to_1000_characters(self, length: int, good: bool, cast: Cast) -> None:
        password = ("größer " * length)[:length]
        if good:
            accounts.set_password(cast.ada, password, by=SYSTEM)
            sessions.sign_in("ada@example.com", password, address=HOME)
        else:
            with pytest.raises(Invalid):
                accounts.set_password(cast.ada, password, by=SYSTEM)

    def test_a_session_lives_14_days(self) -> None:
        assert timedelta(days=14) == sessions.LIFETIME
