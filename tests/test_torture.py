"""The short form of ``make torture``: every trial once on one engine, and a verifier that finds what is wrong."""

import uuid
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from tests.support.jobs import OPERATOR, RUNNER
from tests.support.people import Cast
from torture.board import may_mount
from torture.journal import AcknowledgedJob, Journal
from torture.trials import TRIALS, Trial, run_trial
from torture.verify import Verdict, verify
from webapp.core import jobs
from webapp.core.database.session import db
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import NewLines
from webapp.core.models import AuditEntry, JobEvent, JobRun, LogLine

SHORT_FORM = {
    "server killed": "sqlite",
    "worker killed": "postgresql",
    "chores killed": "sqlite",
    "database killed": "postgresql",
    "sessions terminated": "postgresql",
    "database frozen": "postgresql",
    "disk full": "sqlite",
    "clocks apart": "postgresql",
    "lease holder killed": "sqlite",
}
"""The engine of each trial here. Each takes real servers and half a minute; ``make torture`` tries both."""


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_nothing_acknowledged_is_lost_or_doubled(trial: Trial) -> None:
    if trial.disk_size and not may_mount():
        pytest.skip("It takes the right to mount a disk.")
    outcome = run_trial(trial, SHORT_FORM[trial.name], kills=1)
    assert outcome.is_good, outcome
    assert outcome.verdict.checked > 20


@pytest.fixture
def journal(core: Flask, cast: Cast) -> Journal:
    """A completed job with a line in its log, and one that an operator canceled, as runners and operator saw them."""
    journal = Journal()
    for key in ("completed", "canceled"):
        job_id = jobs.enqueue_job("torture", cast.acme.id, {"key": key}, by=RUNNER)
        jobs.update_job_status(job_id, status="running", progress=40, by=RUNNER)
        logs.append(job_id, NewLines.parse({"lines": [{"text": f"line of {key}"}]}), within=None)
        job = AcknowledgedJob(key, job_id, started=True, progress=40, log_lines=[f"line of {key}"], final_status=key)
        journal.add_key(key)
        journal.add_job(job)
    jobs.update_job_status(journal.jobs[0].job_id, status="completed", by=RUNNER)
    jobs.cancel_job(journal.jobs[1].job_id, by=OPERATOR)
    journal.jobs[1].canceled_by_operator = True
    # Nobody listens to this workspace: there are no messages to miss.
    return journal


def judge(journal: Journal, change: Callable[[Session], object] | None = None) -> Verdict:
    """Change the database behind the board's back, and return what the verifier then says."""
    if change:
        change(db.session())
        db.session.commit()
    db.session.remove()
    return verify(db.engine, journal, has_webhook=False)


def test_a_whole_database_is_found_whole(journal: Journal) -> None:
    verdict = judge(journal)
    assert verdict.is_good, verdict
    assert verdict.checked == 11


SABOTAGE: dict[str, Callable[[Session, uuid.UUID], object]] = {
    "status": lambda session, job_id: session.execute(
        sa.update(JobRun).where(JobRun.id == job_id).values(status="running", completed_at=None)
    ),
    "progress": lambda session, job_id: session.execute(
        sa.update(JobRun).where(JobRun.id == job_id).values(progress=39)
    ),
    "line": lambda session, job_id: session.execute(sa.delete(LogLine).where(LogLine.job_id == job_id)),
}


@pytest.mark.parametrize("what", SABOTAGE)
def test_what_is_missing_is_found_lost(journal: Journal, what: str) -> None:
    verdict = judge(journal, lambda session: SABOTAGE[what](session, journal.jobs[0].job_id))
    assert [text for text in verdict.lost if what in text or "running" in text], verdict


def test_a_job_that_is_gone_is_found_lost(journal: Journal) -> None:
    journal.add_job(AcknowledgedJob("gone", uuid.uuid4()))
    assert len(judge(journal).lost) == 1


def test_a_missing_audit_line_of_a_cancel_is_found_lost(journal: Journal) -> None:
    verdict = judge(journal, lambda session: session.execute(sa.delete(AuditEntry)))
    assert [text for text in verdict.lost if "audit line" in text], verdict


def test_a_missing_message_to_a_webhook_is_found_lost(journal: Journal) -> None:
    db.session.remove()
    verdict = verify(db.engine, journal, has_webhook=True)
    assert len([text for text in verdict.lost if "message" in text]) == 2, verdict


def test_a_job_that_a_repeated_request_made_twice_is_found_doubled(journal: Journal, cast: Cast) -> None:
    jobs.enqueue_job("torture", cast.acme.id, {"key": "completed"}, by=RUNNER)
    assert len(judge(journal).doubled) == 1


def test_a_line_that_was_appended_twice_is_found_doubled(journal: Journal) -> None:
    job_id = journal.jobs[0].job_id
    logs.append(job_id, NewLines.parse({"lines": [{"text": "line of completed"}]}), within=None)
    assert len(judge(journal).doubled) == 1


def test_a_history_that_leaves_out_a_move_is_found_impossible(journal: Journal) -> None:
    job_id = journal.jobs[0].job_id
    moved_to_running = sa.delete(JobEvent).where(JobEvent.job_id == job_id, JobEvent.to_status == "running")
    assert len(judge(journal, lambda session: session.execute(moved_to_running)).impossible) >= 1


def test_a_job_that_nobody_sent_is_found_impossible(journal: Journal, cast: Cast) -> None:
    jobs.enqueue_job("torture", cast.acme.id, {"key": "unheard of"}, by=RUNNER)
    assert len(judge(journal).impossible) == 1
