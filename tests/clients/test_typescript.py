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

from tests.clients.conftest import Operator, Outage, until
from tests.conftest import ROOT

FOLDER = ROOT / "clients" / "typescript"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
LOCK = FOLDER / "package-lock.json"

# The first test installs the SDKs.
pytestmark = pytest.mark.timeout(900)


def node(*command: str, seconds: float = 300, **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=seconds, check=False, **more)


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else installs or builds."""
    with (FOLDER / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def skip(why: str) -> NoReturn:
    pytest.skip(f"THE TYPESCRIPT CLIENT WAS NOT TESTED, neither its jobs nor its examples: {why}")


@pytest.fixture(scope="session")
def packages() -> None:
    """What the lock file names is installed, by one of the processes that test."""
    for needed in ("node", "npm"):
        if not shutil.which(needed):
            skip(f"there is no {needed} here. Install Node.js 20 or newer.")
    version = node("node", "--version").stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        skip(f"Node.js here is {version}. Install 20 or newer.")
    with alone():
        if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
            done = node("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", seconds=600)
            if done.returncode:
                skip(f"npm ci failed. {done.stderr.strip()[-500:]}")


@pytest.fixture(scope="session")
def built(packages: None) -> None:
    """The client, its examples and its tests, checked against the real SDKs and built."""
    run, stamp = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex), FOLDER / "build" / "run"
    with alone():
        if stamp.exists() and stamp.read_text() == run:
            return
        for folder in ("dist", "build"):
            shutil.rmtree(FOLDER / folder, ignore_errors=True)
        for project in ("tsconfig.build.json", "tsconfig.json"):
            done = node("node_modules/.bin/tsc", "--project", project)
            assert done.returncode == 0, done.stdout
        stamp.write_text(run)


def test_its_code_is_linted_and_formatted(packages: None) -> None:
    done = node("npm", "run", "lint", "--", "--colors=off")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nodes_own_tests(built: None, environ: dict[str, str]) -> None:
    files = sorted(str(path) for path in (FOLDER / "build" / "tests").glob("*.test.js"))
    assert len(files) >= 5
    options = ("--test-concurrency=3", "--test-timeout=60000", "--test-reporter=spec")
    done = node("node", "--test", *options, *files, env=os.environ | environ)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def runner(built: None, outage: Outage, token: str) -> Iterator["subprocess.Popen[str]"]:
    """A program that does jobs on a board that goes away."""
    told = {"CALLBOARD_URL": outage.address, "CALLBOARD_TOKEN": token}
    command = ["node", str(FOLDER / "build" / "tests" / "outage.js")]
    with subprocess.Popen(
        command, env=os.environ | told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        yield child
        child.kill()


def test_a_board_that_stops_during_a_job_misses_nothing(
    runner: "subprocess.Popen[str]", outage: Outage, operator: Operator
) -> None:
    def hears() -> dict[str, Any]:
        assert runner.stdout
        heard: dict[str, Any] = json.loads(runner.stdout.readline())
        return heard

    def says() -> None:
        assert runner.stdin
        runner.stdin.write("\n")

    before = hears()["id"]
    until(lambda: operator.job(before)["progress"] == 10)
    outage.stop()
    says()
    assert hears() == {"during": {"n": 2, "id": None}}
    ended = hears()["ended"] / 1000
    assert operator.job(before)["status"] == "running"
    until(lambda: time.time() - ended > 2.5)  # What is told late tells when it was.
    outage.start()
    says()
    assert hears() == {"told": True}
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
    made = tmp_path / "openapi.ts"
    done = node("node", "scripts/openapi.js", str(made), input=client.get("/api/v1/openapi.json").text)
    assert done.returncode == 0, done.stderr
    checked_in = (FOLDER / "src" / "openapi.ts").read_text()
    assert made.read_text() == checked_in, "Make it anew: node scripts/openapi.js < openapi.json"


def test_the_lock_file_names_no_host() -> None:
    text = LOCK.read_text()
    assert "://" not in text, "Leave it out: npm run lock"
    assert '"resolved"' not in text
    packages = json.loads(text)["packages"].items()
    assert [name for name, package in packages if name and not package.get("integrity")] == []


def test_it_needs_no_package() -> None:
    told = json.loads((FOLDER / "package.json").read_text())
    assert "dependencies" not in told
    assert all(version[0].isdigit() for version in told["devDependencies"].values())
