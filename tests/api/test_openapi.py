"""The OpenAPI document is valid and tells of exactly the calls that there are."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from webapp.core.clock import UtcDateTime
from webapp.core.models import JOB_FIELDS, JobRun


def test_the_document_is_valid_openapi(client: FlaskClient) -> None:
    answer: Any = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json["openapi"].startswith("3.1")
    validate(answer.json)


def test_the_document_and_the_routes_name_the_same_calls(app: Flask) -> None:
    answer: Any = app.test_client().get("/api/v1/openapi.json")
    paths = answer.json["paths"]
    documented = {(path, method) for path, item in paths.items() for method in item if method != "parameters"}
    served = {
        (rule.rule.removeprefix("/api/v1").replace("<uuid:job_id>", "{job_id}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert documented == served


def test_every_field_of_a_job_is_told_as_what_it_is(client: FlaskClient) -> None:
    answer: Any = client.get("/api/v1/openapi.json")
    schemas = answer.json["components"]["schemas"]
    properties = schemas["Job"]["properties"]
    assert tuple(properties) == JOB_FIELDS
    assert {name for name, schema in properties.items() if schema.get("format") == "date-time"} == {
        column.name for column in JobRun.__table__.columns if isinstance(column.type, UtcDateTime)
    } & set(JOB_FIELDS)
    assert set(properties) - set(schemas["ReportedJob"]["properties"]) == {"payload"}
    assert set(properties) - set(schemas["ListedJob"]["properties"]) == {"payload", "result"}


def test_every_field_and_parameter_that_may_be_sent_says_what_it_means(client: FlaskClient) -> None:
    document: Any = client.get("/api/v1/openapi.json").json
    schemas = document["components"]["schemas"]
    fields = [
        (name, field, schema.get("description"))
        for name in ("NewJob", "Report", "BatchedReport", "NewLines", "NewLine")
        for field, schema in schemas[name]["properties"].items()
    ]
    parameters = [
        (path, parameter["name"], parameter.get("description"))
        for path, item in document["paths"].items()
        for method in item.values()
        if "parameters" in method
        for parameter in method["parameters"]
    ]
    assert len(fields) > 25
    assert len(parameters) > 8
    assert [place for *place, description in fields + parameters if not description] == []
