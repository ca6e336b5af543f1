"""The five ways in which the core says no. Each door turns them into its own kind of answer, in one place."""

from collections.abc import Sequence
from dataclasses import dataclass


class CoreError(Exception):
    """A refusal whose text is a sentence for the person or the runner who asked."""


class NotFound(CoreError):
    """There is no such thing, or it is not yours; the two look alike on purpose."""


class Forbidden(CoreError):
    """You are in your own workspace, but your role or your token does not allow this."""


class MissingScope(Forbidden):
    """Your token may do this to some jobs, but not to this one; with another scope it might."""


class Conflict(CoreError):
    """What was asked contradicts how things stand. ``code`` is the machine's word for the reason."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class TooManyRequests(CoreError):
    """The same may be tried again in ``retry_after`` seconds."""

    code = "too_many_requests"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Fault:
    """One thing wrong with what was sent: where it stands (keys and positions from the top), and what to do."""

    path: tuple[str | int, ...]
    detail: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.detail}" if self.path else self.detail


class Invalid(CoreError):
    """What was sent breaks a rule. Names every place at fault at once, and each by its first fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        first_by_path: dict[tuple[str | int, ...], Fault] = {}
        for fault in faults:
            first_by_path.setdefault(fault.path, fault)
        self.faults = tuple(first_by_path.values())
        super().__init__(" ".join(map(str, self.faults)))
