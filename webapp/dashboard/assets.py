"""The stylesheets and scripts of every page, at addresses that change with their content.

A browser may therefore keep each of them for a year.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, url_for

_BASE = ("layers", "tokens", "base")
_COMPONENTS = (
    "buttons",
    "top",
    "menu",
    "status",
    "progress",
    "code",
    "notices",
    "dialogs",
    "forms",
    "tables",
    "lists",
    "navigation",
    "empty",
)
_PAGES = (
    "sheet",
    "filters",
    "selection",
    "job_table",
    "job_columns",
    "settings",
    "members",
    "limits",
    "profile",
    "job",
    "json",
    "log",
    "timeline",
    "runs",
    "throughput",
    "overview",
    "durations",
    "prose",
    "reference",
    "print",
)
STYLESHEETS = tuple(f"css/{name}.css" for name in (*_BASE, *_COMPONENTS, *_PAGES))
"""In this order: ``layers`` says which layer wins, and within a layer the later file does."""

_SHARED = ("elements", "formats", "clock", "toasts")
_BEHAVIOURS = (
    "polling",
    "selection",
    "filters",
    "confirm",
    "copy",
    "menus",
    "keyboard",
    "ages",
    "look_back",
    "estimates",
    "log",
    "tabs",
)
SCRIPTS = ("vendor/htmx-4.0.1.min.js", *(f"js/{name}.js" for name in (*_SHARED, *_BEHAVIOURS)))
"""In this order: what they share comes first, and ``selection`` puts its ticks back before ``confirm`` looks."""


def register(app: Flask) -> None:
    folder = Path(str(app.static_folder))

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and (version := _version_of(folder / values.get("filename", ""))):
            values["v"] = version

    paths = {file: folder / file for file in (*STYLESHEETS, *SCRIPTS)}

    def addresses_of(files: Sequence[str]) -> list[str]:
        # One url_for for all of them, because each takes 40 µs.
        root = url_for("static", filename="")
        return [f"{root}{file}?v={_version_of(paths[file])}" for file in files]

    app.jinja_env.globals |= {
        "stylesheets": lambda: addresses_of(STYLESHEETS),
        "scripts": lambda: addresses_of(SCRIPTS),
    }


def _version_of(path: Path) -> str | None:
    """Return the beginning of a file's hash, or ``None`` if there is no such file."""
    try:
        return _digest(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@cache
def _digest(path: Path, modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
