"""Show how to connect a runner: the first lines for each kind, with this board's address in them.

The code is that of examples, which the tests run: a page cannot tell what no longer works.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import abort, current_app, render_template

from webapp.dashboard.scope import workspace

ROOT = Path(__file__).resolve().parent.parent.parent
_SHOWN = re.compile(r"^ *(?:#|//) docs: begin\n(.*?)^ *(?:#|//) docs: end$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Runner:
    """A kind of runner: how to install what it needs, the file whose shown part is its code, and what that does.

    ``start`` is the command that runs it. ``page`` is its page in ``docs/runners``.
    """

    slug: str
    name: str
    install: str
    example: str
    summary: str
    start: str | None = None

    @property
    def page(self) -> str:
        return f"docs/runners/{self.slug}.md"

    @property
    def code(self) -> str:
        """The part of the example that is shown."""
        return shown_part(ROOT / self.example)


@cache
def shown_part(path: Path) -> str:
    """Return what stands between ``docs: begin`` and ``docs: end`` in a file. Raises ``ValueError`` if nothing does."""
    match = _SHOWN.search(path.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"{path.name} has no part to show.")
    return match[1].rstrip()


def _in_examples(*commands: str) -> str:
    """Write commands as they are typed in the folder of the examples."""
    return "\n".join(("cd examples/runners", *commands))


PIP = "pip install ./clients/python"
NPM = "npm install ./clients/typescript"
RUNNERS: Sequence[Runner] = (
    Runner(
        "command",
        "Any command",
        PIP,
        "examples/runners/nightly_backup.sh",
        "The lines it writes are the job's log, ::progress lines tell how far it is, a cancel is SIGTERM, and its exit "
        "code is passed through. Without a board it runs all the same.",
    ),
    Runner(
        "python",
        "Python",
        PIP,
        "examples/runners/python_jobs.py",
        "An exception fails the job with its traceback, a cancel raises JobCanceled from the next report, and while "
        "the board is away the work goes on.",
        "python examples/runners/python_jobs.py",
    ),
    Runner(
        "celery",
        "Celery",
        'pip install "./clients/python[celery]" "celery[redis]"',
        "examples/runners/celery_jobs.py",
        "Publishing a task creates its job as pending, a worker starts and ends it, a retry is a message of the same "
        "job, and a cancel stops the task at its next report or revokes it.",
        _in_examples(
            "celery -A celery_jobs worker &",
            "python -c 'from celery_jobs import generate_report; generate_report.delay(\"2026-10\")'",
        ),
    ),
    Runner(
        "rq",
        "RQ",
        'pip install "./clients/python[rq]"',
        "examples/runners/rq_jobs.py",
        "Enqueueing makes the job, the work horse moves it, a retry is a message of the same job, and a cancel stops "
        "the work horse.",
        _in_examples(
            "rq worker --job-class rq_jobs.Job reports &",
            "python -c 'from rq_jobs import generate_report, queue; queue.enqueue(generate_report, \"2026-10\")'",
        ),
    ),
    Runner(
        "dramatiq",
        "Dramatiq",
        'pip install "./clients/python[dramatiq]"',
        "examples/runners/dramatiq_jobs.py",
        "A message makes the job, the worker moves it, a retry is a message of the same job, and a cancel interrupts "
        "the actor.",
        _in_examples(
            "dramatiq dramatiq_jobs &",
            "python -c 'from dramatiq_jobs import generate_report; generate_report.send(\"2026-10\")'",
        ),
    ),
    Runner(
        "huey",
        "Huey",
        'pip install "./clients/python[huey]"',
        "examples/runners/huey_jobs.py",
        "A call makes the job, the worker moves it, a retry is a message of the same job, and a cancel ends "
        "the task at its next report.",
        _in_examples(
            "huey_consumer huey_jobs.huey &",
            "python -c 'from huey_jobs import generate_report; generate_report(\"2026-10\")'",
        ),
    ),
    Runner(
        "procrastinate",
        "Procrastinate",
        'pip install "./clients/python[procrastinate]"',
        "examples/runners/procrastinate_jobs.py",
        "Deferring a task creates its job as pending, a worker starts and ends it, a retry is a message of the same "
        "job, and a cancel aborts the task. PGHOST and the like say which database.",
        _in_examples(
            "python -m procrastinate --app procrastinate_jobs.app schema --apply",
            "python -m procrastinate --app procrastinate_jobs.app worker &",
            "python -c 'from procrastinate_jobs import app, generate_report",
            'with app.open(): generate_report.defer(month="2026-10")\'',
        ),
    ),
    Runner(
        "apscheduler",
        "APScheduler",
        'pip install "./clients/python[apscheduler]"',
        "examples/runners/apscheduler_jobs.py",
        "Every run is a job, and a run that was missed or left out is a failed one.",
        "python examples/runners/apscheduler_jobs.py",
    ),
    Runner(
        "futures",
        "concurrent.futures",
        PIP,
        "examples/runners/futures_jobs.py",
        "Every call that is submitted is a job, in threads and in processes.",
        "python examples/runners/futures_jobs.py",
    ),
    Runner(
        "nextjs",
        "Next.js",
        NPM,
        "clients/typescript/examples/nextjs-route.ts",
        "A route handler whose work is a job, with one limit for both.",
    ),
    Runner(
        "inngest",
        "Inngest",
        NPM,
        "clients/typescript/examples/inngest-function.ts",
        "A step of a function is a job.",
    ),
    Runner(
        "trigger-dev",
        "Trigger.dev",
        NPM,
        "clients/typescript/examples/trigger-task.ts",
        "A run of a task is a job.",
    ),
)


@workspace.get("/connect")
def show_connect() -> str:
    return render_template("connect/page.html", public_url=current_app.config["PUBLIC_URL"], runners=RUNNERS)


@workspace.get("/connect/<runner>")
def show_runner(runner: str) -> str:
    kind = next((each for each in RUNNERS if each.slug == runner), None) or abort(404)
    return render_template(
        "connect/runner.html", public_url=current_app.config["PUBLIC_URL"], runners=RUNNERS, runner=kind
    )
