"""Dramatiq messages on the board: what only Dramatiq has. The rest is in ``test_adapter_contract.py``."""

import os
import signal

import pytest
from flask import Flask

from tests.support.clock import Clock
from tests.support.engines.dramatiq import Dramatiq
from tests.support.engines.engine import Engine
from tests.support.operator import Operator, wait_until_lost


@pytest.fixture
def engine_class() -> type[Engine]:
    return Dramatiq


def test_a_worker_process_that_is_killed_has_lost_its_job(
    engine: Dramatiq, operator: Operator, app: Flask, clock: Clock
) -> None:
    engine.enqueue("generate_report", "2026-10")
    engine.start_worker()
    job = operator.wait_for_newest(progress=40)
    os.kill(int(job["runner"].rpartition(":")[2]), signal.SIGKILL)
    wait_until_lost(operator, app, clock)
