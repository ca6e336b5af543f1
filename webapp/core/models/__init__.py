"""The tables. A row answers questions about itself; it never writes, and it does not know its JSON."""

from webapp.core.models.base import Base, new_id
from webapp.core.models.board import AuditEntry, Listening
from webapp.core.models.jobs import JOB_FIELDS, CancelStory, JobEvent, JobRun, JobTag
from webapp.core.models.people import BrowserSession, LoginFailure, User
from webapp.core.models.tokens import ApiToken, Scope
from webapp.core.models.workspaces import Membership, Role, Workspace

__all__ = [
    "JOB_FIELDS",
    "ApiToken",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "CancelStory",
    "JobEvent",
    "JobRun",
    "JobTag",
    "Listening",
    "LoginFailure",
    "Membership",
    "Role",
    "Scope",
    "User",
    "Workspace",
    "new_id",
]
