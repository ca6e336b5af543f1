"""The tables. A row answers questions about itself; it never writes, and it does not know its JSON.

A model is for the session; the table of the same rows, in lower case, is for statements written without it.
"""

from webapp.core.models.accounts import BrowserSession, LoginFailure, PasswordReset, SignIn, SignInOutcome, User
from webapp.core.models.audit import AuditEntry
from webapp.core.models.base import Base, first_id, new_id
from webapp.core.models.idempotency import IdempotencyKey, idempotency_keys
from webapp.core.models.jobs import (
    JOB_FIELDS,
    CancelProgress,
    JobEvent,
    JobRun,
    JobSnapshot,
    JobTag,
    job_events,
    job_runs,
    job_tags,
)
from webapp.core.models.leases import Lease, leases
from webapp.core.models.limits import (
    DailyUsage,
    UserLimit,
    WorkspaceLimit,
    daily_usage,
    user_limits,
    workspace_limits,
)
from webapp.core.models.liveness import ServerHeartbeat
from webapp.core.models.logs import LogLevel, LogLine, LogTail, log_lines, log_tails
from webapp.core.models.mail import MailCount, mail_counts
from webapp.core.models.retention import Retention, retentions
from webapp.core.models.schema import SchemaCompatibility, schema_compatibility
from webapp.core.models.time_limits import TimeLimits, time_limits
from webapp.core.models.tokens import ApiToken, Scope, TokenStatus, api_tokens
from webapp.core.models.webhooks import (
    DeliveryState,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
    webhook_deliveries,
    webhook_endpoints,
)
from webapp.core.models.workspaces import Invitation, Membership, Role, Workspace, WorkspaceOrigin

__all__ = [
    "JOB_FIELDS",
    "ApiToken",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "CancelProgress",
    "DailyUsage",
    "DeliveryState",
    "IdempotencyKey",
    "Invitation",
    "JobEvent",
    "JobRun",
    "JobSnapshot",
    "JobTag",
    "Lease",
    "LogLevel",
    "LogLine",
    "LogTail",
    "LoginFailure",
    "MailCount",
    "Membership",
    "PasswordReset",
    "Retention",
    "Role",
    "SchemaCompatibility",
    "Scope",
    "ServerHeartbeat",
    "SignIn",
    "SignInOutcome",
    "TimeLimits",
    "TokenStatus",
    "User",
    "UserLimit",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "Workspace",
    "WorkspaceLimit",
    "WorkspaceOrigin",
    "api_tokens",
    "daily_usage",
    "first_id",
    "idempotency_keys",
    "job_events",
    "job_runs",
    "job_tags",
    "leases",
    "log_lines",
    "log_tails",
    "mail_counts",
    "new_id",
    "retentions",
    "schema_compatibility",
    "time_limits",
    "user_limits",
    "webhook_deliveries",
    "webhook_endpoints",
    "workspace_limits",
]
