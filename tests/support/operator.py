"""An operator as the tests of clients play one: what the board says of jobs, and the cancel button."""

from datetime import datetime
from typing import Any

import httpx
from flask import Flask

from tests.support.clock import Clock
from tests.support.jobs import listen
from tests.support.waiting import wait_until


class Operator:
    """Reads jobs from a running board, and cancels them."""

    def __init__(self, address: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=20)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def newest(self) -> dict[str, Any]:
        """The newest job, whole."""
        return self.job(self.jobs[0]["id"])

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        jobs: list[dict[str, Any]] = self.get("/jobs")["data"]
        return jobs

    @property
    def statuses(self) -> list[str]:
        """The statuses of all jobs, newest first."""
        return [job["status"] for job in self.jobs]

    def job(self, job_id: str | None) -> dict[str, Any]:
        job: dict[str, Any] = self.get(f"/jobs/{job_id}")
        return job

    def wait_for_newest(self, **fields: object) -> dict[str, Any]:
        """Wait until there is a job, and the newest one has these values; return it."""
        wait_until(
            lambda: self.jobs and fields.items() <= self.newest.items(),
            explain=lambda: f"The newest job has not {fields}: {self.newest if self.jobs else 'there is none'}",
        )
        return self.newest

    def wait_for_statuses(self, *statuses: str) -> None:
        """Wait until these are the statuses of all jobs, newest first."""
        wait_until(lambda: self.statuses == list(statuses), explain=lambda: self.statuses)

    def cancel(self, job_id: str | None) -> None:
        assert self._http.post(f"/jobs/{job_id}/cancel").status_code == 200

    def wait_for_confirmed_cancel(self, job_id: str | None) -> dict[str, Any]:
        """Wait until the runner of a job has confirmed its cancel; return the job."""
        wait_until(lambda: self.job(job_id)["cancel_confirmed_at"], explain=lambda: self.job(job_id))
        return self.job(job_id)

    def history(self, job_id: str | None) -> list[str]:
        """What happened to a job, oldest first: its statuses, and other events by their kinds."""
        events = self.get(f"/jobs/{job_id}/events")["data"]
        return [event["to"] if event["kind"] in ("enqueued", "moved") else event["kind"] for event in events]

    def log(self, job_id: str | None) -> list[str]:
        lines, after = [], 0
        while page := self.get(f"/jobs/{job_id}/logs?after={after}")["data"]:
            lines += [line["text"] for line in page]
            after = page[-1]["seq"]
        return lines


def wait_until_lost(operator: Operator, app: Flask, clock: Clock) -> None:
    """Let half a minute pass without a sign of life of the newest job, until the board says that it is lost.

    The running board says by its own clock that it listens, and may do so in between: then half a minute more, for the
    sweep has told itself not to look at the job again before.
    """
    clock.moment = datetime.fromisoformat(operator.newest["last_seen_at"])

    def sweep_and_look() -> bool:
        with app.app_context():
            listen(clock, 32)
        return bool(operator.newest["failure_reason"] == "lost")

    wait_until(sweep_and_look)
    assert operator.newest["status"] == "failed"
