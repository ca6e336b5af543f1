"""Export the jobs of a filter: CSV for spreadsheets, NDJSON for programs; read page by page, never held whole.

Payload and result are left out, as in every list. Newest first, whatever order the page shows.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from flask import Response, g, request

from webapp.concurrency import ConcurrencyLimit
from webapp.core.job_json import job_json
from webapp.core.jobs import listing
from webapp.core.json_text import compact_json
from webapp.core.models import JOB_FIELDS
from webapp.dashboard.jobs.query import ListQuery, search_place
from webapp.dashboard.scope import workspace
from webapp.downloads import attachment

PAGE_SIZE = 100
"""Jobs held at a time: their errors may have 64 KiB each."""
OMITTED = ("payload", "result")
COLUMNS = tuple(name for name in JOB_FIELDS if name not in OMITTED)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

exports = ConcurrencyLimit(2, "Other downloads are being made right now. Try again in a few seconds.")
"""Each is work for a thread from beginning to end."""


@workspace.get("/jobs.csv")
def export_csv() -> Response:
    return _export(_csv_lines(_records()), "text/csv", "csv")


@workspace.get("/jobs.ndjson")
def export_ndjson() -> Response:
    return _export((f"{compact_json(record)}\n" for record in _records()), "application/x-ndjson", "ndjson")


def _export(lines: Iterable[str], mimetype: str, suffix: str) -> Response:
    with exports.hold(g.user.id), search_place(ListQuery.parse(request.args)):
        return attachment(lines, name=f"{g.workspace.slug}-jobs.{suffix}", mimetype=mimetype)


def _records() -> Iterator[Mapping[str, Any]]:
    newest_first = replace(ListQuery.parse(request.args).filter, longest_first=False)
    for job in listing.iterate_records(g.workspace.id, newest_first, page_size=PAGE_SIZE):
        yield job_json(job, without=OMITTED)


class _Echo:
    """Give a writer of CSV each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    writer: Any = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for record in records:
        yield writer.writerow([_csv_cell(record[name]) for name in COLUMNS])


def _csv_cell(value: object) -> str:
    """Write a value as a spreadsheet takes it for text: what begins like a formula would be run as one."""
    text = "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
