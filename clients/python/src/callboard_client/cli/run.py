"""Run any command as a job: ``callboard run``. For POSIX."""

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
"""A line of output that reports progress."""
ERROR_LINES = 50
"""Lines of each stream that go into the error of a command that failed."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that are passed on, and after which a command that does not succeed was stopped."""
USER_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are passed on, and mean what the command takes them for."""
EXIT_NOT_RUN, EXIT_NOT_FOUND, EXIT_SIGNAL = 126, 127, 128
"""Exit codes of a shell for a command that it cannot run, does not find, or that a signal ended (plus its number)."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_READ_SIZE = 64 * 1024
_MAX_LINE = 16 * 1024
"""Bytes of a line that are read."""
_POLL_INTERVAL = 0.1
"""Seconds from one look at a stream to the next."""


class _ProcessGroup:
    """Pass signals on to a command and whatever it started, and end them when the job is to stop."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._kill_at: float | None = None
        self.leader: subprocess.Popen[bytes] | None = None
        self.stop_reason: JobStopped | None = None
        self.stop_signal: signal.Signals | None = None

    def set_leader(self, leader: "subprocess.Popen[bytes]") -> None:
        """Begin to pass signals on to the running command, with one that came before it ran."""
        self.leader = leader
        if self.stop_signal is not None:
            self._send(self.stop_signal)

    def stop(self, reason: JobStopped) -> None:
        """Send SIGTERM now and SIGKILL after the grace."""
        if self.leader is None or self.leader.poll() is not None:
            return
        self.stop_reason = reason
        self._kill_at = time.monotonic() + self._grace
        what = "ran past its time" if isinstance(reason, JobTimedOut) else "was canceled"
        log.warning("The job %s; the command is stopped.", what)
        self._send(signal.SIGTERM)
        killer = threading.Timer(self._grace, self._send, [signal.SIGKILL])
        killer.daemon = True
        killer.start()

    def end(self) -> None:
        """Wait, after the command, for what it left running of a job that is to stop, and kill it after the grace."""
        while self._kill_at is not None and self._send(0):
            if time.monotonic() >= self._kill_at:
                self._send(signal.SIGKILL)
                return
            time.sleep(_POLL_INTERVAL / 2)

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
        """Pass on the signals that this process gets, but for those that it was started to ignore."""

        def forward(number: int, frame: FrameType | None) -> None:
            if number in STOP_SIGNALS:
                self.stop_signal = signal.Signals(number)
            self._send(number)

        def pause(number: int, frame: FrameType | None) -> None:
            self._send(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)

        def resume(number: int, frame: FrameType | None) -> None:
            self._send(signal.SIGCONT)

        handlers = dict.fromkeys((*STOP_SIGNALS, *USER_SIGNALS), forward) | {
            signal.SIGTSTP: pause,
            signal.SIGCONT: resume,
        }
        previous = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class _Output:
    """Pass on what the command writes as it is, and report it line by line."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._last_lines: dict[str, deque[str]] = {level: deque(maxlen=ERROR_LINES) for level in ("info", "warning")}
        self._readers: list[threading.Thread] = []
        self._ended = threading.Event()

    def follow(self, child: "subprocess.Popen[bytes]") -> None:
        """Read both streams, each in a thread."""
        for source, target, level in ((child.stdout, 1, "info"), (child.stderr, 2, "warning")):
            reader = threading.Thread(target=self._read, args=(source, target, level), daemon=True)
            reader.start()
            self._readers.append(reader)

    def end(self) -> None:
        """Wait until all is passed on that the command wrote, however slowly that is read.

        What it left behind may hold its streams open, and goes on without being read.
        """
        self._ended.set()
        for reader in self._readers:
            reader.join()

    def error_text(self, end: str) -> str:
        """Return the error of a command that failed: how it ended, its last line, and the lines before.

        What it wrote to standard error comes last: there it says what went wrong, if anywhere.
        """
        lines = [*self._last_lines["info"], *self._last_lines["warning"]]
        last_line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "\n".join([f"{end}: {last_line}" if last_line else f"{end}.", "", *lines]).strip()

    def _read(self, source: IO[bytes], target: int, level: str) -> None:
        rest, left = b"", None
        while left is None or left > 0:
            is_ended = self._ended.is_set()
            if not select.select([source], [], [], _POLL_INTERVAL)[0]:
                if is_ended:
                    break
                continue
            if is_ended and left is None:
                left = _bytes_in_pipe(source)
            piece = os.read(source.fileno(), _READ_SIZE)
            if not piece:
                break
            left = None if left is None else left - len(piece)
            try:
                _write(target, piece)
            except OSError as error:
                # As without us, the command gets an error when it writes on.
                log.warning("The command's output cannot be passed on: %s.", error.strerror)
                break
            *lines, rest = (rest + piece).split(b"\n")
            self._report(lines, level)
            rest = rest[-_MAX_LINE:]
        source.close()
        if rest:
            self._report([rest], level)

    def _report(self, lines: Sequence[bytes], level: str) -> None:
        other_lines = []
        for line in lines:
            if line.startswith(b"::progress") and (match := PROGRESS.match(line.rstrip())):
                with suppress(JobStopped):
                    self._job.progress(float(match[1]), match[2].decode("utf-8", "replace") if match[2] else None)
            else:
                other_lines.append(line)
        # Of many lines at once only the last are kept anyway.
        texts = [_visible_text(line) for line in other_lines[-MAX_LINES:]]
        self._last_lines[level].extend(texts)
        if texts:
            self._job.log_lines(texts, level, omitted=len(other_lines) - len(texts))


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
        return EXIT_SIGNAL + signal.SIGTERM
    group = _ProcessGroup(grace)
    with group.forwarding():
        environ = {**os.environ, "CALLBOARD_JOB_ID": job.id or ""}
        try:
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, start_new_session=True
            )
        except OSError as error:
            log.error("%s cannot be run: %s.", command[0], error.strerror)
            job.fail(f"{command[0]} cannot be run: {error.strerror}.")
            return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_RUN
        group.set_leader(child)
        job.on_stop(group.stop)
        output = _Output(job)
        output.follow(child)
        child.wait()
        group.end()
        output.end()
        return _report_end(job, child.returncode, output, group)


