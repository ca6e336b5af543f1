"""The board's own chores, in one list. ``flask maintain`` does them; each stands where its noun does.

To add one, write a function that does all that is due and says in a sentence what it did, and name it in ``CHORES``.
It works in short pieces, each a transaction or a request of a few seconds at most, and asks ``go_on()`` between them:
that keeps the lease and notices when it is time to stop. Two processes may once in a while do the same chore at once,
and an administrator may do it by hand at any time, so each piece must be decided in the database, as jobs are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from webapp.core.chores import liveness, retention
from webapp.core.webhooks import outbox, sender
from webapp.core.workspaces import deletion

GoOn = Callable[[], bool]
"""Whether there is time for another piece. False ends the chore where it stands; the next time takes it up."""


@dataclass(frozen=True)
class Chore:
    """Something the board does by itself, again ``every`` so often after it was last done.

    ``name`` is that of its lease, of at most 40 characters.
    """

    name: str
    every: timedelta
    do: Callable[[GoOn], str]


def _judge_the_silent(go_on: GoOn) -> str:
    swept = liveness.sweep(go_on)
    return f"Failed {swept.timed_out} timed out and {swept.lost} lost jobs."


def _delete_the_old(go_on: GoOn) -> str:
    return f"Deleted {retention.sweep(go_on)} jobs that are older than their workspace keeps them."


def _send_webhooks(go_on: GoOn) -> str:
    sent = sender.send_due(go_on)
    return f"Made {sent.attempts} attempts to call webhooks, {sent.delivered} of them answered well."


def _forget_webhooks(go_on: GoOn) -> str:
    forgotten = 0
    while page := outbox.sweep_page():
        forgotten += page
        if not go_on():
            break
    return f"Forgot {forgotten} old messages to webhooks."


def _clear_away(go_on: GoOn) -> str:
    return f"Cleared away {deletion.sweep(go_on)} deleted workspaces."


CHORES = (
    Chore("liveness", timedelta(seconds=5), _judge_the_silent),
    Chore("retention", timedelta(minutes=15), _delete_the_old),
    Chore("webhooks", timedelta(seconds=2), _send_webhooks),
    Chore("old-webhooks", timedelta(hours=1), _forget_webhooks),
    Chore("deleted-workspaces", timedelta(minutes=1), _clear_away),
)
