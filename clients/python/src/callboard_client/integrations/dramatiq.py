"""Dramatiq: every message is a job.

import callboard_client.integrations.dramatiq

broker.add_middleware(callboard_client.integrations.dramatiq.Callboard(Client()))
"""

import functools
import threading
import time
from typing import Any

from dramatiq import Actor, Broker, Message, Middleware, Worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Interrupt, Retries, SkipMessage, raise_thread_exception

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, Tasks


class Canceled(Interrupt):
    """Raised in an actor that did not stop by itself after its job was canceled."""


class CallboardMiddleware(Middleware):
    """Tells the board of every message of a broker. Add it last, where the broker is made: both sides say the same.

    ``payload=False`` leaves out the arguments, which may be secret. ``tags``, ``heartbeat_timeout`` and
    ``max_duration`` (seconds) are those of every job.

    Within an actor ``current_job()`` is its job. A cancel raises ``JobStopped`` from its next report; an actor that is
    still at work ``grace`` seconds later is interrupted, as by Dramatiq's own time limit. Either way the message counts
    as skipped: it is not tried again.
    """

    def __init__(self, client: Client, *, grace: float = 5.0, **about: Any) -> None:
        self._tasks = Tasks("dramatiq", client, **about)
        self._grace = grace
        self._here = threading.local()

    def after_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        if work := self._work_on(message):
            work.again = True
        else:
            # The arguments as the worker will find them.
            sent = Message.decode(message.encode())
            self._tasks.enqueued(sent.actor_name, sent.message_id, sent.args, sent.kwargs)

    def after_declare_actor(self, broker: Broker, actor: Actor[Any, Any]) -> None:
        run = actor.fn

        @functools.wraps(run)
        def run_stoppable(*args: Any, **kwargs: Any) -> Any:
            work: _Work | None = getattr(self._here, "work", None)
            # One actor may call another one as a function.
            return run(*args, **kwargs) if work is None or work.running else work.run(run, args, kwargs)

        actor.fn = run_stoppable

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        work = self._here.work = _Work(self._attempt_at(broker, message), message.message_id)
        if message.failed:
            work.stopped, work.why = True, "Dramatiq did not run it."
            return
        try:
            work.attempt.start()
        except JobStopped as stop:
            work.stopped = True
            raise SkipMessage(str(stop)) from stop
        work.attempt.job.on_stop(lambda _: work.interrupt_after(self._grace))

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if work := self._work_on(message):
            work.result, work.error = result, exception

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        if self._work_on(message) is None:
            self._attempt_at(broker, message).report_stopped("Dramatiq did not run it.")

    def before_ack(self, broker: Broker, message: MessageProxy) -> None:
        """Only here it is known what became of it: others of the middleware may try again."""
        if work := self._work_on(message):
            self._here.work = None
            work.tell()

    before_nack = before_ack

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._tasks.client.flush()

    def _work_on(self, message: Message[Any] | MessageProxy) -> "_Work | None":
        work: _Work | None = getattr(self._here, "work", None)
        return work if work and work.message_id == message.message_id else None

    def _attempt_at(self, broker: Broker, message: MessageProxy) -> Attempt:
        job = self._tasks.job(message.actor_name, message.message_id, message.args, message.kwargs)
        actor = broker.actors.get(message.actor_name)
        own = {} if actor is None else actor.options
        retries = next((each for each in broker.middleware if isinstance(each, Retries)), None)
        most = message.options.get("max_retries", own.get("max_retries", retries.max_retries if retries else 0))
        unknown = most is None or own.get("retry_when") or (retries and retries.retry_when)
        return Attempt(job, message.options.get("retries", 0) + 1, None if unknown else most + 1)


class _Work:
    """One thread at work on one message."""

    def __init__(self, attempt: Attempt, message_id: str) -> None:
        self.attempt = attempt
        self.message_id = message_id
        self.running = False
        self.again = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.stopped = False
        self.why: str | None = None
        self._thread = threading.get_ident()
        self._turn = threading.Lock()
        self._interrupted = False

    def run(self, function: Any, args: Any, kwargs: Any) -> Any:
        try:
            try:
                self.running = True
                with self.attempt.job.as_current():
                    return function(*args, **kwargs)
            finally:
                self._leave()
        except (JobStopped, Canceled) as stop:
            # It may be another job that was to stop.
            if not self.attempt.job.stop_requested:
                raise
            self.stopped = True
            raise SkipMessage(str(stop)) from None

    def interrupt_after(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._interrupt)
        timer.daemon = True
        timer.start()

    def _interrupt(self) -> None:
        with self._turn:
            if self.running and not self._interrupted:
                self._interrupted = True
                raise_thread_exception(self._thread, Canceled)

    def _leave(self) -> None:
        with self._turn:
            self.running = False
        if self._interrupted:
            # What is on its way is to arrive here, and not in Dramatiq's own code.
            for _ in range(10):
                time.sleep(0.001)

    def tell(self) -> None:
        if self.stopped:
            self.attempt.report_stopped(self.why)
        elif self.error is None:
            self.attempt.complete(self.result)
        elif self.again:
            self.attempt.retry(self.error)
        else:
            self.attempt.fail(self.error)
