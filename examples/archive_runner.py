"""A runner: a process of its own that does real work and tells Callboard about it over HTTP.

It archives the folders of this machine's Python standard library, two at a time, again and again. All it knows of the
board are CALLBOARD_URL and CALLBOARD_TOKEN. Read ``archive`` first: that is what a runner has to say of a job.
"""

import io
import json
import os
import signal
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

API = os.environ["CALLBOARD_URL"].rstrip("/") + "/api/v1"
HEADERS = {"Authorization": f"Bearer {os.environ['CALLBOARD_TOKEN']}", "Content-Type": "application/json"}
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
LEFT_OUT = {"site-packages", "dist-packages", "__pycache__"}
AT_ONCE, WAITING = 2, 3  # jobs
REPORT_EVERY = 0.25  # seconds; the board is told what matters, not every file
RETRY_AFTER = (0.5, 1, 2, 4)  # seconds; the board may be restarting
PAUSE = 60  # seconds between two rounds

told_to_end = False


class Stop(Exception):
    """Work on this job is to end: the board refused a report of it, or this process was told to end."""


def archive(job_id: str, folder: Path) -> dict[str, Any]:
    """Do one job: say that it runs and how far it is, and return what is to be said at its end."""
    report(job_id, status="running", runner=f"archive-runner-{os.getpid()}", message=folder.name)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    if not files:
        raise FileNotFoundError(f"There is nothing to archive: {folder} is empty or does not exist.")
    total = sum(path.stat().st_size for path in files)
    done, told = 0, time.monotonic()

    class Watched(io.FileIO):
        """A file that tells how much of it was read, so that a large one is neither silent nor deaf to a cancel."""

        def read(self, size: int | None = -1) -> bytes:
            nonlocal done, told
            chunk = super().read(size) or b""
            done += len(chunk)
            if time.monotonic() - told >= REPORT_EVERY:
                told = time.monotonic()
                report(job_id, progress=min(100 * done // max(total, 1), 99), message=f"{folder.name}/{path.name}")
            return chunk

    with tempfile.TemporaryFile() as target:
        with tarfile.open(fileobj=target, mode="w:xz", dereference=True) as tar:
            for path in files:
                with Watched(path) as file:
                    tar.addfile(tar.gettarinfo(path, str(path.relative_to(folder.parent))), file)
        size = target.tell()
    result = {"files": len(files), "bytes_in": total, "bytes_out": size, "ratio": round(size / max(total, 1), 2)}
    summary = f"{folder.name}: {len(files)} files, {total / 1e3:,.0f} kB made {size / 1e3:,.0f} kB"
    return {"status": "completed", "result": result, "message": summary}


def work(job_id: str, folder: Path) -> None:
    """Do one job and tell its end, whatever it is. If the board does not take it, that is one line here."""
    try:
        end = archive(job_id, folder)
    except Stop as reason:
        end = {"status": "canceled", "message": f"{folder.name}: {reason}"}
    except Exception as error:
        end = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    try:
        call("PATCH", f"/jobs/{job_id}", end)
    except OSError as error:
        print(f"The board did not take the end of job {job_id}: {error}", file=sys.stderr)


def report(job_id: str, **news: Any) -> None:
    """Tell the board. Raises ``Stop`` when it refuses: the job was canceled, or ran past its time."""
    if told_to_end:
        raise Stop("its runner was told to end")
    try:
        call("PATCH", f"/jobs/{job_id}", news)
    except HTTPError as error:
        if error.code == 409:
            raise Stop("the board said to stop") from None
        raise


def call(method: str, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """One request, repeated while the board is away. Raises ``OSError``, of which ``HTTPError`` is one."""
    request = urllib.request.Request(API + path, json.dumps(body).encode(), HEADERS | headers, method=method)
    for wait in (*RETRY_AFTER, None):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.load(answer))
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, HTTPError) and error.code < 500:
                raise
            if wait is None:
                raise OSError(str(error)) from error
            time.sleep(wait)
    raise AssertionError("unreachable")


def one_round() -> None:
    """A job for each folder, and one that must fail: a board that shows only success is not to be believed.

    A job is put on the board when its turn is near, so that what runs is not hidden below all that waits. Should this
    process die at work, the board fails its jobs after a minute of silence.
    """
    folders = [path for path in sorted(STANDARD_LIBRARY.iterdir()) if path.is_dir() and path.name not in LEFT_OUT]
    folders.insert(len(folders) // 2, STANDARD_LIBRARY / "no-such-folder")
    room = threading.Semaphore(AT_ONCE + WAITING)
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for folder in folders:
            room.acquire()
            if told_to_end:
                break
            job = {"type": "archive-folder", "payload": {"folder": str(folder)}, "heartbeat_timeout": 60}
            # A key of our own, so that a creation that is sent twice is done once.
            made = call("POST", "/jobs", job, **{"Idempotency-Key": str(uuid.uuid4())})
            workers.submit(work, made["id"], folder).add_done_callback(lambda _: room.release())


def stop_soon(*_: object) -> None:
    global told_to_end
    told_to_end = True


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_soon)
    while not told_to_end:
        try:
            one_round()
        except OSError as error:
            print(f"The board at {API} cannot be used: {error}", file=sys.stderr)
        resume = time.monotonic() + PAUSE
        while not told_to_end and time.monotonic() < resume:
            time.sleep(0.2)


if __name__ == "__main__":
    main()
