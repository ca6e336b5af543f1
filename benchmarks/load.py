"""Sends requests over many connections, one at a time on each: ``python -m benchmarks.load``.

Reads a ``Plan`` as JSON, writes a line when measuring begins and one when it ends, and then a ``Result``. The driver
knows no application: requests are bytes that were made before, and of an answer only its end and its status are parsed.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle
from typing import cast

import httptools
import uvloop

ANSWER_TIMEOUT = 20.0
"""Seconds that the last answers may take."""


@dataclass(frozen=True)
class Plan:
    """Says what to send where. Requests are sent in their order: again and again, or each ``once`` and then no more."""

    port: int
    requests: Sequence[str]
    connections: int
    seconds: float
    warm_up: float = 0.5
    once: bool = False
    every: float | None = None
    """Seconds from one request of a connection to its next; the connections take turns. None: as fast as they can.

    A request that is late is timed from when it was due: a slow answer must not hide the delay of the next.
    """
    conditional: bool = False
    """Whether a connection sends the ETag of its last answer, as a browser does."""


@dataclass
class Result:
    """Says what came back while measuring: how often each status, and how long answers took, in milliseconds."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    p50: float = 0.0
    p99: float = 0.0
    busy: float = 0.0
    """The share of the time in which the driver itself was at work: near 1 it is the driver that is measured."""


class _Connection(asyncio.Protocol):
    """Sends a request, waits for the answer, and sends the next."""

    def __init__(self, driver: "_Driver", due: float) -> None:
        self._driver = driver
        self._due = due
        self._sent_at = 0.0
        self._etag = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send_when_due()

    def _send_when_due(self) -> None:
        every = self._driver.every
        if every is None:
            self._send()
        else:
            asyncio.get_running_loop().call_at(self._due, self._send)

    def _send(self) -> None:
        request = self._driver.next_request()
        if request is None:
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = time.perf_counter()
        if self._driver.every is not None:
            self._sent_at -= asyncio.get_running_loop().time() - self._due
            self._due += self._driver.every
        if self._driver.conditional and self._etag:
            request = request[:-2] + b"If-None-Match: " + self._etag + b"\r\n\r\n"
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"etag":
            self._etag = value

    def on_message_complete(self) -> None:
        self._driver.record_answer(self._parser.get_status_code(), time.perf_counter() - self._sent_at)
        self._send_when_due()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class _Driver:
    """Hands requests to the connections and records their answers."""

    def __init__(self, plan: Plan) -> None:
        encoded = [request.encode("latin-1") for request in plan.requests]
        self._requests: Iterator[bytes] = iter(encoded) if plan.once else cycle(encoded)
        self._plan = plan
        self._durations: list[float] = []
        self._result = Result()
        self._measuring = False
        self._ended = False
        self.every = plan.every
        self.conditional = plan.conditional

    def next_request(self) -> bytes | None:
        if self._ended:
            return None
        request = next(self._requests, None)
        if request is None:
            self._end()
        return request

    def record_answer(self, status: int, duration: float) -> None:
        if self._measuring:
            self._result.statuses[status] = self._result.statuses.get(status, 0) + 1
            self._durations.append(duration)

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        first, gap = loop.time() + 0.5, (self._plan.every or 0) / self._plan.connections
        connections = []
        for number in range(self._plan.connections):
            one = partial(_Connection, self, first + number * gap)
            connections.append((await loop.create_connection(one, "127.0.0.1", self._plan.port))[1])
        loop.call_later(self._plan.warm_up, self._start)
        loop.call_later(self._plan.warm_up + self._plan.seconds, self._end_after_an_answer)
        async with asyncio.timeout(self._plan.warm_up + self._plan.seconds + ANSWER_TIMEOUT):
            await asyncio.gather(*(connection.closed for connection in connections))
        if not self._ended:
            raise ConnectionError("The server hung up.")
        durations = sorted(self._durations)
        if durations:
            self._result.p50, self._result.p99 = (durations[int(len(durations) * part)] * 1000 for part in (0.5, 0.99))
        return self._result

    def _start(self) -> None:
        if not self._ended:
            self._measuring = True
            self._started_at, self._cpu_before = time.perf_counter(), _cpu_time()
            sys.stdout.write("begun\n")
            sys.stdout.flush()

    def _end_after_an_answer(self) -> None:
        # Where the machine has other work to do, a short measurement may end before the first answer.
        if self._durations or self._ended:
            self._end()
        else:
            asyncio.get_running_loop().call_later(0.1, self._end_after_an_answer)

    def _end(self) -> None:
        if self._measuring:
            self._measuring = False
            self._result.seconds = time.perf_counter() - self._started_at
            self._result.busy = (_cpu_time() - self._cpu_before) / self._result.seconds
            sys.stdout.write("ended\n")
            sys.stdout.flush()
        self._ended = True


def _cpu_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    result = uvloop.run(_Driver(plan).run())
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
