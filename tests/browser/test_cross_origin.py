"""A runner in a page of another web site, in a real browser."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser

from tests.support.people import Cast
from tests.support.typescript import FOLDER
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.jobs.listing import JobFilter, list_records
from webapp.core.limits import limits
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


RUN_CLIENT = """async ([url, token]) => {
  const { Callboard } = await import("/index.js");
  const board = new Callboard({ url, token, strict: true });
  const nameError = (promise) => promise.then(() => "no error", (error) => `${error.name} ${error.status}`);
  const result = await board.withJob("in-a-page", async (job) => {
    job.progress(50, "half way");
    job.log("from a page");
    return { pages: 3 };
  });
  await board.flush();
  const { id } = await board.enqueueJob("canceled-in-a-page");
  await board.updateJobStatus(id, { status: "canceled" });
  return {
    result,
    missing: await nameError(board.getJobStatus("none")),
    invalid: await nameError(board.enqueueJob("")),
    canceled: await nameError(board.updateJobStatus(id, { status: "running" })),
    stranger: await nameError(new Callboard({ url, token: `${token}x` }).enqueueJob("t")),
  };
}"""


CREATE_WITH_PAYLOAD = """async ([url, token]) => {
  const answer = await fetch(`${url}/api/v1/jobs`, {
    method: "POST", body: JSON.stringify({ type: "large", payload: { a: 1 } }),
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
  });
  return [answer.status, Number(answer.headers.get("Retry-After")) > 0, (await answer.json()).code];
}"""


class _QuietHandler(SimpleHTTPRequestHandler):
    # What a machine's own list of types says of scripts is not always what a module has to be.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript"}

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serve(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Another web site: a page with nothing on it, and the TypeScript client once that is built."""
    (tmp_path / "index.html").write_text("<!doctype html><title>A site</title><link rel=icon href=data:,>")
    with _serve(tmp_path) as address:
        yield address


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


@pytest.mark.timeout(900)  # The first test builds the client.
@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_the_typescript_client_does_a_job_in_a_page_of_another_site(
    app: Flask, address: str, cast: Cast, token: str, browser: Browser, built: None, site: str, tmp_path: Path
) -> None:
    for module in (FOLDER / "dist").glob("*.js"):
        (tmp_path / module.name).write_bytes(module.read_bytes())
    with app.app_context():
        origins.replace_unchecked(cast.acme.id, [site], by=SYSTEM)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(site)
        assert page.evaluate(RUN_CLIENT, [address, token]) == {
            "result": {"pages": 3},
            "missing": "JobNotFound 404",
            "invalid": "BoardRefused 422",
            "canceled": "JobCanceled 409",
            "stranger": "Unauthorized 401",
        }
    with app.app_context():
        [job] = list_records(cast.acme.id, JobFilter(type="in-a-page"), limit=10, cursor=None).jobs
        ended = jobs.get_job_status(job.id, within=cast.acme.id)
        assert (ended.status, ended.progress, ended.result) == ("completed", 100, {"pages": 3})


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_a_page_reads_when_it_may_send_more(
    app: Flask, address: str, cast: Cast, token: str, browser: Browser, site: str
) -> None:
    with app.app_context():
        origins.replace_unchecked(cast.acme.id, [site], by=SYSTEM)
        limits.set_limit(limits.of_workspace(cast.acme.id), "payload-mib-per-day", 0, by=SYSTEM)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(site)
        assert page.evaluate(CREATE_WITH_PAYLOAD, [address, token]) == [429, True, "daily_limit"]
