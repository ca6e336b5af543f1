"""Counts requests, and answers ``/metrics`` for Prometheus once ``METRICS_TOKEN`` is set."""

import hmac
import os
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from webapp.core.database.engine import get_wal_size
from webapp.core.database.session import db
from webapp.core.errors import NotFound
from webapp.core.metrics import begin_at_zero, registry

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that names the folder in which several processes count together."""
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


def _start_timer() -> None:
    g.started = time.perf_counter()


@lru_cache(1000)
def _get_series(endpoint: str | None, method: str, hundreds: int) -> tuple[Callable[[], None], Callable[[float], None]]:
    """Return the function that counts such a request, and the one that takes its seconds."""
    # Cached, because looking them up costs more than calling them. By endpoint and never by address, which may name a
    # workspace or hold the secret of an invitation.
    endpoint, method = endpoint or "none", method if method in _METHODS else "other"
    return requests.labels(endpoint, method, f"{hundreds}xx").inc, durations.labels(endpoint).observe


def _count_request(response: Response) -> Response:
    count, observe = _get_series(request.endpoint, request.method, response.status_code // 100)
    count()
    observe(time.perf_counter() - g.started)
    return response


class _ProcessesCollector(Collector):
    """Collects what all processes counted that share a folder, those that ended included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        # A worker that is killed before it counted anything leaves an empty file, over which the library stumbles.
        files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
        return MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call, no-any-return]


class _DatabaseCollector(Collector):
    """Looks at the database of this app, whatever process is asked."""

    def collect(self) -> Iterable[Metric]:
        if (size := get_wal_size(db.engine)) is not None:
            yield GaugeMetricFamily("callboard_sqlite_wal_bytes", "Size of SQLite's write-ahead log.", size)


def _get_collector() -> Collector:
    """Return the collector of this process, or of all that share its folder, and of the database."""
    collectors = CollectorRegistry()
    folder = os.environ.get(FOLDER_VARIABLE)
    collectors.register(registry if folder is None else _ProcessesCollector(Path(folder)))
    collectors.register(_DatabaseCollector())
    return collectors


def _show_metrics() -> Response:
    token = current_app.config["METRICS_TOKEN"]
    if token is None:
        raise NotFound("There is no such page.")
    authorization = request.authorization
    bearer = authorization.token if authorization and authorization.type == "bearer" else None
    if not hmac.compare_digest((bearer or "").encode(), token.encode()):
        text = "Send 'Authorization: Bearer' and the METRICS_TOKEN of this board.\n"
        return Response(text, 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(_get_collector()), headers={"Cache-Control": "no-store"}, content_type=content_type)


def register(app: Flask) -> None:
    """Answer ``/metrics``; and, if a token is set, count requests."""
    # Before the doors, so that the work of their own hooks is timed as well.
    app.add_url_rule("/metrics", "metrics", _show_metrics)
    if app.config["METRICS_TOKEN"]:
        begin_at_zero()
        app.before_request(_start_timer)
        app.after_request(_count_request)
