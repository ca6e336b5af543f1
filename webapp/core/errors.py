"""The four ways in which the core says no. Each door turns them into its own kind of answer, in one place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webapp.core.models import JobRow


class CoreError(Exception):
    """A refusal whose text is a sentence for the person or the runner who asked."""


class NotFound(CoreError):
    """There is no such thing, or it is not yours; the two look alike on purpose."""


class Forbidden(CoreError):
    """You are in your own workspace, but your role or your token does not allow this."""


class Refused(CoreError):
    """What was asked contradicts how things stand.

    ``code`` is the machine's word for the reason; ``job`` is the job as it stands, where there is one.
    """

    def __init__(self, code: str, detail: str, job: "JobRow | None" = None) -> None:
        super().__init__(detail)
        self.code = code
        self.job = job


@dataclass(frozen=True)
class Fault:
    """One thing wrong with what was sent: where it stands (keys and positions from the top), and what to do."""

    path: tuple[str | int, ...]
    detail: str


class Invalid(CoreError):
    """What was sent breaks a rule. Names every place at fault at once, and each by the first fault found there."""

    def __init__(self, found: Sequence[Fault]) -> None:
        first: dict[tuple[str | int, ...], Fault] = {}
        for fault in found:
            first.setdefault(fault.path, fault)
        self.faults = tuple(first.values())
        super().__init__(" ".join(f"{'.'.join(map(str, fault.path))}: {fault.detail}" for fault in self.faults))
