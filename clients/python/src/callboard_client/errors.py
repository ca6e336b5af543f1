"""The errors that this client raises."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callboard_client.record import JobRecord


class CallboardError(Exception):
    """The board did not do what it was asked. Every other error of this client is one of these."""

    def __reduce__(self) -> Any:
        """It may have to travel from the process that did the work to the one that waits for it."""
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(kind: type[CallboardError], args: tuple[object, ...], state: dict[str, Any]) -> CallboardError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class NotConfigured(CallboardError):
    """Neither the arguments nor the environment say which board, or with which token."""


class BoardUnreachable(CallboardError):
    """The board is away, busy or out of order: the same request may succeed later, as it is."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status, if there was an answer."""
        self.retry_after = retry_after
        """Seconds after which the request may be made again, as the board asked; ``None`` if it did not say."""


class BoardRefused(CallboardError):
    """The board understood and said no; the same request would be refused again.

    ``status`` is the HTTP status, ``code`` the board's name for the error, ``faults`` what is wrong with which field.
    """

    def __init__(self, status: int, code: str, message: str, faults: Sequence[Mapping[str, Any]] = ()) -> None:
        details = "".join(f"\n  {fault.get('pointer') or 'the body'}: {fault.get('detail')}" for fault in faults)
        super().__init__(message + details)
        self.status = status
        self.code = code
        self.faults = faults


class Unauthorized(BoardRefused):
    """The token is unknown, revoked or expired, or lacks the scope that this call needs."""


class JobNotFound(BoardRefused):
    """There is no such job in the workspace of this token."""


class JobConflict(BoardRefused):
    """The job is in a status that does not allow this; ``job`` is the record as it stands."""

    def __init__(self, code: str, message: str, job: "JobRecord") -> None:
        super().__init__(409, code, message)
        self.job = job


class JobStopped(JobConflict):
    """The job is to stop: it was canceled, or it ran past its time."""


class JobCanceled(JobStopped):
    """An operator canceled the job. Leave the block that does the work, which reports that it stopped."""


class JobTimedOut(JobStopped):
    """The job ran longer than its ``max_duration`` and was failed by the board."""
