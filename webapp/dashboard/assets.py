"""Static addresses that change with their content, so that a browser may keep a file for a year."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask


@cache
def _digest(path: Path, modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def register(app: Flask) -> None:
    folder = Path(str(app.static_folder))

    @app.url_defaults
    def stamp(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "filename" in values:
            path = folder / values["filename"]
            if path.is_file():
                values["v"] = _digest(path, path.stat().st_mtime_ns)
