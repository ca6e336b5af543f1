"""Passwords: which are refused because they are guessed first, and how they are hashed."""

import unicodedata

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask

from tests.support.people import PASSWORD, Cast
from webapp.core.accounts import accounts, passwords, sessions, weak_passwords
from webapp.core.accounts.passwords import find_password_faults
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.errors import Invalid
from webapp.core.models import User

HOME = "203.0.113.1"


@pytest.mark.parametrize(
    "password",
    [
        "1234567890", "qwertyuiop", "Password123", "1q2w3e4r5t", "manchester", " password123 ",
        "aaaaaaaaaa", " " * 10, "ababababab", "1212312123", "ääääääääääää",
        "abcdefghij", "zyxwvutsrq", "23456789:;",
        "ada@example.com", "ADA@EXAMPLE.COM1", "Lovelace99", "adalovelace", "ada.lovelace.1", "lovelacelovelace",
        "callboard1", "Callboard2026", "callboard-ada",
    ],
)  # fmt: skip
def test_what_is_guessed_first_is_refused_with_a_sentence(password: str) -> None:
    [fault] = find_password_faults(password, "ada@example.com", "Ada Lovelace")
    assert fault.path == ("password",)
    assert fault.detail.endswith(".")
    assert password not in fault.detail


@pytest.mark.parametrize(
    "password",
    [PASSWORD, "another horse battery", "kx8Tqz!p2v", "Ada likes cold tea", "tea at the board", "пароль для доски"],
)
def test_what_is_not_is_taken(password: str) -> None:
    assert find_password_faults(password, "ada@example.com", "Ada Lovelace") == []


def test_every_common_password_is_refused_and_none_is_too_short_anyway() -> None:
    common = weak_passwords._read_common_passwords()
    assert len(common) == 1090
    assert min(map(len, common)) == passwords.MIN_LENGTH
    assert all(find_password_faults(password) for password in common)


@pytest.mark.usefixtures("core")
class TestAnAccount:
    def test_its_own_words_are_refused_wherever_its_password_is_set(self, cast: Cast) -> None:
        with pytest.raises(Invalid):
            accounts.create("dora@example.com", "Dora Diaz", "dora.diaz.2026", by=SYSTEM)
        with pytest.raises(Invalid):
            accounts.set_password(cast.ada, "ada@example.com", by=SYSTEM)
        signed_in = sessions.sign_in("ada@example.com", PASSWORD, address=HOME).browser_session
        with pytest.raises(Invalid):
            accounts.change_password(signed_in, PASSWORD, "Ada@Example.Com", by=SYSTEM)

    def test_a_password_is_the_same_however_a_keyboard_sends_its_accents(self, cast: Cast) -> None:
        composed = unicodedata.normalize("NFC", "größe übermorgen")
        decomposed = unicodedata.normalize("NFD", composed)
        assert composed != decomposed
        for stored, typed in ((composed, decomposed), (decomposed, composed)):
            accounts.set_password(cast.ada, stored, by=SYSTEM)
            sessions.sign_in("ada@example.com", typed, address=HOME)

    def test_what_was_hashed_as_it_was_typed_still_opens(self, cast: Cast) -> None:
        decomposed = unicodedata.normalize("NFD", "größe übermorgen")
        old_hash = passwords._hasher.hash(decomposed)
        db.session.execute(sa.update(User).where(User.id == cast.ada.id).values(password_hash=old_hash))
        db.session.commit()
        sessions.sign_in("ada@example.com", decomposed, address=HOME)

    def test_signing_in_hashes_anew_what_was_hashed_with_other_parameters(
        self, core: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read_hash() -> str:
            db.session.commit()
            return db.session.scalar(sa.select(User.password_hash).where(User.id == cast.ada.id)) or ""

        before = read_hash()
        sessions.sign_in("ada@example.com", PASSWORD, address=HOME)
        assert read_hash() == before
        monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
        elsewhere = sessions.sign_in("ada@example.com", PASSWORD, address=HOME)
        assert "m=16,t=2" in read_hash()
        assert sessions.find_session(elsewhere.secret)
        sessions.sign_in("ada@example.com", PASSWORD, address=HOME)
