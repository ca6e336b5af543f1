"""The documents: what they point at is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.paths import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("clients/*/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED_PATH = re.compile(r"`((?:tests|webapp|docs|templates|static|migrations|benchmarks|torture|examples)/[\w./-]+)`")
"""What stands in backquotes and begins with a folder of the repository."""


def list_linked_files(document: Path) -> Iterator[Path]:
    for target in LINK.findall(document.read_text()):
        path = target.partition("#")[0]
        if path and not re.match(r"[a-z]+:", path):
            yield document.parent / unquote(path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_links_to_or_names_is_there(document: Path) -> None:
    named = [ROOT / path for path in NAMED_PATH.findall(document.read_text())]
    assert [path for path in [*list_linked_files(document), *named] if not path.exists()] == []


def test_the_promises_name_tests() -> None:
    """A promise without what holds it is a hope."""
    for name in ("reliability.md", "security.md"):
        assert len(NAMED_PATH.findall((ROOT / "docs" / name).read_text())) >= 10
