"""The OpenAPI document is valid and tells of exactly the calls that there are."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate


def test_the_document_is_valid_openapi(client: FlaskClient) -> None:
    answer: Any = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json["openapi"].startswith("3.1")
    validate(answer.json)


def test_the_document_and_the_routes_name_the_same_calls(app: Flask) -> None:
    answer: Any = app.test_client().get("/api/v1/openapi.json")
    paths = answer.json["paths"]
    told = {(path, method) for path, item in paths.items() for method in item if method != "parameters"}
    served = {
        (rule.rule.removeprefix("/api/v1").replace("<uuid:job_id>", "{job_id}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert told == served
