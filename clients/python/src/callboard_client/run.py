"""``callboard run``: any command as a job, from outside of it."""

import logging
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

from callboard_client.errors import JobStopped, JobTimedOut
from callboard_client.job import Job

log = logging.getLogger("callboard_client")

PROGRESS = re.compile(r"::progress\s+(\d{1,3}(?:\.\d+)?)\s*%?(?:\s+(.*))?$")
"""A line of output that tells how far the command is."""
LAST_LINES = 50
"""Lines of each stream that go into the error of a command that failed."""
FORWARDED = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]
NOT_RUN, NOT_FOUND, OF_A_SIGNAL = 126, 127, 128
"""What a shell answers for a command that it cannot run, does not find, or that a signal ended."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_PIECE = 64 * 1024
_LONGEST = 16 * 1024


def run(job: Job, command: Sequence[str], *, grace: float) -> int:
    """Run a command as this job and return its exit code, as a shell would.

    Its output goes where it would go without this, and its lines to the job's log. A stop of the job is SIGTERM for the
    command and whatever it started, and SIGKILL after so many seconds of ``grace``; SIGINT, SIGTERM and SIGHUP are
    passed on. The command runs whether the board is there or not.
    """
    try:
        job.start()
    except JobStopped as stop:
        log.warning("The command is not run: %s", stop)
        return OF_A_SIGNAL + signal.SIGTERM
    told = {**os.environ, "CALLBOARD_JOB_ID": job.id or ""}
    try:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=told, start_new_session=True
        )
    except OSError as error:
        log.error("%s cannot be run: %s.", command[0], error.strerror)
        job.fail(f"{command[0]} cannot be run: {error.strerror}.")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
    output = _Output(job)
    with _Stopper(child, grace) as stopper, stopper.forwarding():
        job.on_stop(stopper.stop)
        output.follow(child)
        child.wait()
    output.end()
    return _told(job, child.returncode, output, stopper)


def _told(job: Job, returned: int, output: "_Output", stopper: "_Stopper") -> int:
    """Say how the command ended; its exit code as a shell has it."""
    if stopper.reason is not None:
        job.stopped()
    elif stopper.forwarded is not None:
        job.stopped(f"Its runner was stopped by {stopper.forwarded.name}.")
    elif returned == 0:
        job.complete()
    else:
        job.fail(output.told_after(_ended(returned)))
    return returned if returned >= 0 else OF_A_SIGNAL - returned


def _ended(returned: int) -> str:
    if returned >= 0:
        return f"Exit code {returned}"
    with suppress(ValueError):
        return f"Killed by {signal.Signals(-returned).name}"
    return f"Killed by signal {-returned}"


class _Stopper:
    """Ends a command and whatever it started: politely, and after a while by force."""

    def __init__(self, child: "subprocess.Popen[bytes]", grace: float) -> None:
        self._child = child
        self._grace = grace
        self._timer: threading.Timer | None = None
        self.reason: JobStopped | None = None
        self.forwarded: signal.Signals | None = None

    def stop(self, reason: JobStopped) -> None:
        """Send SIGTERM now and SIGKILL after the grace."""
        if self._child.poll() is not None:
            return
        self.reason = reason
        why = "ran past its time" if isinstance(reason, JobTimedOut) else "was canceled"
        log.warning("The job %s; the command is stopped.", why)
        self._send(signal.SIGTERM)
        self._timer = threading.Timer(self._grace, self._send, [signal.SIGKILL])
        self._timer.daemon = True
        self._timer.start()

    def _send(self, number: signal.Signals) -> None:
        # Its whole group: a shell that is stopped alone would leave behind what it runs.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    @contextmanager
    def forwarding(self) -> Iterator[None]:
        """Pass on what this process is told by signals."""

        def forward(number: int, frame: FrameType | None) -> None:
            self.forwarded = signal.Signals(number)
            self._send(self.forwarded)

        before = {number: signal.signal(number, forward) for number in FORWARDED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> "_Stopper":
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _write_all(target: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(target, piece) :]


class _Output:
    """What the command writes: passed on as it is, and told line by line."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._last: dict[str, deque[str]] = {level: deque(maxlen=LAST_LINES) for level in ("info", "warning")}
        self._readers: list[threading.Thread] = []
        self._pieces = 0

    def follow(self, child: "subprocess.Popen[bytes]") -> None:
        """Read both streams until they are closed, which may be after the command's own end."""
        for source, target, level in ((child.stdout, 1, "info"), (child.stderr, 2, "warning")):
            reader = threading.Thread(target=self._read, args=(source, target, level), daemon=True)
            reader.start()
            self._readers.append(reader)

    def end(self) -> None:
        """Wait for the last lines. What a child of the command leaves open does not keep this from ending."""
        for reader in self._readers:
            read = -1
            while reader.is_alive() and read != self._pieces:
                read = self._pieces
                reader.join(1.0)

    def told_after(self, what: str) -> str:
        """The error of a command that failed: how it ended, its last line, and the lines before.

        What it wrote to standard error comes last: there it says what went wrong, if anywhere.
        """
        lines = [*self._last["info"], *self._last["warning"]]
        telling = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "\n".join([f"{what}: {telling}" if telling else f"{what}.", "", *lines]).strip()

    def _read(self, source: IO[bytes], target: int, level: str) -> None:
        rest = b""
        while piece := os.read(source.fileno(), _PIECE):
            self._pieces += 1
            # Whoever reads may be gone; the command is not to suffer for that.
            with suppress(OSError):
                _write_all(target, piece)
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > _LONGEST:
                whole, rest = [*whole, rest], b""
            for line in whole:
                self._line(line, level)
        if rest:
            self._line(rest, level)

    def _line(self, raw: bytes, level: str) -> None:
        # Of a line that was written over again and again, what was to be seen in the end.
        shown = _ESCAPES.sub("", raw.decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2]
        if found := PROGRESS.match(shown):
            with suppress(JobStopped):
                self._job.progress(float(found[1]), found[2])
            return
        self._last[level].append(shown)
        self._job.log(shown, level)
