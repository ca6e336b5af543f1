"""What docs/runners and the connect pages show is run here as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import Operator
from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples" / "runners"


def run(*command: str) -> None:
    on_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, env=os.environ | {"PATH": on_path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_python(environ: dict[str, str], operator: Operator) -> None:
    run(sys.executable, str(EXAMPLES / "python_jobs.py"))
    job = operator.newest
    assert (job["type"], job["status"], job["result"]) == ("generate-report", "completed", {"pages": 10})


def test_any_command(environ: dict[str, str], operator: Operator) -> None:
    run(str(EXAMPLES / "nightly_backup.sh"))
    job = operator.newest
    assert (job["type"], job["status"], job["tags"]) == ("nightly-backup", "completed", ["nightly"])
    assert job["message"] == "part 4 of 4"


def test_the_test_of_a_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CALLBOARD_URL", raising=False)
    run(sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(EXAMPLES / "test_report.py"))
