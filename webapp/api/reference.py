"""Shows the OpenAPI document as a page for people."""

from typing import Any

from flask import Blueprint, render_template

from webapp.api.blueprint import empty_options
from webapp.api.openapi import get_document

reference = Blueprint("reference", __name__, url_prefix="/api")
reference.after_request(empty_options)

_METHODS = ("get", "post", "patch", "put", "delete")


def _list_calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method.upper(), "path": path, "parameters": item.get("parameters", [])}
        | operation
        | {"parameters": [*item.get("parameters", []), *operation.get("parameters", [])]}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]


def _describe_bounds(schema: dict[str, Any]) -> str:
    for minimum, maximum, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        if maximum in schema:
            lowest = f"{schema[minimum]:,} to " if minimum in schema else "up to "
            return f", {lowest}{schema[maximum]:,}{unit}"
    return ""


class _SchemaWords:
    """Says in words what schemas allow, following references."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = document["components"]["schemas"]

    def schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the named schema that this one refers to, or itself."""
        return self._schemas[self.name(schema)] if "$ref" in schema else schema

    def name(self, schema: dict[str, Any]) -> str:
        """Return the name of the schema that this one refers to, or an empty text."""
        return str(schema.get("$ref", "")).rpartition("/")[2]

    def kind(self, schema: dict[str, Any]) -> str:
        """Return what a value may be, as a person would say it."""
        choices = [choice for choice in schema.get("anyOf", [schema]) if choice != {"type": "null"}]
        return " or ".join(dict.fromkeys(self._describe(choice) for choice in choices))

    def _describe(self, schema: dict[str, Any]) -> str:
        target = self.schema(schema)
        if "enum" in target:
            return ", ".join(str(value) for value in target["enum"] if value is not None)
        kinds = target.get("type", "any value")
        kind = " or ".join(name for name in ([kinds] if isinstance(kinds, str) else kinds) if name != "null")
        kind = {"date-time": "time", "uuid": "UUID", "uri": "web address"}.get(target.get("format", ""), kind)
        if kind == "array":
            kind = f"list of {self._describe(target.get('items', {}))}"
        return f"{kind}{_describe_bounds(target)}"


@reference.get("/docs")
def show_reference() -> str:
    """Show every call with its parameters, body and answers."""
    document = get_document()
    return render_template(
        "reference/page.html", document=document, calls=_list_calls(document), words=_SchemaWords(document)
    )