def _report_end(job: Job, returncode: int, output: "_Output", group: "_ProcessGroup") -> int:
    """Report how the command ended, and return its exit code as a shell has it."""
    if group.stop_reason is not None:
        job.report_stopped()
    elif returncode == 0:
        job.complete()
    elif group.stop_signal is not None:
        job.report_stopped(f"Its runner was stopped by {group.stop_signal.name}.")
    else:
        job.fail(output.error_text(_describe_end(returncode)))
    return returncode if returncode >= 0 else EXIT_SIGNAL - returncode


def _describe_end(returncode: int) -> str:
    if returncode >= 0:
        return f"Exit code {returncode}"
    with suppress(ValueError):
        return f"Killed by {signal.Signals(-returncode).name}"
    return f"Killed by signal {-returncode}"


def _visible_text(line: bytes) -> str:
    """Return what is to be seen of a line in the end, if it was written over again and again."""
    return _ESCAPES.sub("", line[:_MAX_LINE].decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2]


def _write(target: int, piece: bytes) -> None:
    """Write all of it, also where others made the stream one that does not wait. Raises ``OSError``."""
    while piece:
        try:
            piece = piece[os.write(target, piece) :]
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            select.select([], [target], [])


def _bytes_in_pipe(source: IO[bytes]) -> int:
    """Count the bytes that a pipe holds."""
    count = array.array("i", [0])
    fcntl.ioctl(source.fileno(), termios.FIONREAD, count)
    return count[0]
