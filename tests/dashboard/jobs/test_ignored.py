"""What runners wrote is text to htmx: even markup that got through would not act."""

import re

from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import RUNNER
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import NewLines


def test_what_a_runner_wrote_stands_where_htmx_does_not_look(app: Flask, client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ben@example.com")
    with app.app_context():
        job_id = jobs.enqueue_job("import", cast.acme.id, payload={"note": "x"}, by=RUNNER)
        jobs.update_job_status(job_id, status="running", message="x", by=RUNNER)
        logs.append(job_id, NewLines.parse({"lines": [{"text": "x"}]}), within=cast.acme.id)
        failed = jobs.enqueue_job("import", cast.acme.id, by=RUNNER)
        jobs.update_job_status(failed, status="failed", error="x", by=RUNNER)
    for path, opening in (
        (f"jobs/{job_id}", r'<p class="message"'),
        (f"jobs/{job_id}", r'<details class="json" id="payload"'),
        (f"jobs/{job_id}", r'<ol class="lines"'),
        (f"jobs/{failed}", r'<pre class="error"'),
        ("jobs", r'<td class="c-message"'),
    ):
        page = client.get(f"/w/acme/{path}").text
        tags = re.findall(rf"{opening}[^>]*>", page)
        assert tags, opening
        assert all(" hx-ignore" in tag for tag in tags), opening
