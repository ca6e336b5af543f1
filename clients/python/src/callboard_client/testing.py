"""Record what jobs report, without a board: for tests of code that uses this client.

from callboard_client.testing import record_jobs
from shop.jobs import client, generate_report

def test_a_report_counts_its_pages():
    with record_jobs(client) as recorder:
        generate_report("2026-10")
    job = recorder.get_job()
    assert (job.status, job.progress_reports, job.result) == ("completed", [50, 100], {"pages": 2})
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from callboard_client._clock import utc_now
from callboard_client._memory_board import LogLine, MemoryBoard, RecordedJob
from callboard_client._outbox import Entry, TrackedJob
from callboard_client._sender import INTERVAL, Sender, StopCall, call_back
from callboard_client._transport import Transport
from callboard_client.async_client import AsyncClient
from callboard_client.client import Client
from callboard_client.errors import CallboardError
from callboard_client.record import JobRecord

__all__ = ["LogLine", "RecordedJob", "Recorder", "record_jobs"]


class _ImmediateSender(Sender):
    """Send each entry in the thread that queues it, before the call returns."""

    def __init__(self, board: MemoryBoard) -> None:
        super().__init__(board)
        # One thread sends at a time, and nobody cancels meanwhile.
        self._turn = board.lock
        self._is_sending = False

    def submit(self, entry: Entry, *, timeout: float = 0) -> JobRecord | CallboardError | None:
        super().submit(entry, timeout=0)
        call_back(self._send_all())
        return entry.outcome

    def report(self, job: TrackedJob, fields: Mapping[str, Any]) -> None:
        super().report(job, fields)
        call_back(self._send_all())

    def log(self, job: TrackedJob, lines: Sequence[dict[str, Any]], omitted: int = 0) -> None:
        super().log(job, lines, omitted)
        call_back(self._send_all())

    def send_heartbeats(self) -> list[StopCall]:
        """Report all jobs that run, so that they learn of a stop; return the calls of those that wait for one."""
        with self._changed:
            for job in self._schedule.heartbeats:
                if not job.stop:
                    self._outbox.merge_report(job, {}, utc_now())
        return self._send_all()

    def flush(self, timeout: float = 0) -> bool:
        return True

    def close(self, timeout: float = 0) -> None:
        """Stay open: the code under test may close its client, and the next test of the same client goes on."""

    def _wake(self) -> bool:
        return False

    def _send_all(self) -> list[StopCall]:
        calls: list[StopCall] = []
        with self._turn:
            # What is queued while an entry is sent, the call that sends it goes on with.
            if self._is_sending:
                return calls
            self._is_sending = True
            try:
                while entries := self._next_batch():
                    calls += self._send(entries)
            finally:
                self._is_sending = False
        return calls

    def _next_batch(self) -> list[Entry]:
        with self._changed:
            return self._outbox.next_batch()


class _RecordedClient(Client):
    """A client that asks no environment which board there is."""

    def __init__(self, transport: Transport, sender: Sender) -> None:
        self._settings = (None, None, 10.0, None, None, False, INTERVAL)
        self._strict = False
        self._runner = None
        self._transport = transport
        self._sender = sender


class Recorder:
    """What was recorded, and a client that is recorded: in memory, in this process alone, without a thread.

    A report is recorded before its call returns, and none replaces another. Values are checked and made JSON as for a
    board, and the status of a job changes by the same rules; the board's limits of size are not applied.
    """

    def __init__(self) -> None:
        self._board = MemoryBoard(self._send_heartbeats)
        self._sender = _ImmediateSender(self._board)
        self.client: Client = _RecordedClient(self._board, self._sender)
        """A client to hand to the code under test, where it takes one."""

    @property
    def jobs(self) -> list[RecordedJob]:
        """All jobs, in the order in which they were created."""
        return list(self._board.jobs)

    def get_job(self, type: str | None = None) -> RecordedJob:
        """Return the only job, or the only one of a type. Raises ``AssertionError`` if there are none or several."""
        jobs = [job for job in self._board.jobs if type in (None, job.type)]
        recorded = ", ".join(f"{job.type} ({job.status})" for job in self._board.jobs) or "none"
        of_type = "" if type is None else f" of type {type!r}"
        if len(jobs) != 1:
            raise AssertionError(f"Expected one job{of_type}, not {len(jobs)}. Recorded jobs: {recorded}.")
        return jobs[0]

    def cancel_when(self, condition: Callable[[RecordedJob], bool]) -> None:
        """Cancel each job of which this is true when it is created or reported, as an operator would at that moment.

        The work learns of it at its next report: ``recorder.cancel_when(lambda job: job.progress >= 50)``.
        """
        self._board.cancel_conditions.append(condition)

    def _send_heartbeats(self) -> Sequence[StopCall]:
        return self._sender.send_heartbeats()


@contextmanager
def record_jobs(client: Client | AsyncClient | None = None) -> Iterator[Recorder]:
    """Record the jobs of ``client`` while the block runs; without one, those of the recorder's own ``client``.

    Jobs that were made before the block report to where they did. Nested blocks record apart from each other.
    """
    recorder = Recorder()
    recorded = client._client if isinstance(client, AsyncClient) else client
    if recorded is None:
        yield recorder
        return
    original = recorded._transport, recorded._sender
    recorded._transport, recorded._sender = recorder._board, recorder._sender
    try:
        yield recorder
    finally:
        recorded._transport, recorded._sender = original
