"""``callboard run``: any command as a job, from outside of it. For POSIX."""

import array
import errno
import fcntl
import logging
import os
import re
import select
import signal
import subprocess
import termios
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

from callboard_client._outbox import MAX_LINES
from callboard_client.errors import JobStopped, JobTimedOut
from callboard_client.job import Job

log = logging.getLogger("callboard_client")

PROGRESS = re.compile(rb"::progress\s+(\d{1,3}(?:\.\d+)?)\s*%?(?:\s+(.*))?$")
"""A line of output that tells how far the command is."""
LAST_LINES = 50
"""Lines of each stream that go into the error of a command that failed."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that are passed on, and after which a command that does not succeed was stopped."""
OTHERS = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are passed on and mean what the command takes them for."""
NOT_RUN, NOT_FOUND, OF_A_SIGNAL = 126, 127, 128
"""What a shell answers for a command that it cannot run, does not find, or that a signal ended."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_PIECE = 64 * 1024
_LONGEST = 16 * 1024
_STEP = 0.1


def run(job: Job, command: Sequence[str], *, grace: float) -> int:
    """Run a command as this job and return its exit code, as a shell would.

    Its output goes where it would go without this, and its lines to the job's log. A stop of the job is SIGTERM for the
    command and whatever it started, and SIGKILL after so many seconds of ``grace``. Signals are passed on. The command
    runs whether the board is there or not.
    """
    try:
        job.start()
    except JobStopped as stop:
        log.warning("The command is not run: %s", stop)
        return OF_A_SIGNAL + signal.SIGTERM
    group = _Group(grace)
    with group.forwarding():
        told = {**os.environ, "CALLBOARD_JOB_ID": job.id or ""}
        try:
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=told, start_new_session=True
            )
        except OSError as error:
            log.error("%s cannot be run: %s.", command[0], error.strerror)
            job.fail(f"{command[0]} cannot be run: {error.strerror}.")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
        group.lead(child)
        job.on_stop(group.stop)
        output = _Output(job)
        output.follow(child)
        child.wait()
        group.end()
        output.end()
        return _told(job, child.returncode, output, group)


def _told(job: Job, returned: int, output: "_Output", group: "_Group") -> int:
    """Say how the command ended; its exit code as a shell has it."""
    if group.reason is not None:
        job.report_stopped()
    elif returned == 0:
        job.complete()
    elif group.ended_by is not None:
        job.report_stopped(f"Its runner was stopped by {group.ended_by.name}.")
    else:
        job.fail(output.told_after(_ended(returned)))
    return returned if returned >= 0 else OF_A_SIGNAL - returned


def _ended(returned: int) -> str:
    if returned >= 0:
        return f"Exit code {returned}"
    with suppress(ValueError):
        return f"Killed by {signal.Signals(-returned).name}"
    return f"Killed by signal {-returned}"


