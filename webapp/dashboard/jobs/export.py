"""Export the jobs of a filter: CSV for spreadsheets, NDJSON for programs; sent page by page, never held whole.

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
from webapp.dashboard.jobs.query import ListQuery
from webapp.dashboard.scope import workspace

BATCH_SIZE = 200
"""Jobs held at a time: their errors may have 64 KiB each."""
OMITTED = ("payload", "result")
COLUMNS = tuple(name for name in JOB_FIELDS if name not in OMITTED)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@workspace.get("/jobs.csv")
def export_csv() -> Response:
    return _attachment(_csv(_record_batches()), "text/csv", "csv")


@workspace.get("/jobs.ndjson")
def export_ndjson() -> Response:
    lines = ("".join(f"{compact_json(record)}\n" for record in batch) for batch in _record_batches())
    return _attachment(lines, "application/x-ndjson", "ndjson")


def _record_batches() -> Iterator[Sequence[Mapping[str, Any]]]:
    newest_first = replace(ListQuery.parse(request.args).filter, longest_first=False)
    for jobs in listing.iterate_pages(g.workspace.id, newest_first, limit=BATCH_SIZE):
        yield [job_json(job, without=OMITTED) for job in jobs]


def _csv(batches: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    yield _csv_lines([COLUMNS])
    for batch in batches:
        yield _csv_lines([[_csv_cell(record[name]) for name in COLUMNS] for record in batch])


def _csv_lines(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _csv_cell(value: object) -> str:
    """Write a value as a spreadsheet takes it for text: what begins like a formula would be run as one."""
    text = "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _attachment(chunks: Iterator[str], mimetype: str, suffix: str) -> Response:
    response = Response(stream_with_context(chunks), mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{g.workspace.slug}-jobs.{suffix}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response
