"""The TypeScript client: Node's own tests of it against a real board, and a board that stops during a job."""

import fcntl
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from flask.testing import FlaskClient

from tests.support.operator import Operator
from tests.support.paths import ROOT
from tests.support.servers import Outage
from tests.support.waiting import wait_until

FOLDER = ROOT / "clients" / "typescript"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
LOCK = FOLDER / "package-lock.json"

# The first test installs the SDKs.
pytestmark = pytest.mark.timeout(900)


def run_in_client(*command: str, seconds: float = 300, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command in the folder of the client, for so many seconds at most."""
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=seconds, check=False, **options)


@contextmanager
def install_lock() -> Iterator[None]:
    """Keep every other process of this test run from installing or building meanwhile."""
    with (FOLDER / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def skip(reason: str) -> NoReturn:
    pytest.skip(f"THE TYPESCRIPT CLIENT WAS NOT TESTED, neither its jobs nor its examples: {reason}")


@pytest.fixture(scope="session")
def packages() -> None:
    """Install what the lock file names, in one of the processes that test."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            skip(f"there is no {program} here. Install Node.js 20 or newer.")
    version = run_in_client("node", "--version").stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        skip(f"Node.js here is {version}. Install 20 or newer.")
    with install_lock():
        if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
            result = run_in_client("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", seconds=600)
            if result.returncode:
                skip(f"npm ci failed. {result.stderr.strip()[-500:]}")


@pytest.fixture(scope="session")
def built(packages: None) -> None:
    """Check the client, its examples and its tests against the real SDKs, and build them."""
    run, stamp = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex), FOLDER / "build" / "run"
    with install_lock():
        if stamp.exists() and stamp.read_text() == run:
            return
        for folder in ("dist", "build"):
            shutil.rmtree(FOLDER / folder, ignore_errors=True)
        for project in ("tsconfig.build.json", "tsconfig.json"):
            result = run_in_client("node_modules/.bin/tsc", "--project", project)
            assert result.returncode == 0, result.stdout
        stamp.write_text(run)


def test_its_code_is_linted_and_formatted(packages: None) -> None:
    result = run_in_client("npm", "run", "lint", "--", "--colors=off")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_clients_own_tests_pass(built: None, environ: dict[str, str]) -> None:
    files = sorted(str(path) for path in (FOLDER / "build" / "tests").glob("*.test.js"))
    assert len(files) >= 5
    options = ("--test-concurrency=3", "--test-timeout=60000", "--test-reporter=spec")
    result = run_in_client("node", "--test", *options, *files, env=os.environ | environ)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def runner(built: None, outage: Outage, token: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a program that does jobs on a board that goes away."""
    variables = {"CALLBOARD_URL": outage.address, "CALLBOARD_TOKEN": token}
    command = ["node", str(FOLDER / "build" / "tests" / "outage.js")]
    with subprocess.Popen(
        command, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        yield child
        child.kill()


def test_a_board_that_stops_during_a_job_misses_nothing(
    runner: "subprocess.Popen[str]", outage: Outage, operator: Operator
) -> None:
    def read_message() -> dict[str, Any]:
        assert runner.stdout
        message: dict[str, Any] = json.loads(runner.stdout.readline())
        return message

    def let_go_on() -> None:
        assert runner.stdin
        runner.stdin.write("\n")

    before = read_message()["id"]
    wait_until(lambda: operator.job(before)["progress"] == 10)
    outage.stop()
    let_go_on()
    assert read_message() == {"during": {"n": 2, "id": None}}
    ended = read_message()["ended"] / 1000
    assert operator.job(before)["status"] == "running"
    wait_until(lambda: time.time() - ended > 2.5)  # A report that is late says when it happened.
    outage.start()
    let_go_on()
    assert read_message() == {"flushed": True}
    second, first = operator.jobs
    assert (first["type"], first["id"], first["message"]) == ("before", before, "at 89")
    assert operator.job(before)["result"] == {"n": 1}
    assert operator.log(before) == ["while nobody listened"]
    assert (second["type"], operator.job(second["id"])["result"]) == ("during", {"n": 2, "id": None})
    for job in (first, second):
        assert (job["status"], operator.history(job["id"])) == ("completed", ["pending", "running", "completed"])
        assert job["created_at"] <= job["started_at"] <= job["completed_at"]
        # The board was back only later.
        assert abs(datetime.fromisoformat(job["completed_at"]).timestamp() - ended) < 1
    assert runner.wait(20) == 0


def test_its_types_are_those_of_the_board(packages: None, client: FlaskClient, tmp_path: Path) -> None:
    generated = tmp_path / "openapi.ts"
    result = run_in_client("node", "scripts/openapi.js", str(generated), input=client.get("/api/v1/openapi.json").text)
    assert result.returncode == 0, result.stderr
    checked_in = (FOLDER / "src" / "openapi.ts").read_text()
    assert generated.read_text() == checked_in, "Make it anew: node scripts/openapi.js < openapi.json"


def test_the_lock_file_names_no_host() -> None:
    text = LOCK.read_text()
    assert "://" not in text, "Leave it out: npm run lock"
    assert '"resolved"' not in text
    packages = json.loads(text)["packages"].items()
    assert [name for name, package in packages if name and not package.get("integrity")] == []


def test_it_needs_no_package() -> None:
    manifest = json.loads((FOLDER / "package.json").read_text())
    assert "dependencies" not in manifest
    assert all(version[0].isdigit() for version in manifest["devDependencies"].values())