class _Group:
    """A command and whatever it started: passes signals on to them, and ends them when the job is to stop."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._until: float | None = None
        self.leader: subprocess.Popen[bytes] | None = None
        self.reason: JobStopped | None = None
        self.ended_by: signal.Signals | None = None

    def lead(self, leader: "subprocess.Popen[bytes]") -> None:
        """The command runs. What it, or anybody else, told this process before that, it hears now."""
        self.leader = leader
        if self.ended_by is not None:
            self._send(self.ended_by)

    def stop(self, reason: JobStopped) -> None:
        """Send SIGTERM now and SIGKILL after the grace."""
        if self.leader is None or self.leader.poll() is not None:
            return
        self.reason = reason
        self._until = time.monotonic() + self._grace
        why = "ran past its time" if isinstance(reason, JobTimedOut) else "was canceled"
        log.warning("The job %s; the command is stopped.", why)
        self._send(signal.SIGTERM)
        killer = threading.Timer(self._grace, self._send, [signal.SIGKILL])
        killer.daemon = True
        killer.start()

    def end(self) -> None:
        """After the command: what it leaves behind of a job that is to stop has the rest of the grace, and no more."""
        while self._until is not None and self._send(0):
            if time.monotonic() >= self._until:
                self._send(signal.SIGKILL)
                return
            time.sleep(_STEP / 2)

    def _send(self, number: int) -> bool:
        # To the whole group: a shell that is stopped alone would leave behind what it runs.
        if self.leader is None:
            return False
        try:
            os.killpg(self.leader.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    @contextmanager
    def forwarding(self) -> Iterator[None]:
        """Pass on what this process is told by signals, but for those that it was begun without an ear for."""

        def forward(number: int, frame: FrameType | None) -> None:
            if number in ENDING:
                self.ended_by = signal.Signals(number)
            self._send(number)

        def pause(number: int, frame: FrameType | None) -> None:
            self._send(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)

        def resume(number: int, frame: FrameType | None) -> None:
            self._send(signal.SIGCONT)

        wanted = dict.fromkeys((*ENDING, *OTHERS), forward) | {signal.SIGTSTP: pause, signal.SIGCONT: resume}
        before = {
            number: signal.signal(number, handler)
            for number, handler in wanted.items()
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)


class _Output:
    """What the command writes: passed on as it is, and told line by line."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._last: dict[str, deque[str]] = {level: deque(maxlen=LAST_LINES) for level in ("info", "warning")}
        self._readers: list[threading.Thread] = []
        self._ended = threading.Event()

    def follow(self, child: "subprocess.Popen[bytes]") -> None:
        """Read both streams, each in a thread."""
        for source, target, level in ((child.stdout, 1, "info"), (child.stderr, 2, "warning")):
            reader = threading.Thread(target=self._read, args=(source, target, level), daemon=True)
            reader.start()
            self._readers.append(reader)

    def end(self) -> None:
        """Wait until all is passed on that the command wrote, however slowly it is taken.

        What it left behind may hold its streams open, and goes on without being heard.
        """
        self._ended.set()
        for reader in self._readers:
            reader.join()

    def told_after(self, what: str) -> str:
        """The error of a command that failed: how it ended, its last line, and the lines before.

        What it wrote to standard error comes last: there it says what went wrong, if anywhere.
        """
        lines = [*self._last["info"], *self._last["warning"]]
        telling = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "\n".join([f"{what}: {telling}" if telling else f"{what}.", "", *lines]).strip()

    def _read(self, source: IO[bytes], target: int, level: str) -> None:
        rest, left = b"", None
        while left is None or left > 0:
            ended = self._ended.is_set()
            if not select.select([source], [], [], _STEP)[0]:
                if ended:
                    break
                continue
            if ended and left is None:
                left = _waiting_in(source)
            piece = os.read(source.fileno(), _PIECE)
            if not piece:
                break
            left = None if left is None else left - len(piece)
            try:
                _write(target, piece)
            except OSError as error:
                # As without us, the command hears of it when it writes on.
                log.warning("The command's output cannot be passed on: %s.", error.strerror)
                break
            *lines, rest = (rest + piece).split(b"\n")
            self._told(lines, level)
            rest = rest[-_LONGEST:]
        source.close()
        if rest:
            self._told([rest], level)

    def _told(self, lines: Sequence[bytes], level: str) -> None:
        plain = []
        for line in lines:
            if line.startswith(b"::progress") and (found := PROGRESS.match(line.rstrip())):
                with suppress(JobStopped):
                    self._job.progress(float(found[1]), found[2].decode("utf-8", "replace") if found[2] else None)
            else:
                plain.append(line)
        # Of many lines at once only the last are kept anyway.
        shown = [_shown(line) for line in plain[-MAX_LINES:]]
        self._last[level].extend(shown)
        if shown:
            self._job.log_lines(shown, level, omitted=len(plain) - len(shown))


def _shown(line: bytes) -> str:
    """What is to be seen of a line in the end, if it was written over again and again."""
    return _ESCAPES.sub("", line[:_LONGEST].decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2]


def _write(target: int, piece: bytes) -> None:
    """Write all of it, also where others made the stream one that does not wait. Raises ``OSError``."""
    while piece:
        try:
            piece = piece[os.write(target, piece) :]
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            select.select([], [target], [])


def _waiting_in(source: IO[bytes]) -> int:
    """Bytes that a pipe holds."""
    count = array.array("i", [0])
    fcntl.ioctl(source.fileno(), termios.FIONREAD, count)
    return count[0]
