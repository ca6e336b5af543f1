"""Several things at the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from flask import Flask

from webapp.core.errors import Conflict, CoreError

T = TypeVar("T")


def at_once(app: Flask, *acts: Callable[[], T]) -> list[T | Conflict]:
    """What each act came to, all begun at the same moment, each in a thread and a context of its own."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], T]) -> T | Conflict:
        with app.app_context():
            ready.wait(timeout=10)
            try:
                return act()
            except Conflict as refused:
                return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def _refusal(act: Callable[[], object]) -> CoreError | None:
    try:
        act()
    except CoreError as error:
        return error
    return None


def refusals_at_once(app: Flask, *acts: Callable[[], object]) -> list[CoreError | None]:
    """Why each act was refused, all begun at the same moment; None for those that were done."""
    return at_once(app, *(partial(_refusal, act) for act in acts))
