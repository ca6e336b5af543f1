"""The pages in docs/runners show code that was run: each block of it is a part of an example."""

import ast
import re
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.paths import ROOT

PAGES = sorted((ROOT / "docs" / "runners").glob("*.md"))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"`((?:clients/\w+/)?examples/[\w./-]+\.\w+)`")
SHOWN = re.compile(r"^ *(?:#|//) docs: begin\n(.*?)^ *(?:#|//) docs: end$", re.DOTALL | re.MULTILINE)
CODE = {"python", "ts", "typescript", "js", "javascript"}
"""Languages of which nothing is shown that was not run. Commands to type are not fenced, or in another one."""

every_page = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


def list_examples(page: Path) -> list[Path]:
    """List the files that a page names as where its code is from."""
    return [ROOT / name for name in dict.fromkeys(NAMED.findall(page.read_text(encoding="utf-8")))]


def list_parts(example: Path) -> list[str]:
    """List what stands between ``docs: begin`` and ``docs: end``, as often as it does."""
    return [dedent(part).strip("\n") for part in SHOWN.findall(example.read_text(encoding="utf-8"))]


@every_page
def test_what_a_page_shows_is_all_that_its_example_has_to_show(page: Path) -> None:
    fenced = [(language, code.strip("\n")) for language, code in FENCED.findall(page.read_text(encoding="utf-8"))]
    there = [part for example in list_examples(page) for part in list_parts(example)]
    assert there, "The page names no example, or one without a part to show."
    assert [code for language, code in fenced if language in CODE and code not in there] == []
    assert [part for part in there if part not in [code for _, code in fenced]] == []


@every_page
def test_what_a_page_shows_in_python_runs_as_it_stands(page: Path) -> None:
    for example in (each for each in list_examples(page) if each.suffix == ".py"):
        outside = SHOWN.sub("", example.read_text(encoding="utf-8"))
        # Nothing that it needs stands where nobody sees it.
        assert [type(each) for each in ast.parse(outside).body] == [ast.Expr]


@every_page
def test_an_example_is_run_by_a_test(page: Path) -> None:
    tests = [
        *(ROOT / "tests" / "clients").glob("test_*.py"),
        *(ROOT / "tests" / "support" / "engines").glob("*.py"),
        *(ROOT / "clients").glob("*/tests/*.ts"),
    ]
    known = "".join(test.read_text(encoding="utf-8") for test in tests if test != Path(__file__))
    assert [example.name for example in list_examples(page) if example.stem not in known] == []


@every_page
def test_what_a_page_installs_is_an_extra_of_the_client(page: Path) -> None:
    project = tomllib.loads((ROOT / "clients" / "python" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"clients/python\[([\w,-]+)\]", page.read_text(encoding="utf-8"))
    assert {extra for each in extras for extra in each.split(",")} <= project["optional-dependencies"].keys()
