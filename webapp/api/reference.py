"""The readable page of this door: drawn from the OpenAPI document, so that it tells what the document tells."""

from typing import Any

from flask import Blueprint, render_template

from webapp.api.blueprint import options_without_content
from webapp.api.openapi import describe

reference = Blueprint("reference", __name__, url_prefix="/api")
reference.after_request(options_without_content)

_METHODS = ("get", "post", "patch", "put", "delete")


@reference.get("/docs")
def page() -> str:
    """Every call with its parameters, body and answers."""
    document = describe()
    return render_template("reference/page.html", document=document, calls=_calls(document), words=_Words(document))


def _calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method.upper(), "path": path, "parameters": item.get("parameters", [])}
        | operation
        | {"parameters": [*item.get("parameters", []), *operation.get("parameters", [])]}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]


class _Words:
    """Schemas in words, with references followed."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = document["components"]["schemas"]

    def schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema itself, where it is a reference to a named one."""
        return self._schemas[self.name(schema)] if "$ref" in schema else schema

    def name(self, schema: dict[str, Any]) -> str:
        """The name of a referenced schema, or nothing."""
        return str(schema.get("$ref", "")).rpartition("/")[2]

    def kind(self, schema: dict[str, Any]) -> str:
        """What a value may be, as a person would say it."""
        choices = [choice for choice in schema.get("anyOf", [schema]) if choice != {"type": "null"}]
        return " or ".join(dict.fromkeys(self._kind(choice) for choice in choices))

    def _kind(self, schema: dict[str, Any]) -> str:
        found = self.schema(schema)
        if "enum" in found:
            return ", ".join(str(value) for value in found["enum"] if value is not None)
        kinds = found.get("type", "any value")
        kind = " or ".join(name for name in ([kinds] if isinstance(kinds, str) else kinds) if name != "null")
        kind = {"date-time": "time", "uuid": "UUID", "uri": "web address"}.get(found.get("format", ""), kind)
        if kind == "array":
            kind = f"list of {self._kind(found.get('items', {}))}"
        return f"{kind}{_bounds(found)}"


def _bounds(schema: dict[str, Any]) -> str:
    for least, most, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        if most in schema:
            lowest = f"{schema[least]:,} to " if least in schema else "up to "
            return f", {lowest}{schema[most]:,}{unit}"
    return ""
