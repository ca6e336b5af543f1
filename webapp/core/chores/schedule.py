"""Lists the board's own chores. ``flask maintain`` does them.

To add one, write a function that does all that is due and returns a sentence about what it did, and name it in
``list_chores``. It works in short pieces, each a transaction or a request of a few seconds at most, and asks
``go_on()`` between them: that keeps the lease and notices when it is time to stop. Two processes may once in a while do
the same chore at once, and an administrator may do it by hand at any time, so each piece must be decided in the
database, as jobs are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from webapp.core.chores import deleted_workspaces, liveness, retention
from webapp.core.jobs import store
from webapp.core.limits import usage
from webapp.core.webhooks import outbox, secrets, sender
from webapp.core.webhooks.outbound import Outbound

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


def _fail_overdue_jobs(go_on: GoOn) -> str:
    result = liveness.sweep(go_on)
    return f"Failed {result.timed_out} timed out and {result.lost} lost jobs."


def _delete_old_jobs(go_on: GoOn) -> str:
    return f"Deleted {retention.sweep(go_on)} jobs that are older than their workspace keeps them."


def _repeat(do_batch: Callable[[], int], go_on: GoOn) -> int:
    """Do one batch after another until one finds nothing to do or time is up; return what they did in all."""
    total = 0
    while count := do_batch():
        total += count
        if not go_on():
            break
    return total


def _delete_old_deliveries(go_on: GoOn) -> str:
    return f"Forgot {_repeat(outbox.delete_old, go_on)} old messages to webhooks."


def _delete_old_usage(go_on: GoOn) -> str:
    return f"Forgot {usage.delete_old()} counts of what was sent in a day."


def _encrypt_secrets(go_on: GoOn) -> str:
    return f"Encrypted {secrets.encrypt_plain()} secrets of webhooks that were stored as they are."


def _add_missing_error_groups(go_on: GoOn) -> str:
    grouped = _repeat(store.add_missing_error_groups, go_on)
    return f"Grouped the errors of {grouped} jobs that a server of an older release has failed."


def _delete_workspaces(go_on: GoOn) -> str:
    return f"Cleared away {deleted_workspaces.sweep(go_on)} deleted workspaces."


def list_chores(outbound: Outbound) -> Sequence[Chore]:
    """Return every chore; ``outbound`` is how webhooks are called."""

    def send_webhooks(go_on: GoOn) -> str:
        result = sender.send_due(outbound, go_on)
        return f"Made {result.attempts} attempts to call webhooks, {result.delivered} of them answered well."

    return (
        Chore("liveness", timedelta(seconds=5), _fail_overdue_jobs),
        Chore("retention", timedelta(minutes=15), _delete_old_jobs),
        Chore("webhooks", timedelta(seconds=2), send_webhooks),
        Chore("old-webhooks", timedelta(hours=1), _delete_old_deliveries),
        Chore("old-usage", timedelta(hours=1), _delete_old_usage),
        Chore("webhook-secrets", timedelta(minutes=15), _encrypt_secrets),
        Chore("error-groups", timedelta(minutes=15), _add_missing_error_groups),
        Chore("deleted-workspaces", timedelta(minutes=1), _delete_workspaces),
    )
