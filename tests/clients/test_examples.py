"""What docs/runners and the connect pages show is run here as it stands."""

import sys
from pathlib import Path

import pytest

from tests.support.operator import Operator
from tests.support.workers import EXAMPLES, run_program


def test_python(environ: dict[str, str], operator: Operator) -> None:
    run_program(sys.executable, str(EXAMPLES / "python_jobs.py"))
    job = operator.newest
    assert (job["type"], job["status"], job["result"]) == ("generate-report", "completed", {"pages": 10})


def test_any_command(environ: dict[str, str], operator: Operator) -> None:
    run_program(str(EXAMPLES / "nightly_backup.sh"))
    job = operator.newest
    assert (job["type"], job["status"], job["tags"]) == ("nightly-backup", "completed", ["nightly"])
    assert job["message"] == "part 4 of 4"


def test_the_test_of_a_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CALLBOARD_URL", raising=False)
    run_program(sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(EXAMPLES / "test_report.py"))
