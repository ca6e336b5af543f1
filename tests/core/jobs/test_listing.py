"""The list: what it counts, what it loads, and in which order it names the types."""

import re
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.people import Cast
from tests.support.statements import record_statements
from webapp.core import jobs
from webapp.core.database.session import db
from webapp.core.jobs import listing
from webapp.core.jobs.listing import Count, JobFilter
from webapp.core.lifecycle import JobStatus

pytestmark = pytest.mark.usefixtures("core")

PENDING, RUNNING, COMPLETED = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.COMPLETED


def test_counting_stops_at_the_cap_and_says_so(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "COUNT_CAP", 3)
    for _ in range(3):
        jobs.enqueue_job("t", cast.acme.id)
    counted = listing.count_by_status(cast.acme.id, JobFilter())
    assert (counted[PENDING], counted[RUNNING]) == (Count(3, capped=False), Count(0, capped=False))
    jobs.enqueue_job("t", cast.acme.id)
    assert listing.count_by_status(cast.acme.id, JobFilter())[PENDING] == Count(3, capped=True)


def test_the_tabs_count_every_status_whatever_status_is_shown(cast: Cast) -> None:
    jobs.enqueue_job("wanted", cast.acme.id, tags=["x"])
    jobs.enqueue_job("other", cast.acme.id, tags=["x"])
    counted = listing.count_by_status(cast.acme.id, JobFilter(statuses=(COMPLETED,), type="wanted", tag="x"))
    assert counted[PENDING] == Count(1, capped=False)


def test_a_common_tag_finds_the_same_jobs_and_counts_them_as_far_as_it_looked(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        jobs.enqueue_job("t", cast.acme.id, tags=["all", "even"] if number % 2 == 0 else ["all"])
        jobs.enqueue_job("t", cast.other.id, tags=["all", "even"])
    running = jobs.enqueue_job("t", cast.acme.id, tags=["all"])
    jobs.update_job_status(running, status="running")
    filters = [JobFilter(tag="all"), JobFilter(tag="all", also_tag="even"), JobFilter(tag="all", type="t")]

    def read_lists() -> list[Any]:
        pages = [listing.list_jobs(cast.acme.id, each, limit=10).jobs for each in filters]
        return [
            ([job.id for job in page], listing.count_by_status(cast.acme.id, each))
            for page, each in zip(pages, filters, strict=True)
        ]

    rare = read_lists()
    monkeypatch.setattr(listing, "COMMON_TAG", 2)
    assert read_lists() == rare
    assert rare[0][1][PENDING] == Count(6, capped=False)
    monkeypatch.setattr(listing, "COMMON_TAG_SAMPLE", 5)
    counted = listing.count_by_status(cast.acme.id, JobFilter(tag="all"))
    assert counted[PENDING].capped
    assert 1 <= counted[PENDING].count <= 6
    assert counted[RUNNING] == Count(1, capped=False)
    monkeypatch.setattr(listing, "COUNT_CAP", 3)
    assert listing.count_by_status(cast.acme.id, JobFilter(tag="all"))[PENDING] == Count(3, capped=True)


def test_a_list_loads_neither_payload_nor_result_nor_error(cast: Cast) -> None:
    job_id = jobs.enqueue_job("t", cast.acme.id, payload={"large": "x" * 1000})
    jobs.update_job_status(job_id, status="failed", error="y" * 1000)
    db.session.expunge_all()
    with record_statements() as statements:
        (job,) = listing.list_jobs(cast.acme.id, JobFilter(), limit=10).jobs
    assert statements
    for column in ("payload", "result", "error"):
        assert not any(re.search(rf"\bjob_runs\.{column}\b", statement) for statement in statements)
        with pytest.raises(sa.exc.InvalidRequestError):
            getattr(job, column)
    (record,) = listing.list_records(cast.acme.id, JobFilter(), limit=10).jobs
    assert record.error == "y" * 1000
    assert not {"payload", "result"} & set(record._fields)


def test_types_are_named_once_each_and_in_order(cast: Cast) -> None:
    for type in ("b", "a", "c", "b", "a"):
        jobs.enqueue_job(type, cast.acme.id)
    assert listing.list_types(cast.acme.id) == ["a", "b", "c"]
    assert listing.list_types(uuid.uuid4()) == []
