"""A runner in a page of another web site, in a real browser."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from flask import Flask
from playwright.sync_api import Browser

from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.jobs.listing import JobFilter, list_records
from webapp.core.workspaces import origins

RUN = """async ([address, token]) => {
  const call = (method, path, body) => fetch(`${address}/api/v1${path}`, {
    method, body: JSON.stringify(body),
    headers: {Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": "one"},
  });
  try {
    const made = await call("POST", "/jobs", {type: "in-a-page"});
    const {id} = await made.json();
    const done = await call("PATCH", `/jobs/${id}`, {status: "running"});
    return [made.status, made.headers.get("Location") === `/api/v1/jobs/${id}`, done.status];
  } catch (error) {
    return String(error);
  }
}"""


@pytest.fixture
def site() -> Iterator[str]:
    """Another web site: a page with nothing on it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>A site</title>")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_of_a_listed_site_reports_a_job_and_of_another_does_not(
    app: Flask, address: str, cast: Cast, token: str, browser: Browser, site: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(site)
        assert page.evaluate(RUN, [address, token]) == "TypeError: Failed to fetch"
        with app.app_context():
            assert list_records(cast.acme.id, JobFilter(), limit=10, cursor=None).jobs == []
            origins.replace_unchecked(cast.acme.id, [site], by=SYSTEM)
        assert page.evaluate(RUN, [address, token]) == [201, True, 200]
    with app.app_context():
        [job] = list_records(cast.acme.id, JobFilter(), limit=10, cursor=None).jobs
        assert jobs.get_job_status(job.id, within=cast.acme.id).status == "running"
