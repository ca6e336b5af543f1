"""``/metrics`` for Prometheus, off until ``METRICS_TOKEN`` is set; and what is counted of requests.

A request is counted under the name of its endpoint, never under its address, which may name a workspace or hold the
secret of an invitation.
"""

import hmac
import os
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from webapp.core.errors import NotFound
from webapp.core.metrics import begin_at_zero, registry

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client learns, when it is imported, that several processes count together."""
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

requests = Counter("callboard_requests", "Requests answered.", ["endpoint", "method", "status"], registry=registry)
durations = Histogram(
    "callboard_request_duration_seconds",
    "Time until an answer began.",
    ["endpoint"],
    registry=registry,
    buckets=_BOUNDS,
)
polls = Counter(
    "callboard_polls", "Polls of live pages: drawn anew (200) or unchanged (304).", ["status"], registry=registry
)


def register(app: Flask) -> None:
    """Answer ``/metrics``; and, if anybody may ask, count requests. Before the doors, so that their work is timed."""
    app.add_url_rule("/metrics", "metrics", _show)
    if app.config["METRICS_TOKEN"]:
        begin_at_zero()
        app.before_request(_begin)
        app.after_request(_count)


def _begin() -> None:
    g.began = time.perf_counter()


def _count(response: Response) -> Response:
    one_more, took = _series(request.endpoint, request.method, response.status_code // 100)
    one_more()
    took(time.perf_counter() - g.began)
    return response


@lru_cache(1000)
def _series(endpoint: str | None, method: str, hundreds: int) -> tuple[Callable[[], None], Callable[[float], None]]:
    """What counts such a request, and what takes its seconds; looking them up costs more than either."""
    endpoint, method = endpoint or "none", method if method in _METHODS else "other"
    return requests.labels(endpoint, method, f"{hundreds}xx").inc, durations.labels(endpoint).observe


def _show() -> Response:
    token = current_app.config["METRICS_TOKEN"]
    if token is None:
        raise NotFound("There is no such page.")
    sent = request.authorization
    given = sent.token if sent and sent.type == "bearer" and sent.token else ""
    if not hmac.compare_digest(given.encode(), token.encode()):
        say = "Send 'Authorization: Bearer' and the METRICS_TOKEN of this board.\n"
        return Response(say, 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(_counted()), headers={"Cache-Control": "no-store"}, content_type=content_type)


def _counted() -> Collector:
    """What this process counted, or all that share its folder."""
    if FOLDER not in os.environ:
        return registry
    together = CollectorRegistry()
    together.register(_Together(Path(os.environ[FOLDER])))
    return together


class _Together(Collector):
    """What all processes counted, those that ended included.

    A worker that is killed before it has counted anything leaves an empty file, over which the library stumbles.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
        return MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call, no-any-return]
