"""Plays runners that create, report and finish jobs, and an operator who cancels some of them."""

import queue
import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from torture.journal import AcknowledgedJob, Journal

RUNNERS = 6
REQUEST_TIMEOUT = 30.0
"""Seconds that a caller waits for an answer."""
PAUSE = 0.2
"""Seconds before a caller tries again; a tenth of what the board asks for, to be there at the first moment."""
REPORTS_OF_JOB = 4
CANCEL_SHARE = 0.15
FAILURE_SHARE = 0.3
LOG_SHARE = 0.3
RETRIED = (429, 502, 503, 504)


class LoadEnded(Exception):
    """The trial is over; what was not acknowledged by now stays open."""


class Caller:
    """Calls the board until it is answered, whatever happens to the board meanwhile."""

    def __init__(self, address: str, token: str, journal: Journal, ended: threading.Event, seed: int) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=REQUEST_TIMEOUT)
        self._ended = ended
        self.journal = journal
        self.random = random.Random(seed)

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Call until the board answers with anything but "try again". Raises ``LoadEnded``."""
        while True:
            try:
                response = self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError as error:
                self.journal.refuse(type(error).__name__)
            else:
                if response.status_code not in RETRIED:
                    break
                self.journal.refuse(str(response.status_code))
            self.wait(PAUSE * self.random.uniform(0.5, 1.5))
        if response.status_code < 400:
            self.journal.acknowledge()
        return response

    def wait(self, seconds: float) -> None:
        """Wait, or raise ``LoadEnded`` as soon as the trial is over."""
        if self._ended.wait(seconds):
            raise LoadEnded

    def raise_if_ended(self) -> None:
        self.wait(0)


Cancels = queue.SimpleQueue[AcknowledgedJob]
"""Running jobs whose end is the operator's business."""


def _play_runner(caller: Caller, cancels: Cancels) -> None:
    """Take one job after another from its creation to its end, until the trial is over."""
    while True:
        caller.raise_if_ended()
        job = _create_job(caller)
        if _report(caller, job, {"status": "running"}):
            job.started = True
            left_to_operator = caller.random.random() < CANCEL_SHARE
            if left_to_operator:
                cancels.put(job)
            if _work_on(caller, job) and not left_to_operator:
                _finish(caller, job)


def _create_job(caller: Caller) -> AcknowledgedJob:
    key = str(uuid.UUID(int=caller.random.getrandbits(128)))
    caller.journal.add_key(key)
    response = caller.call("POST", "/jobs", {"type": "torture", "payload": {"key": key}}, **{"Idempotency-Key": key})
    if response.status_code not in (200, 201):
        caller.journal.add_unexpected(f"create: {response.status_code} {response.text[:200]}")
        raise LoadEnded
    job = AcknowledgedJob(key, uuid.UUID(response.json()["id"]))
    caller.journal.add_job(job)
    return job


def _report(caller: Caller, job: AcknowledgedJob, report: dict[str, Any]) -> bool:
    """Report, and return whether the runner goes on: not after a cancel."""
    response = caller.call("PATCH", f"/jobs/{job.job_id}", report)
    if response.status_code == 200:
        return True
    if response.status_code != 409 or response.json()["code"] != "job_canceled":
        caller.journal.add_unexpected(f"report: {response.status_code} {response.text[:200]}")
    return False


def _work_on(caller: Caller, job: AcknowledgedJob) -> bool:
    """Report progress and write lines, and return whether the runner goes on."""
    for number in range(1, REPORTS_OF_JOB + 1):
        if caller.random.random() < LOG_SHARE:
            _append_to_log(caller, job)
        if not _report(caller, job, {"progress": number * 20, "message": f"part {number}"}):
            return False
        job.progress = number * 20
    return True


def _append_to_log(caller: Caller, job: AcknowledgedJob) -> None:
    text = f"line {caller.random.getrandbits(64):x}"
    lines = {"lines": [{"text": text}]}
    response = caller.call("POST", f"/jobs/{job.job_id}/logs", lines, **{"Idempotency-Key": text})
    if response.status_code == 200:
        job.log_lines.append(text)
    else:
        caller.journal.add_unexpected(f"log: {response.status_code} {response.text[:200]}")


def _finish(caller: Caller, job: AcknowledgedJob) -> None:
    failed = caller.random.random() < FAILURE_SHARE
    report = {"status": "failed", "error": "E: torn"} if failed else {"status": "completed", "result": {"n": 1}}
    if _report(caller, job, report):
        job.final_status = str(report["status"])


def _play_operator(caller: Caller, cancels: Cancels) -> None:
    """Cancel the jobs that runners leave open, until the trial is over."""
    while True:
        try:
            job = cancels.get(timeout=PAUSE)
        except queue.Empty:
            caller.raise_if_ended()
            continue
        response = caller.call("POST", f"/jobs/{job.job_id}/cancel")
        if response.status_code == 200:
            job.canceled_by_operator = True
            job.final_status = "canceled"
        else:
            caller.journal.add_unexpected(f"cancel: {response.status_code} {response.text[:200]}")


@contextmanager
def run_load(addresses: Sequence[str], runner_token: str, operator_token: str, journal: Journal) -> Iterator[None]:
    """Let runners and an operator work while the block does, spread over the servers. Raises what broke them."""
    ended = threading.Event()
    cancels: Cancels = queue.SimpleQueue()

    def play(number: int) -> None:
        is_operator = number == RUNNERS
        token = operator_token if is_operator else runner_token
        caller = Caller(addresses[number % len(addresses)], token, journal, ended, seed=number)
        try:
            (_play_operator if is_operator else _play_runner)(caller, cancels)
        except LoadEnded:
            pass
        finally:
            caller.close()

    with ThreadPoolExecutor(RUNNERS + 1) as threads:
        callers = [threads.submit(play, number) for number in range(RUNNERS + 1)]
        try:
            yield
        finally:
            ended.set()
        for caller in callers:
            caller.result()
