"""Adds ``flask jobs``: enqueue, show and cancel jobs of every workspace and of none."""

import json
import uuid
from typing import Any

import click

from webapp.cli.errors import CommandGroup
from webapp.cli.terminal import print_line
from webapp.core import jobs
from webapp.core.job_json import job_json
from webapp.core.workspaces import workspaces

group = CommandGroup("jobs", help="Jobs: enqueue, show, cancel.")


class JsonType(click.ParamType[Any]):
    """Parses JSON text; whether its value may be a payload is checked by the core."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            self.fail('It must be JSON, like \'{"folder": "/srv/reports"}\'.', param, ctx)


@group.command()
@click.argument("type", metavar="TYPE")
@click.option("--workspace", "slug", metavar="SLUG", help="Without it only the command line sees the job.")
@click.option("--payload", type=JsonType(), help="A JSON object: what the job is asked to do.")
@click.option("--tag", "tags", multiple=True, help="May be given several times.")
@click.option("--max-duration", type=int, help="Seconds after which the board fails the job.")
@click.option("--heartbeat-timeout", type=int, help="Seconds of silence after which the job counts as lost.")
@click.option("--parent", "parent_id", type=click.UUID, metavar="ID", help="The job that this one belongs to.")
@click.option("--link", help="The runner's own page or log.")
@click.option("--runner", help="The host or worker that takes it.")
def enqueue(type: str, slug: str | None, **fields: Any) -> None:
    """Create a pending job and print its id."""
    workspace_id = workspaces.get_by_slug_unchecked(slug).id if slug is not None else None
    print_line(jobs.enqueue_job(type, workspace_id, **fields))


@group.command()
@click.argument("id", type=click.UUID)
def show(id: uuid.UUID) -> None:
    """Print a job as JSON."""
    print_line(json.dumps(job_json(jobs.get_job_status(id)), ensure_ascii=False, indent=2))


@group.command()
@click.argument("id", type=click.UUID)
def cancel(id: uuid.UUID) -> None:
    """Cancel a job; its runner hears of it when it next reports."""
    job = jobs.cancel_job(id)
    print_line(f"The job {job.id} is canceled.")
