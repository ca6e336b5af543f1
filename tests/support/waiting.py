"""Waiting for what another thread or process does."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def wait_until(
    is_true: Callable[[], object], seconds: float = 60, explain: Callable[[], object] = lambda: "It did not happen."
) -> None:
    """Wait until a condition is true, and fail with an explanation if it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


def run_coroutine(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a thread of its own: tests of a browser in this process may hold a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
