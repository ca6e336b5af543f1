"""The jobs of a filter as a file: CSV for spreadsheets, NDJSON for programs; sent page by page, never held whole.

Payload and result are left out, as in every list. Newest first, whatever order the page shows.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Response, g, request, stream_with_context

from webapp.core.job_json import job_json
from webapp.core.jobs import listing
from webapp.core.json_text import compact_json
from webapp.core.models import JOB_FIELDS
from webapp.dashboard.jobs.query import Asked
from webapp.dashboard.scope import workspace

AT_A_TIME = 200
"""Jobs held at a time: their errors may have 64 KiB each."""
LARGE = ("payload", "result")
COLUMNS = tuple(name for name in JOB_FIELDS if name not in LARGE)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@workspace.get("/jobs.csv")
def export_csv() -> Response:
    return _sent(_csv(_records()), "text/csv", "csv")


@workspace.get("/jobs.ndjson")
def export_ndjson() -> Response:
    lines = ("".join(f"{compact_json(record)}\n" for record in page) for page in _records())
    return _sent(lines, "application/x-ndjson", "ndjson")


def _records() -> Iterator[Sequence[Mapping[str, Any]]]:
    wanted = replace(Asked.by(request.args).filter, longest_first=False)
    for page in listing.iterate_pages(g.workspace.id, wanted, limit=AT_A_TIME):
        yield [job_json(job, without=LARGE) for job in page]


def _csv(pages: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    yield _lines([COLUMNS])
    for page in pages:
        yield _lines([[_cell(record[name]) for name in COLUMNS] for record in page])


def _lines(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: object) -> str:
    """A value as a spreadsheet takes it for text: what begins like a formula would be run as one."""
    text = "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _sent(text: Iterator[str], mimetype: str, suffix: str) -> Response:
    response = Response(stream_with_context(text), mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{g.workspace.slug}-jobs.{suffix}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response
