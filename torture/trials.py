"""The ways in which the board is killed, and what each must survive."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import psutil
import sqlalchemy as sa

from torture.board import Board, kill, run_board, write_clock_module
from torture.journal import Journal
from torture.load import run_load
from torture.verify import Verdict, verify
from webapp.core.models import JobRun, Lease

WORK = 1.5
"""Seconds of undisturbed work before each kill, give or take half of it."""
RETURN_TIMEOUT = 120.0
"""Seconds within which the board must take reports again after a kill."""
FROZEN = 8.0
"""Seconds for which a database is frozen or locked."""
DISK_FULL = 5.0
"""Seconds for which the disk is full."""
DISK_SIZE = "192m"
CLOCKS_APART = 600
"""Seconds by which the clocks of two servers are ahead and behind."""
DELIVERY_TIMEOUT = 180.0
"""Seconds within which every message must have been delivered; a sender that is killed keeps its claim for a while."""
ENGINES = ("sqlite", "postgresql")


@dataclass
class Outcome:
    """What came of one trial on one engine."""

    trial: str
    engine: str
    kills: int
    verdict: Verdict
    refused: int
    """Requests that were answered "try again", or not at all; all of them were tried again."""
    unexpected: Mapping[str, int]
    returned_after: Sequence[float] = field(default_factory=list)
    """Seconds from the end of each disturbance to the next acknowledged write."""
    faults: Sequence[str] = ()
    """What else went wrong, in words."""

    @property
    def is_good(self) -> bool:
        return self.verdict.is_good and not self.unexpected and not self.faults

    @property
    def median_return(self) -> float | None:
        return median(self.returned_after) if self.returned_after else None


class Receiver:
    """Takes the messages of the webhook on 127.0.0.1 and counts them by their ids."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        ids = self.ids

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                ids.append(self.headers["webhook-id"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Disturbance = Callable[[Board, random.Random], None]
"""Does to a board what the trial is about, and returns when the board could work again."""


@dataclass(frozen=True)
class Trial:
    """One way to disturb a board."""

    name: str
    disturb: Disturbance
    engines: Sequence[str] = ENGINES
    disk_size: str | None = None
    clocks_apart: bool = False
    checks_delivery: bool = False


# --- what is done to a board -------------------------------------------------------------------------------------


def _kill_server(board: Board, rng: random.Random) -> None:
    server = rng.choice(board.servers)
    server.kill()
    server.start()


def _kill_worker(board: Board, rng: random.Random) -> None:
    kill([rng.choice(board.wait_for_workers())])


def _kill_chores(board: Board, rng: random.Random) -> None:
    chores = [process for server in board.servers for process in server.list_processes("maintain")]
    kill(chores)


def _kill_database(board: Board, rng: random.Random) -> None:
    assert board.postgresql
    board.postgresql.kill()
    board.postgresql.start()


def _terminate_sessions(board: Board, rng: random.Random) -> None:
    assert board.postgresql
    board.postgresql.terminate_sessions()


def _freeze_database(board: Board, rng: random.Random) -> None:
    if board.postgresql:
        board.postgresql.freeze()
        time.sleep(FROZEN)
        board.postgresql.thaw()
        return
    path = sa.make_url(board.url).database
    assert path
    # Another program that writes into the file, and does not end.
    with sqlite3.connect(path, timeout=30, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(FROZEN)
        connection.execute("ROLLBACK")
    connection.close()


def _fill_disk(board: Board, rng: random.Random) -> None:
    filler = board.folder / "data" / "filler"
    try:
        _fill(filler)
        deadline = time.monotonic() + DISK_FULL
        while time.monotonic() < deadline:
            time.sleep(0.2)
            # What the board gives back meanwhile is taken as well.
            _fill(filler)
    finally:
        filler.unlink()
    if board.postgresql:
        # One that found no room to recover has ended; what watches over it starts it again.
        board.postgresql.start()


def _fill(path: Path) -> None:
    """Write until no byte more fits."""
    for size in (1 << 20, 1 << 12, 1):
        with path.open("ab", buffering=0) as file:
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue


def _kill_lease_holder(board: Board, rng: random.Random) -> None:
    """Kill the process that sends messages at the moment; others stand by."""
    with board.connect().connect() as connection:
        holders = set(connection.scalars(sa.select(Lease.holder)))
    ids = [int(holder.split(":")[1]) for holder in holders]
    kill([psutil.Process(process_id) for process_id in ids if psutil.pid_exists(process_id)])


def _leave_alone(board: Board, rng: random.Random) -> None:
    """Let time pass: the clocks are the disturbance."""
    time.sleep(WORK)


TRIALS = (
    Trial("server killed", _kill_server),
    Trial("worker killed", _kill_worker),
    Trial("chores killed", _kill_chores),
    Trial("database killed", _kill_database, engines=("postgresql",)),
    Trial("sessions terminated", _terminate_sessions, engines=("postgresql",)),
    Trial("database frozen", _freeze_database),
    Trial("disk full", _fill_disk, disk_size=DISK_SIZE),
    Trial("clocks apart", _leave_alone, engines=("postgresql",), clocks_apart=True),
    Trial("lease holder killed", _kill_lease_holder, checks_delivery=True),
)


# --- how it is done ----------------------------------------------------------------------------------------------


def run_trial(trial: Trial, engine: str, *, kills: int, seed: int = 1) -> Outcome:
    """Disturb a board under load ``kills`` times, and compare its database with what it had acknowledged."""
    rng, journal, disturbed = random.Random(f"{trial.name} {engine} {seed}"), Journal(), []
    with _run_receiver() as receiver, run_board(engine, receiver.address, disk_size=trial.disk_size) as board:
        _add_servers(trial, board)
        addresses = [server.address for server in board.servers]
        with run_load(addresses, board.runner_token, board.operator_token, journal):
            for _ in range(kills):
                time.sleep(WORK * rng.uniform(0.5, 1.5))
                trial.disturb(board, rng)
                disturbed.append(time.monotonic())
                _wait_until_acknowledged(board, journal, disturbed[-1])
            time.sleep(WORK)
        faults = _list_faults(trial, board, journal, receiver)
        verdict = verify(board.connect(), journal, has_webhook=True)
    return Outcome(
        trial.name,
        engine,
        kills,
        verdict,
        refused=journal.refusals.total(),
        unexpected=dict(journal.unexpected),
        returned_after=[(journal.first_acknowledgment_after(moment) or moment) - moment for moment in disturbed],
        faults=faults,
    )


@contextmanager
def _run_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def _add_servers(trial: Trial, board: Board) -> None:
    if not trial.clocks_apart:
        board.add_server()
        if trial.checks_delivery:
            # Somebody must be there to take over.
            board.add_server()
        return
    folder = write_clock_module(board.folder / "clock")
    for ahead in (CLOCKS_APART, -CLOCKS_APART):
        board.add_server(PYTHONPATH=folder, CLOCK_AHEAD=str(ahead), COOKIE_NAME="callboard")


def _wait_until_acknowledged(board: Board, journal: Journal, moment: float) -> None:
    """Wait until the board takes reports again. Raises ``RuntimeError`` with the logs of its servers."""
    deadline = moment + RETURN_TIMEOUT
    while journal.first_acknowledgment_after(moment) is None:
        if time.monotonic() > deadline:
            logs = "\n".join(server.log.read_text()[-5000:] for server in board.servers)
            message = f"The board took no report within {RETURN_TIMEOUT:.0f} s. Refused: {journal.refusals}"
            raise RuntimeError(f"{message}\n{logs}")
        time.sleep(0.02)


def _list_faults(trial: Trial, board: Board, journal: Journal, receiver: Receiver) -> Sequence[str]:
    faults: list[str] = []
    if trial.checks_delivery:
        faults += _find_undelivered(journal, receiver)
    if trial.clocks_apart:
        faults += _find_wrong_times(board, journal)
    return faults


def _find_undelivered(journal: Journal, receiver: Receiver) -> Iterator[str]:
    """Wait for the message of each acknowledged end, and yield how many did not come."""
    ended = sum(job.final_status is not None for job in journal.jobs)
    deadline = time.monotonic() + DELIVERY_TIMEOUT
    while len(set(receiver.ids)) < ended and time.monotonic() < deadline:
        time.sleep(0.5)
    if (delivered := len(set(receiver.ids))) < ended:
        yield f"{ended - delivered} of {ended} messages were not delivered within {DELIVERY_TIMEOUT:.0f} s"


def _find_wrong_times(board: Board, journal: Journal) -> Iterator[str]:
    """Yield jobs whose times are not those of the database's clock, which is this machine's."""
    now = datetime.now(UTC)
    with board.connect().connect() as connection:
        times = connection.scalars(sa.select(JobRun.created_at)).all()
    wrong = [at for at in times if abs(now - at) > timedelta(seconds=CLOCKS_APART / 2)]
    if wrong:
        yield f"{len(wrong)} of {len(times)} jobs have the time of a wrong clock"
