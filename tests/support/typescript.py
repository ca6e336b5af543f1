"""The TypeScript client, built once for all processes of a test run."""

import fcntl
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT / "clients" / "typescript"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
LOCK = FOLDER / "package-lock.json"


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
