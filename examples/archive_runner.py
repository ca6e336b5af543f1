"""A runner: a process of its own that does real work and tells Callboard about it over HTTP.

It archives the folders of this machine's Python standard library, two at a time. All it knows of the board are
CALLBOARD_URL and CALLBOARD_TOKEN; all it needs is Python. Read ``archive`` first: that is what a runner has to say.
"""

import io
import json
import os
import queue
import signal
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

API = os.environ["CALLBOARD_URL"].rstrip("/") + "/api/v1"
TOKEN = os.environ["CALLBOARD_TOKEN"]
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
LEFT_OUT = {"site-packages", "dist-packages", "__pycache__"}
REPORT_EVERY = 0.25  # seconds; the board is told what matters, not every file
RETRY_AFTER = (0.5, 1, 2, 4)  # seconds; the board may be restarting
PAUSE = 60  # seconds between two rounds

stopping = threading.Event()


class Stop(Exception):
    """The board refuses the job's reports: it was canceled, or ran past its time. Whoever works on it stops."""


def call(method: str, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """One request, repeated while the board is away. Reports may be repeated; a POST needs an Idempotency-Key."""
    headers |= {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    for wait in (*RETRY_AFTER, None):
        try:
            request = urllib.request.Request(API + path, json.dumps(body).encode(), headers, method=method)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            if error.code == 409:
                raise Stop("stopped as the board said") from None
            if wait is None or error.code < 500:
                raise
        except OSError:
            if wait is None:
                raise
        stopping.wait(wait)
    raise AssertionError("unreachable")


def enqueue(folder: Path) -> str:
    """Put a job on the board. Should this process die at work, the board fails it after a minute of silence."""
    job = {"type": "archive-folder", "payload": {"folder": str(folder)}, "heartbeat_timeout": 60}
    return str(call("POST", "/jobs", job, **{"Idempotency-Key": str(uuid.uuid4())})["id"])


def report(job_id: str, **news: Any) -> None:
    call("PATCH", f"/jobs/{job_id}", news)


class Watched(io.FileIO):
    """A file that tells how much of it was read, so that a large one is neither silent nor deaf to a cancel."""

    def __init__(self, path: Path, told: Callable[[Path, int], None]) -> None:
        super().__init__(path)
        self.path, self.told = path, told

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size) or b""
        self.told(self.path, len(chunk))
        return chunk


def archive(job_id: str, folder: Path, target: Path) -> None:
    """Do one job: say that it runs, how far it is, and how it ended."""
    report(job_id, status="running", runner=f"archive-runner-{os.getpid()}", message=folder.name)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    if not files:
        raise FileNotFoundError(f"There is nothing to archive: {folder} is empty or does not exist.")
    total = sum(path.stat().st_size for path in files)
    done, told = 0, time.monotonic()

    def advance(path: Path, count: int) -> None:
        nonlocal done, told
        done += count
        if stopping.is_set():
            raise Stop("its runner was told to end")
        if time.monotonic() - told >= REPORT_EVERY:
            told = time.monotonic()
            report(job_id, progress=min(100 * done // max(total, 1), 99), message=str(path.relative_to(folder.parent)))

    with tarfile.open(target, "w:xz", dereference=True) as tar:
        for path in files:
            with Watched(path, advance) as file:
                tar.addfile(tar.gettarinfo(path, str(path.relative_to(folder.parent))), file)
    size = target.stat().st_size
    result = {"files": len(files), "bytes_in": total, "bytes_out": size, "ratio": round(total / size, 2)}
    summary = f"{folder.name}: {len(files)} files, {total / 1e6:.1f} MB made {size / 1e6:.1f} MB"
    report(job_id, status="completed", result=result, message=summary)


def work(jobs: "queue.SimpleQueue[tuple[str, Path]]", target: Path) -> None:
    """Take one job after another until none is left."""
    while True:
        try:
            job_id, folder = jobs.get_nowait()
        except queue.Empty:
            return
        try:
            if stopping.is_set():
                raise Stop("its runner was told to end")
            archive(job_id, folder, target)
        except Stop as reason:
            tell_end(job_id, status="canceled", message=f"{folder.name}: {reason}")
        except Exception as error:
            tell_end(job_id, status="failed", error=f"{type(error).__name__}: {error}")


def tell_end(job_id: str, **news: Any) -> None:
    """The last word on a job. If the board does not take it, it is one line here and the next job's turn."""
    try:
        report(job_id, **news)
    except (Stop, OSError) as error:
        print(f"The end of job {job_id} could not be told: {error}", file=sys.stderr)


def one_round() -> None:
    """A job for each folder, and one that must fail: a board that shows only success is not to be believed."""
    folders = [path for path in sorted(STANDARD_LIBRARY.iterdir()) if path.is_dir() and path.name not in LEFT_OUT]
    folders.insert(len(folders) // 2, STANDARD_LIBRARY / "no-such-folder")
    jobs: queue.SimpleQueue[tuple[str, Path]] = queue.SimpleQueue()
    for folder in folders:
        jobs.put((enqueue(folder), folder))
    with tempfile.TemporaryDirectory() as temporary:
        workers = [threading.Thread(target=work, args=(jobs, Path(temporary, f"{n}.tar.xz"))) for n in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.is_set():
        try:
            one_round()
        except OSError as error:
            print(f"The board at {API} cannot be used: {error}", file=sys.stderr)
        stopping.wait(PAUSE)


if __name__ == "__main__":
    main()
