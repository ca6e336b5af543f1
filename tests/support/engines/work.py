"""The work that the tasks of every engine do in the tests, and how a test follows and directs it by files.

Nothing here is made when it is imported: the test's own process and each worker import it for many tests.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from callboard_client import current_job


def options() -> dict[str, Any]:
    """Return the options that the tasks are connected with: the usual ones, and those of the test."""
    of_test: dict[str, Any] = json.loads(os.environ.get("TASK_OPTIONS", "{}"))
    return {"tags": ["monthly"], "heartbeat_timeout": 3} | of_test


def path_of(name: str) -> Path:
    """Return the file of a name in the folder of the test."""
    return Path(os.environ["WORK_FOLDER"]) / name


def note(name: str) -> int:
    """Note that a task came so far; return how often one did."""
    with path_of(name).open("a") as file:
        file.write(".")
    return count_notes(name)


def count_notes(name: str) -> int:
    """Return how often a task came so far."""
    path = path_of(name)
    return path.stat().st_size if path.exists() else 0


def wait_for(name: str) -> None:
    """Wait until the test creates a file."""
    while not path_of(name).exists():
        time.sleep(0.01)


# --- the tasks ---------------------------------------------------------------------------------------------------


def generate_report(month: str, pages: int = 1) -> dict[str, int]:
    """Report that it is at 40 %, and complete as soon as the test says go."""
    current_job().log(f"the report of {month}\nhas {pages} pages")
    current_job().progress(40, message="page 4 of 10")
    wait_for("go")
    return {"pages": pages}


def fail() -> None:
    """Fail at the only attempt."""
    raise ValueError("no such month")


def import_rows(failures: int) -> int:
    """Fail at so many attempts, and complete at the next one as soon as the test says go."""
    if note("tried") <= failures:
        raise ValueError("no rows yet")
    wait_for("go")
    return 3


def import_rows_slowly(failures: int) -> int:
    """Do the same, for a task whose attempts are a second apart."""
    return import_rows(failures)


def endless() -> None:
    """Report until it is stopped, or the test says go; tried again if it fails."""
    note("began")
    try:
        while not path_of("go").exists():
            current_job().progress(50)
            time.sleep(0.01)
    finally:
        note("ended")


def silent() -> str:
    """Report once and never again until the test says go; tried again if it fails."""
    current_job().progress(50)
    note("began")
    try:
        wait_for("go")
    finally:
        note("ended")
    return "done"


def note_failure(*_: object, **__: object) -> None:
    """Note that an attempt failed, as the engine says."""
    note("failed")
