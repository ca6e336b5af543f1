"""The TypeScript client: Node's own tests of it against a real board, and a board that stops during a job."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.operator import Operator
from tests.support.servers import Outage
from tests.support.typescript import FOLDER, LOCK, run_in_client
from tests.support.waiting import wait_until

# The first test installs the SDKs.
pytestmark = pytest.mark.timeout(900)


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
