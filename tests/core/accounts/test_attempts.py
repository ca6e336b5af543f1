"""Attempts to sign in: how many may fail, whom strangers cannot lock out, and what is written down of them."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.concurrency import refusals_at_once
from tests.support.people import PASSWORD, Cast
from webapp.core import clock as core_clock
from webapp.core.accounts import accounts, attempts, sessions
from webapp.core.accounts.attempts import Visitor, claim, find_network, list_sign_ins
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.accounts.sessions import WrongPassword
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Invalid
from webapp.core.models import LoginFailure, SignIn, SignInOutcome, User, new_id

HOME, AWAY = "203.0.113.1", "198.51.100.1"
ADA, BEN = "ada@example.com", "ben@example.com"
BROWSER = "the browser that Ada uses every day"


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that strangers were made to wait; the tests do not."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def fail(email: str, address: str = HOME, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            sessions.sign_in(email, "wrong horse battery", address=address)


def add_failures(*attempts_of: tuple[str, str]) -> None:
    """Put down at once what as many wrong passwords leave: the account of each, and where it came from."""
    at = core_clock.now()
    rows = [{"id": new_id(at), "email": email, "address": a, "network": a, "at": at} for email, a in attempts_of]
    with write_transaction() as session:
        session.execute(sa.insert(LoginFailure), rows)


def fail_from_everywhere(email: str, times: int) -> None:
    add_failures(*((email, f"192.0.2.{number}") for number in range(times)))


def fail_as_everybody(address: str, times: int) -> None:
    add_failures(*((f"guess{number}@example.com", address) for number in range(times)))


def sign_in(email: str = ADA, address: str = HOME) -> None:
    sessions.sign_in(email, PASSWORD, address=address)


def sign_in_with_known_browser(user: User, address: str = HOME, password: str = PASSWORD) -> None:
    sessions.sign_in(user.email, password, address=address, browsers={user.id: BROWSER})


def refuse(act: Callable[[], object]) -> TooManyAttempts:
    with pytest.raises(TooManyAttempts) as caught:
        act()
    return caught.value


def count_failures() -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(LoginFailure)) or 0


@pytest.mark.usefixtures("core", "cast", "clock")
class TestOneAddress:
    def test_after_ten_failures_from_an_address_even_the_right_password_is_refused(self) -> None:
        fail(ADA, times=9)
        sign_in()
        fail(ADA)
        refuse(sign_in)
        refuse(lambda: sign_in(" ADA@example.com "))

    def test_the_same_account_from_elsewhere_and_others_from_here_may_still_try(self) -> None:
        fail(ADA, times=10)
        sign_in(ADA, AWAY)
        sign_in(BEN, HOME)

    def test_a_hundred_failures_from_an_address_close_it_to_strangers(self) -> None:
        fail_as_everybody(HOME, 99)
        sign_in("cleo@example.com")
        fail("guess99@example.com")
        refuse(sign_in)
        sign_in(ADA, AWAY)

    def test_a_hundred_failures_of_a_neighbour_lock_out_nobody_who_was_here_before(self, clock: Clock) -> None:
        sign_in(BEN)
        clock.advance(days=89)
        fail_as_everybody(HOME, 100)
        refuse(sign_in)
        sign_in(BEN)
        fail(BEN, times=10)
        refuse(lambda: sign_in(BEN))

    def test_it_lets_go_ten_minutes_after_the_failures_and_says_when(self, clock: Clock) -> None:
        fail(ADA, times=5)
        clock.advance(minutes=4)
        fail(ADA, times=5)
        wait = refuse(sign_in).retry_after
        assert 6 * 60 <= wait <= 6 * 60 + 1
        clock.advance(seconds=wait - 2)
        refuse(sign_in)
        clock.advance(seconds=2)
        sign_in()

    def test_an_attempt_while_the_door_is_closed_does_not_keep_it_closed(self, clock: Clock) -> None:
        fail(ADA, times=10)
        for _ in range(9):
            clock.advance(minutes=1)
            refuse(sign_in)
        clock.advance(minutes=1)
        sign_in()

    @pytest.mark.parametrize(
        ("address", "network"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("fe80::1%eth0", "fe80::/64"),
            ("unknown", "unknown"),
        ],
    )
    def test_an_ipv6_address_counts_as_its_network(self, address: str, network: str) -> None:
        assert find_network(address) == network

    def test_guesses_from_a_whole_ipv6_network_are_counted_together(self) -> None:
        for number in range(10):
            fail(ADA, f"2001:db8:1:2::{number:x}")
        refuse(lambda: sign_in(ADA, "2001:db8:1:2:ffff::1"))
        sign_in(ADA, "2001:db8:1:3::1")


@pytest.mark.usefixtures("core", "clock")
class TestOneAccount:
    def test_guesses_from_many_addresses_are_delayed_more_and_more_and_then_refused(
        self, cast: Cast, delays: list[float]
    ) -> None:
        fail_from_everywhere(ADA, 9)
        fail(ADA, AWAY)
        assert delays == []
        fail(ADA, "192.0.3.1")
        fail_from_everywhere(ADA, 8)
        fail(ADA, "192.0.3.2")
        fail(ADA, "192.0.3.3")
        assert delays == [1, 1, 2]
        fail_from_everywhere(ADA, 28)
        fail(ADA, "192.0.3.4")
        assert delays[3:] == [4]
        assert 0 < refuse(lambda: sign_in(ADA, AWAY)).retry_after <= 3600
        sign_in(BEN, AWAY)

    def test_a_known_browser_passes_undelayed_whatever_strangers_do(self, cast: Cast, delays: list[float]) -> None:
        fail_from_everywhere(ADA, 50)
        refuse(lambda: sign_in(ADA, AWAY))
        delays.clear()
        sign_in_with_known_browser(cast.ada, AWAY)
        sign_in_with_known_browser(cast.ada, "192.0.2.1")
        assert delays == []

    def test_a_browser_is_known_to_the_account_that_was_used_in_it_alone(self, cast: Cast) -> None:
        fail_from_everywhere(ADA, 50)
        ben = {cast.ben.id: BROWSER}
        refuse(lambda: sessions.sign_in(ADA, PASSWORD, address=AWAY, browsers=ben))

    def test_a_known_browser_is_no_place_to_guess_and_closes_nothing_else(self, cast: Cast) -> None:
        for number in range(10):
            with pytest.raises(WrongPassword):
                sign_in_with_known_browser(cast.ada, f"192.0.2.{number}", "wrong horse battery")
        refuse(lambda: sign_in_with_known_browser(cast.ada, AWAY))
        sign_in()

    def test_so_many_are_delayed_at_once_and_no_more_threads_are_held(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail_from_everywhere(ADA, 10)
        for _ in range(attempts.DELAYS_AT_ONCE):
            assert attempts._delays.acquire(blocking=False)
        try:
            assert refuse(lambda: sign_in(ADA, AWAY)).retry_after == 1
            sign_in(BEN, AWAY)
        finally:
            for _ in range(attempts.DELAYS_AT_ONCE):
                attempts._delays.release()
        sign_in(ADA, AWAY)

    def test_no_connection_is_held_while_somebody_is_delayed(self, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        fail_from_everywhere(ADA, 10)
        held = []
        pool = db.engine.pool
        monkeypatch.setattr(time, "sleep", lambda _: held.append(pool.checkedout()))  # type: ignore[attr-defined]
        fail(ADA, AWAY)
        assert held == [0]

    def test_an_hour_later_the_account_is_open_to_strangers_again(self, cast: Cast, clock: Clock) -> None:
        fail_from_everywhere(ADA, 50)
        clock.advance(hours=1)
        sign_in(ADA, AWAY)

    def test_successes_never_count(self, cast: Cast) -> None:
        for _ in range(12):
            sign_in()
        assert count_failures() == 0

    def test_the_present_password_is_counted_by_session_and_right_ones_are_not(self, cast: Cast) -> None:
        by = Actor(cast.ada.ref, HOME)
        here, elsewhere = (sessions.sign_in(ADA, PASSWORD, address=HOME).browser_session for _ in range(2))
        for _ in range(12):
            accounts.check_password(here, PASSWORD, by=by)
        for _ in range(10):
            with pytest.raises(Invalid):
                accounts.check_password(here, "wrong horse battery", by=by)
        refuse(lambda: accounts.check_password(here, PASSWORD, by=by))
        accounts.check_password(elsewhere, PASSWORD, by=by)
        sign_in()


class TestAtOnce:
    @pytest.mark.parametrize("known", [True, False])
    def test_of_many_attempts_at_once_no_more_are_let_through_than_may_fail(
        self, known: bool, core: Flask, cast: Cast
    ) -> None:
        browser = BROWSER if known else None
        tries = [partial(claim, ADA, cast.ada, Visitor(HOME, None), browser=browser) for _ in range(24)]
        refusals = refusals_at_once(core, *tries)
        assert sum(isinstance(refusal, TooManyAttempts) for refusal in refusals) == 14
        assert count_failures() == 10

    def test_of_many_accounts_at_once_no_more_are_tried_from_an_address_than_may_fail(
        self, core: Flask, cast: Cast
    ) -> None:
        fail_as_everybody(HOME, 95)
        tries = [partial(claim, f"more{n}@example.com", None, Visitor(HOME, None), browser=None) for n in range(12)]
        assert refusals_at_once(core, *tries).count(None) == 5

    def test_of_many_addresses_at_once_no_more_try_an_account_than_may_fail(
        self, core: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail_from_everywhere(ADA, 45)
        monkeypatch.setattr(attempts, "_delays", threading.BoundedSemaphore(12))
        tries = [partial(claim, ADA, cast.ada, Visitor(f"192.0.3.{n}", None), browser=None) for n in range(12)]
        assert refusals_at_once(core, *tries).count(None) == 5


@pytest.mark.usefixtures("core", "clock")
class TestWhatIsWrittenDown:
    def test_a_person_sees_what_was_right_wrong_and_refused_with_where_from(self, cast: Cast, clock: Clock) -> None:
        sessions.sign_in(ADA, PASSWORD, address=HOME, user_agent="Firefox")
        clock.advance(minutes=1)
        fail(ADA, AWAY, times=10)
        clock.advance(minutes=1)
        refuse(lambda: sign_in(ADA, AWAY))
        fail(BEN)
        rows = list_sign_ins(cast.ada, 20)
        assert [row.outcome for row in rows] == ["blocked", *["failed"] * 10, "signed_in"]
        assert {(row.address, row.user_agent) for row in rows} == {(AWAY, None), (HOME, "Firefox")}
        assert list_sign_ins(cast.ada, 3) == rows[:3]

    def test_that_attempts_are_refused_is_written_down_once_a_minute(self, cast: Cast, clock: Clock) -> None:
        fail(ADA, times=10)
        for _ in range(5):
            refuse(sign_in)
        clock.advance(seconds=61)
        refuse(sign_in)
        blocked = [row for row in list_sign_ins(cast.ada, 20) if row.outcome is SignInOutcome.BLOCKED]
        assert len(blocked) == 2

    def test_what_is_older_than_ninety_days_is_forgotten(self, cast: Cast, clock: Clock) -> None:
        sign_in()
        clock.advance(days=90, seconds=1)
        sign_in(BEN)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(SignIn)) == 1

    def test_failures_that_no_longer_count_are_forgotten(self, cast: Cast, clock: Clock) -> None:
        fail(ADA, times=3)
        clock.advance(minutes=61)
        fail(ADA)
        assert count_failures() == 1

    def test_the_log_names_the_event_the_address_and_the_account_and_not_what_was_typed(
        self, cast: Cast, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        fail(ADA, times=10)
        refuse(sign_in)
        fail("my secret password")
        fail_from_everywhere(BEN, 50)
        refuse(lambda: sign_in(BEN, AWAY))
        events = [(r.event, r.remote_addr, r.account) for r in caplog.records]  # type: ignore[attr-defined]
        ada, ben = f"user:{cast.ada.id}", f"user:{cast.ben.id}"
        assert events[:10] == [("sign_in.failed", HOME, ada)] * 10
        assert events[10:12] == [("sign_in.blocked", HOME, ada), ("sign_in.failed", HOME, "unknown")]
        assert events[-1] == ("account.blocked", AWAY, ben)
        assert "secret" not in caplog.text
        assert "horse" not in caplog.text

    def test_a_browser_is_new_to_an_account_that_has_been_signed_in_to_before(self, cast: Cast) -> None:
        def is_new(browsers: dict[object, str]) -> bool:
            return sessions.sign_in(ADA, PASSWORD, address=HOME, browsers=browsers).is_new_browser  # type: ignore[arg-type]

        assert not is_new({})
        assert is_new({})
        assert is_new({cast.ben.id: BROWSER})
        assert not is_new({cast.ada.id: BROWSER})
