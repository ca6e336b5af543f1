"""A test of a job, which needs no board. Run it with pytest."""

# docs: begin
import pytest
from callboard_client import Client, JobCanceled, current_job
from callboard_client.testing import record_jobs

client = Client()


@client.track("generate-report")
def generate_report(month: str, pages: int) -> dict[str, int]:
    for page in range(1, pages + 1):
        current_job().progress(100 * page / pages, message=f"page {page} of {pages}")
    return {"pages": pages}


def test_a_report_tells_its_pages() -> None:
    with record_jobs(client) as recorder:
        generate_report("2026-10", pages=2)
    job = recorder.get_job("generate-report")
    assert job.statuses == ["pending", "running", "completed"]
    assert job.progress_reports == [50, 100]
    assert job.messages == ["page 1 of 2", "page 2 of 2"]
    assert job.result == {"pages": 2}


def test_a_canceled_report_stops() -> None:
    with record_jobs(client) as recorder:
        recorder.cancel_when(lambda job: job.progress >= 50)
        with pytest.raises(JobCanceled):
            generate_report("2026-10", pages=100)
    job = recorder.get_job()
    assert job.progress_reports[-1] == 50
    assert job.stop_reported


# docs: end
