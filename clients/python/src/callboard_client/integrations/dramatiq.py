"""Dramatiq: every message is a job.

from callboard_client.integrations.dramatiq import CallboardMiddleware

broker.add_middleware(CallboardMiddleware(Client()))
"""

import functools
import threading
import time
from typing import TYPE_CHECKING, Any

from dramatiq import Actor, Broker, Message, Middleware, Worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Interrupt, Retries, SkipMessage, raise_thread_exception

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, TaskJobs

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client.integrations._base import TaskOptions

GRACE = 5.0
"""Seconds that an actor has to stop by itself before it is interrupted."""


class Canceled(Interrupt):
    """Raised in an actor that did not stop by itself after its job was canceled."""


class _Run:
    """The work of one thread on one message."""

    def __init__(self, attempt: Attempt, message_id: str) -> None:
        self.attempt = attempt
        self.message_id = message_id
        self.is_active = False
        self.is_retried = False
        self.is_stopped = False
        self.stop_message: str | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._interrupted = False

    def call(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Call the function of the actor. Raises ``SkipMessage`` if the job is to stop and the function does."""
        try:
            try:
                self.is_active = True
                with self.attempt.job.as_current():
                    return function(*args, **kwargs)
            finally:
                self._deactivate()
        except (JobStopped, Canceled) as stop:
            # It may be another job that was to stop.
            if not self.attempt.job.stop_requested:
                raise
            self.is_stopped = True
            raise SkipMessage(str(stop)) from None

    def interrupt_after(self, seconds: float) -> None:
        """Raise ``Canceled`` in the thread of the actor if it still runs after so many seconds."""
        timer = threading.Timer(seconds, self._interrupt)
        timer.daemon = True
        timer.start()

    def report_end(self) -> None:
        """Report how the attempt ended."""
        if self.is_stopped:
            self.attempt.report_stopped(self.stop_message)
        elif self.error is None:
            self.attempt.complete(self.result)
        elif self.is_retried:
            self.attempt.retry(self.error)
        else:
            self.attempt.fail(self.error)

    def _interrupt(self) -> None:
        with self._lock:
            if self.is_active and not self._interrupted:
                self._interrupted = True
                raise_thread_exception(self._thread, Canceled)

    def _deactivate(self) -> None:
        with self._lock:
            self.is_active = False
        if self._interrupted:
            # What is on its way is to arrive here, and not in Dramatiq's own code.
            for _ in range(10):
                time.sleep(0.001)


class CallboardMiddleware(Middleware):
    """Report every message of a broker. Add it last, where the broker is made, for producers and workers.

    Within an actor ``current_job()`` is its job. A cancel raises ``JobStopped`` from its next report, or interrupts the
    actor, as Dramatiq's own time limit does. Either way the message counts as skipped: it is not tried again.
    """

    def __init__(self, client: Client, *, grace: float = GRACE, **options: "Unpack[TaskOptions]") -> None:
        """Make the middleware.

        ``grace``: seconds after which an actor that does not stop by itself is interrupted.
        ``options``: of all jobs, see ``TaskOptions``: ``payload``, ``tags``, ``max_duration``, ``heartbeat_timeout``.
        """
        self._tasks = TaskJobs("dramatiq", client, **options)
        self._grace = grace
        self._local = threading.local()

    def after_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        if run := self._run_of(message):
            run.is_retried = True
        else:
            # The arguments as the worker will find them.
            received = Message.decode(message.encode())
            self._tasks.enqueue(received.actor_name, received.message_id, received.args, received.kwargs)

    def after_declare_actor(self, broker: Broker, actor: Actor[Any, Any]) -> None:
        function = actor.fn

        @functools.wraps(function)
        def run_stoppable(*args: Any, **kwargs: Any) -> Any:
            run: _Run | None = getattr(self._local, "run", None)
            # One actor may call another one as a function.
            return function(*args, **kwargs) if run is None or run.is_active else run.call(function, args, kwargs)

        actor.fn = run_stoppable

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        run = self._local.run = _Run(self._make_attempt(broker, message), message.message_id)
        if message.failed:
            run.is_stopped, run.stop_message = True, "Dramatiq did not run it."
            return
        try:
            run.attempt.start()
        except JobStopped as stop:
            run.is_stopped = True
            raise SkipMessage(str(stop)) from stop
        run.attempt.job.on_stop(lambda _: run.interrupt_after(self._grace))

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if run := self._run_of(message):
            run.result, run.error = result, exception

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        if self._run_of(message) is None:
            self._make_attempt(broker, message).report_stopped("Dramatiq did not run it.")

    def before_ack(self, broker: Broker, message: MessageProxy) -> None:
        """Report how the attempt ended, which is known only here: other middleware may try again."""
        if run := self._run_of(message):
            self._local.run = None
            run.report_end()

    before_nack = before_ack

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._tasks.client.flush()

    def _run_of(self, message: Message[Any] | MessageProxy) -> "_Run | None":
        run: _Run | None = getattr(self._local, "run", None)
        return run if run and run.message_id == message.message_id else None

    def _make_attempt(self, broker: Broker, message: MessageProxy) -> Attempt:
        job = self._tasks.job(message.actor_name, message.message_id, message.args, message.kwargs)
        actor = broker.actors.get(message.actor_name)
        actor_options = {} if actor is None else actor.options
        retries = next((each for each in broker.middleware if isinstance(each, Retries)), None)
        default = actor_options.get("max_retries", retries.max_retries if retries else 0)
        max_retries = message.options.get("max_retries", default)
        unknown = max_retries is None or actor_options.get("retry_when") or (retries and retries.retry_when)
        return Attempt(job, message.options.get("retries", 0) + 1, None if unknown else max_retries + 1)
