"""The tables. A row answers questions about itself; it never writes, and it does not know its JSON."""

from webapp.core.models.base import Base, first_id, new_id
from webapp.core.models.board import AuditEntry, Listening
from webapp.core.models.chores import Lease, Retention, TimeLimits
from webapp.core.models.idempotency import IdempotencyKey
from webapp.core.models.jobs import JOB_FIELDS, CancelStory, JobEvent, JobRow, JobRun, JobTag
from webapp.core.models.logs import LogLevel, LogLine, LogTail
from webapp.core.models.people import BrowserSession, LoginFailure, User
from webapp.core.models.tokens import ApiToken, Scope, Standing
from webapp.core.models.webhooks import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from webapp.core.models.workspaces import Invitation, Membership, Role, Workspace

__all__ = [
    "JOB_FIELDS",
    "ApiToken",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "CancelStory",
    "DeliveryState",
    "IdempotencyKey",
    "Invitation",
    "JobEvent",
    "JobRow",
    "JobRun",
    "JobTag",
    "Lease",
    "Listening",
    "LogLevel",
    "LogLine",
    "LogTail",
    "LoginFailure",
    "Membership",
    "Retention",
    "Role",
    "Scope",
    "Standing",
    "TimeLimits",
    "User",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "Workspace",
    "first_id",
    "new_id",
]
