"""The PATCH table: what a report does to a job in each state."""

STATUSES = (None, "pending", "running", "completed", "failed", "canceled")
ILLEGAL, CANCELED, TIMED_OUT = "illegal_transition", "job_canceled", "job_timed_out"

# One row for each state of the job; one column for each of STATUSES, reported with nothing else.
# A status: accepted, and the job then stands there. Anything else: refused with that code.
TABLE = {
    "pending": ("pending", "pending", "running", ILLEGAL, "failed", "canceled"),
    "running": ("running", ILLEGAL, "running", "completed", "failed", "canceled"),
    "completed": ("completed", ILLEGAL, ILLEGAL, "completed", ILLEGAL, ILLEGAL),
    "failed": ("failed", ILLEGAL, ILLEGAL, ILLEGAL, "failed", ILLEGAL),
    "timed_out": (TIMED_OUT,) * 6,
    "lost": ("running", ILLEGAL, "running", "completed", "failed", "canceled"),
    "canceled": (CANCELED, CANCELED, CANCELED, CANCELED, CANCELED, "canceled"),
}
# What a report on a canceled job adds to its history; every other pair adds its moves and nothing else.
NEWS = {
    ("canceled", None): ["cancel_seen"],
    ("canceled", "pending"): ["cancel_seen"],
    ("canceled", "running"): ["cancel_seen"],
    ("canceled", "completed"): ["cancel_seen", "refused"],
    ("canceled", "failed"): ["cancel_seen", "refused"],
    ("canceled", "canceled"): ["cancel_confirmed"],
}
PAIRS = [
    (state, status, expected) for state, row in TABLE.items() for status, expected in zip(STATUSES, row, strict=True)
]
