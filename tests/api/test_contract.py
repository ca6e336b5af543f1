"""Whatever is sent to the API, the answer is one that the OpenAPI document tells of, and never a fault of ours."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from tests.support.jobs import job_in
from tests.support.people import Cast
from webapp.core.audit import SYSTEM
from webapp.core.models import Scope
from webapp.core.workspaces import tokens

STATES = ("pending", "running", "completed", "failed", "canceled", "lost", "timed_out")
CALLS = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_the_document_tells_of(app: Flask, cast: Cast, mode: GenerationMode) -> None:
    with app.app_context():
        text = tokens.create_unchecked(cast.acme.id, "everything", scopes=tuple(Scope), by=SYSTEM)[1]
        ids = cycle([None, *(str(job_in(state, cast.acme).id) for state in STATES)])
    described: Any = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    for result in described.get_all_operations():
        exercise(result.ok(), mode, text, ids)


def exercise(operation: Any, mode: GenerationMode, token: str, ids: Iterator[str | None]) -> None:
    """Send the operation what its schema allows (positive) or forbids (negative), and compare the answers with it."""
    # Not all rules can be told in a schema (NUL within a payload, an error without status failed), and in a batch a
    # faulty report costs no other.
    unsaid = [positive_data_acceptance]
    if operation.label == "POST /jobs/batch":
        unsaid.append(negative_data_rejection)

    @CALLS
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and "job_id" in case.path_parameters and (job_id := next(ids)):
            case.path_parameters["job_id"] = job_id
        # What is forbidden about a parameter without a value is nothing that is sent.
        unsent = [negative_data_rejection] if [] in (case.query or {}).values() else []
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=[*unsaid, *unsent])

    check()
