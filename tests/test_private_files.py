"""What the board writes on disk is for its own user alone, whoever starts it and however."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.support.apps import SECRET_KEY, dispose
from tests.support.paths import ROOT
from webapp import create_app
from webapp.private_files import find_open_files, warn_of_open_files


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("url", ["sqlite:///board.db", "sqlite:///{folder}/elsewhere/board.db"])
def test_a_database_is_made_for_its_owner_alone(url: str, tmp_path: Path) -> None:
    for folder in ("webapp", "migrations"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "wsgi.py", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    script = (
        "import wsgi, sqlalchemy as sa\n"
        "from webapp.core.database.session import db\n"
        "with wsgi.app.app_context(), db.engine.connect() as connection:\n"
        "    connection.execute(sa.text('CREATE TABLE t (x)')); connection.commit()\n"
        "    import pathlib; path = pathlib.Path(db.engine.url.database)\n"
        "    print(*(oct(file.stat().st_mode & 0o777) for file in path.parent.glob('board.db*')))\n"
    )
    environ = os.environ | {"DATABASE_URL": url.format(folder=tmp_path), "SECRET_KEY": SECRET_KEY}
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=tmp_path, env=environ, umask=0o022, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["0o600"] * 3
    if "elsewhere" not in url:
        assert mode(tmp_path / "instance") == 0o700


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter; those of ``tmp_path`` lie in one that only its owner may."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def board(folder: Path) -> Iterator[Flask]:
    """A board whose files were made by an older release, or copied here."""
    for name in ("board.db", "board.db-wal", "secret_key"):
        (folder / name).write_text("x" * 40)
        (folder / name).chmod(0o644)
    app = create_app({"DATABASE_URL": "sqlite:///board.db"}, instance_path=folder)
    yield app
    dispose(app)


def test_files_that_others_can_read_are_named_with_what_to_do(
    board: Flask, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [folder / name for name in ("secret_key", "board.db", "board.db-wal")]
    assert find_open_files(board) == paths
    warn_of_open_files(board)
    sentences = [record.getMessage() for record in caplog.records]
    assert sentences == [f"Other users of this machine can read {path}; run: chmod go= {path}" for path in paths]
    for path in paths:
        path.chmod(0o600)
    assert find_open_files(board) == []


def test_files_in_a_folder_that_is_closed_to_others_are_private(board: Flask, folder: Path) -> None:
    folder.chmod(0o700)
    assert find_open_files(board) == []
