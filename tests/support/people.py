"""People, their workspaces and their tokens."""

from dataclasses import dataclass

import pytest
from flask import Flask

from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.models import Role, User, Workspace
from webapp.core.workspaces import members, tokens, workspaces

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Cast:
    """Ada owns acme, Ben is a member of it; Cleo owns other and is a stranger to acme."""

    ada: User
    ben: User
    cleo: User
    acme: Workspace
    other: Workspace


@pytest.fixture
def cast(app: Flask) -> Cast:
    with app.app_context():
        ada = accounts.create("ada@example.com", "Ada", PASSWORD, by=SYSTEM)
        ben = accounts.create("ben@example.com", "Ben", PASSWORD, by=SYSTEM)
        cleo = accounts.create("cleo@example.com", "Cleo", PASSWORD, by=SYSTEM)
        acme = workspaces.create("Acme", "acme", owner=ada, by=SYSTEM)
        other = workspaces.create("Other", "other", owner=cleo, by=SYSTEM)
        members.add_unchecked(acme, ben, Role.MEMBER, by=SYSTEM)
    return Cast(ada, ben, cleo, acme, other)


@pytest.fixture
def token(app: Flask, cast: Cast) -> str:
    """The text of a runner's token for acme: it may read and write."""
    with app.app_context():
        return tokens.create_unchecked(cast.acme.id, "a runner of acme", by=SYSTEM)[1]


@pytest.fixture
def other_token(app: Flask, cast: Cast) -> str:
    """The text of a runner's token for the other workspace."""
    with app.app_context():
        return tokens.create_unchecked(cast.other.id, "a runner of other", by=SYSTEM)[1]
