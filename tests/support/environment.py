"""The settings that an environment gives."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import SECRET_KEY
from webapp.config import SettingsError, load_settings


def read_settings(environ: Mapping[str, str], instance: Path = Path("nowhere")) -> dict[str, Any]:
    """The settings of an environment that has a secret key."""
    return load_settings({"SECRET_KEY": SECRET_KEY} | dict(environ), instance)


def refusal(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        read_settings(environ)
    return str(refused.value)


def command_in(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "DATABASE_URL")}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "list"]
    return subprocess.run(command, cwd=checkout, env=ours | environ, capture_output=True, text=True)
