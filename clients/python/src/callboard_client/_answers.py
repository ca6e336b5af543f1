"""Apply the board's answer to an entry and its job."""

import logging
from typing import Any

from callboard_client._outbox import Entry, Outbox
from callboard_client._requests import Answer
from callboard_client._transport import DAILY_LIMIT
from callboard_client.errors import BoardRefused, JobConflict, JobNotFound, JobStopped
from callboard_client.record import JobRecord

log = logging.getLogger("callboard_client")


def apply_answer(entry: Entry, answer: Answer, outbox: Outbox) -> JobStopped | None:
    """Note the answer to an entry that was taken out of the outbox; return the stop if the job learns of it now.

    A report that the board refuses in part is put back without that part. A job that the board does not know is
    dropped.
    """
    job = entry.job
    entry.outcome, entry.answered = answer, True
    if isinstance(answer, JobRecord):
        job.id = answer.id
    elif isinstance(answer, JobStopped):
        if job.stop is None:
            job.stop = answer
            return answer
    elif isinstance(answer, JobConflict):
        log.warning("The board did not accept a report of job %s: %s", job.id, answer)
    elif answer is not None and (body := _accepted_part(entry, answer)):
        log.warning("The board refused a part of job %s, which is left out: %s", job.id or "", answer)
        entry.body, entry.answered, entry.outcome, entry.failures = body, False, None, 1
        outbox.put_back(entry)
    elif answer is not None:
        log.warning("The board refused a report: %s", answer)
        if entry.kind == "create" or isinstance(answer, JobNotFound):
            outbox.drop(job)
    return None


def _accepted_part(entry: Entry, refusal: BoardRefused) -> dict[str, Any] | None:
    """Return the body without the refused fields; ``None`` where nothing would be left to send, or gained."""
    if entry.kind == "log" or not (refusal.status in (413, 422) or refusal.code == DAILY_LIMIT):
        return None
    pointers = [str(fault.get("pointer", "")) for fault in refusal.faults]
    refused = {pointer.split("/")[1] for pointer in pointers if "/" in pointer}
    refused |= {"payload", "result", "error"} if refusal.status != 422 else set()
    body = {name: value for name, value in entry.body.items() if name not in refused}
    return body if body != entry.body and body and not refused & {"status", "type"} else None
