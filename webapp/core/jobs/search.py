"""Reads the text of the search box: an id, a type, a tag, or a text in the errors."""

import re
import uuid
from dataclasses import dataclass, replace
from enum import StrEnum

import sqlalchemy as sa

from webapp.core.database.session import db
from webapp.core.jobs.listing import FIRST_ID, LAST_ID, JobFilter
from webapp.core.models import JobRun, JobTag


class SearchKind(StrEnum):
    """What a text in the search box was understood as."""

    ID = "id"
    ID_START = "id_start"
    TYPE = "type"
    TAG = "tag"
    ERROR = "error"


@dataclass(frozen=True)
class Search:
    """What was searched for, and as what."""

    kind: SearchKind
    text: str

    def narrow(self, job_filter: JobFilter) -> JobFilter:
        """Return the filter with the search in it: both must hold."""
        match self.kind:
            case SearchKind.ID | SearchKind.ID_START:
                digits = self.text.replace("-", "")
                first, last = (uuid.UUID(digits.ljust(32, end)) for end in "0f")
                return replace(job_filter, ids=(first, last))
            case SearchKind.TYPE:
                # No job has two types: then no id is in the range, which ends before it begins.
                clash = job_filter.type not in (None, self.text)
                return replace(job_filter, type=self.text, ids=(LAST_ID, FIRST_ID) if clash else None)
            case SearchKind.TAG:
                return replace(job_filter, also_tag=self.text)
            case SearchKind.ERROR:
                return replace(job_filter, error_text=self.text)


_ID_START = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-?|[0-9a-f]{8}-[0-9a-f-]{5,27}|[0-9a-f]{13,32}")


def parse_search(workspace_id: uuid.UUID, text: str) -> Search:
    """Return what a text in the search box means.

    That is an id or 13 and more characters of its start, a type or a tag that this workspace has, else a text in the
    errors. ``error:`` before it means the last in any case.
    """
    prefix, _, rest = text.partition(":")
    if prefix.lower() == "error" and rest.strip():
        return Search(SearchKind.ERROR, rest.strip())
    lowered = text.lower()
    if len(lowered) >= 13 and _ID_START.fullmatch(lowered) and len(digits := lowered.replace("-", "")) <= 32:
        return Search(SearchKind.ID if len(digits) == 32 else SearchKind.ID_START, lowered)
    is_type = sa.exists().where(JobRun.workspace_id == workspace_id, JobRun.type == text)
    is_tag = sa.exists().where(JobTag.workspace_id == workspace_id, JobTag.tag == text)
    known = db.session.execute(sa.select(is_type.label("type"), is_tag.label("tag"))).one()
    return Search(SearchKind.TYPE if known.type else SearchKind.TAG if known.tag else SearchKind.ERROR, text)
