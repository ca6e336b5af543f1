"""Keeps what the board writes on disk from the other users of the machine."""

import logging
import os
from pathlib import Path

import sqlalchemy as sa
from flask import Flask

PRIVATE_UMASK = 0o077
"""Whatever a process makes from now on is for its own user: files 0600, folders 0700."""

log = logging.getLogger(__name__)


def make_files_private() -> None:
    """Have this process and its children make files and folders that only their own user can read."""
    os.umask(PRIVATE_UMASK)


def warn_of_open_files(app: Flask) -> None:
    """Log which files with secrets other users of this machine can read or change; they were made before."""
    for path in find_open_files(app):
        log.warning("Other users of this machine can read %s; run: chmod go= %s", path, path)


def find_open_files(app: Flask) -> list[Path]:
    """Return the files of the database, and that of the secret key, which others than their owner may open."""
    url: sa.URL = app.config["SQLALCHEMY_DATABASE_URI"]
    paths = [Path(app.instance_path) / "secret_key"]
    if url.get_backend_name() == "sqlite":
        # Relative paths are taken from the instance folder.
        database = Path(app.instance_path) / str(url.database).removeprefix("file:")
        paths += [database.with_name(f"{database.name}{end}") for end in ("", "-wal", "-shm")]
    return [path for path in paths if _is_open(path)]


def _is_open(path: Path) -> bool:
    """Return whether others may open a file: by its own mode, and by those of the folders above it."""
    try:
        is_reachable = all(folder.stat().st_mode & 0o011 for folder in path.resolve().parents)
        return is_reachable and bool(path.stat().st_mode & PRIVATE_UMASK)
    except OSError:
        return False
