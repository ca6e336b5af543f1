"""The driver: so many connections, each with one request under way at a time. ``python -m benchmarks.load``.

It reads a ``Plan`` as JSON, writes a line when it begins to measure, and in the end what it saw. It knows no
application: requests are bytes that were made before, and nothing is parsed but where an answer ends and its status.
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

PATIENCE = 20.0
"""Seconds that the last answers are given."""


@dataclass(frozen=True)
class Plan:
    """What to send where. Requests are sent in their order: round and round, or each ``once`` and then no more."""

    port: int
    requests: Sequence[str]
    connections: int
    seconds: float
    warm_up: float = 0.5
    once: bool = False
    every: float | None = None
    """Seconds from one request of a connection to its next; the connections take turns. Null: as fast as they can.

    A request that is late is timed from when it was due: whoever waits for a slow answer must not hide the next.
    """
    holds: bool = False
    """Whether a connection says which answer it holds already, as a browser does."""


@dataclass
class Seen:
    """What came back while it was measured: how often each status, and how long answers took, in milliseconds."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    p50: float = 0.0
    p99: float = 0.0
    busy: float = 0.0
    """The share of the time in which the driver itself was at work: near 1 it is the driver that is measured."""


class _Connection(asyncio.Protocol):
    """One connection: asks, waits for the answer, asks again."""

    def __init__(self, drive: "_Drive", due: float) -> None:
        self._drive = drive
        self._due = due
        self._asked = 0.0
        self._held = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask_when_due()

    def _ask_when_due(self) -> None:
        every = self._drive.every
        if every is None:
            self._ask()
        else:
            asyncio.get_running_loop().call_at(self._due, self._ask)

    def _ask(self) -> None:
        request = self._drive.next_request()
        if request is None:
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._asked = time.perf_counter()
        if self._drive.every is not None:
            self._asked -= asyncio.get_running_loop().time() - self._due
            self._due += self._drive.every
        if self._drive.holds and self._held:
            request = request[:-2] + b"If-None-Match: " + self._held + b"\r\n\r\n"
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"etag":
            self._held = value

    def on_message_complete(self) -> None:
        self._drive.answered(self._parser.get_status_code(), time.perf_counter() - self._asked)
        self._ask_when_due()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class _Drive:
    def __init__(self, plan: Plan) -> None:
        encoded = [request.encode("latin-1") for request in plan.requests]
        self._requests: Iterator[bytes] = iter(encoded) if plan.once else cycle(encoded)
        self._plan = plan
        self._took: list[float] = []
        self._seen = Seen()
        self._measuring = False
        self._over = False
        self.every = plan.every
        self.holds = plan.holds

    def next_request(self) -> bytes | None:
        if self._over:
            return None
        request = next(self._requests, None)
        if request is None:
            self._end()
        return request

    def answered(self, status: int, took: float) -> None:
        if self._measuring:
            self._seen.statuses[status] = self._seen.statuses.get(status, 0) + 1
            self._took.append(took)

    async def run(self) -> Seen:
        loop = asyncio.get_running_loop()
        first, gap = loop.time() + 0.5, (self._plan.every or 0) / self._plan.connections
        connections = []
        for number in range(self._plan.connections):
            one = partial(_Connection, self, first + number * gap)
            connections.append((await loop.create_connection(one, "127.0.0.1", self._plan.port))[1])
        loop.call_later(self._plan.warm_up, self._begin)
        loop.call_later(self._plan.warm_up + self._plan.seconds, self._end_with_an_answer)
        async with asyncio.timeout(self._plan.warm_up + self._plan.seconds + PATIENCE):
            await asyncio.gather(*(connection.closed for connection in connections))
        if not self._over:
            raise ConnectionError("The server hung up.")
        took = sorted(self._took)
        if took:
            self._seen.p50, self._seen.p99 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99))
        return self._seen

    def _begin(self) -> None:
        if not self._over:
            self._measuring = True
            self._began, self._cpu = time.perf_counter(), _cpu()
            sys.stdout.write("begun\n")
            sys.stdout.flush()

    def _end_with_an_answer(self) -> None:
        # Where the machine has other work to do, a short measurement may end before the first answer.
        if self._took or self._over:
            self._end()
        else:
            asyncio.get_running_loop().call_later(0.1, self._end_with_an_answer)

    def _end(self) -> None:
        if self._measuring:
            self._measuring = False
            self._seen.seconds = time.perf_counter() - self._began
            self._seen.busy = (_cpu() - self._cpu) / self._seen.seconds
            sys.stdout.write("ended\n")
            sys.stdout.flush()
        self._over = True


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    seen = uvloop.run(_Drive(plan).run())
    json.dump(asdict(seen), sys.stdout)


if __name__ == "__main__":
    main()
