"""What pages are drawn and moved with: every stylesheet and script is loaded, can be read, and names its values."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.support.paths import ROOT
from webapp.dashboard.assets import SCRIPTS, STYLESHEETS

STATIC = ROOT / "static"
CSS = sorted((STATIC / "css").glob("*.css"))
JS = sorted((STATIC / "js").glob("*.js"))
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.is_file())
COLUMNS = 120


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_comments(css: str) -> str:
    """A stylesheet with as many lines as before."""
    return re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), css, flags=re.DOTALL)


# --- loaded ------------------------------------------------------------------------------------------------------


def test_every_page_loads_every_stylesheet_and_script_in_their_order(client: FlaskClient) -> None:
    page = client.get("/login").text
    assert re.findall(r'<link rel="stylesheet" href="/static/([^?"]+)\?v=[0-9a-f]{12}">', page) == list(STYLESHEETS)
    assert re.findall(r'<script src="/static/([^?"]+)\?v=[0-9a-f]{12}" defer></script>', page) == list(SCRIPTS)


def test_no_stylesheet_and_no_script_is_left_out_or_missing() -> None:
    present = [str(path.relative_to(STATIC)) for path in (*CSS, *JS, *(STATIC / "vendor").glob("*.js"))]
    assert sorted((*STYLESHEETS, *SCRIPTS)) == sorted(present)


def test_static_addresses_change_with_their_content_and_are_kept_for_a_year(client: FlaskClient) -> None:
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get("/login").text)
    assert len(addresses) == len(STYLESHEETS) + len(SCRIPTS) + 1
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        with client.get(address) as answer:
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] == "public, max-age=31536000"


# --- readable ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*CSS, *JS], ids=named)
def test_no_line_of_a_stylesheet_or_script_is_over_120_columns(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert [number for number, line in enumerate(lines, start=1) if len(line) > COLUMNS] == []


def crowded_lines(css: str) -> list[int]:
    """The lines on which more than one declaration stands, or a declaration beside its selector."""
    lines = without_comments(css).splitlines()
    return [
        number for number, line in enumerate(lines, start=1) if line.count(";") + line.count("{") + line.count("}") > 1
    ]


@pytest.mark.parametrize("path", CSS, ids=named)
def test_a_stylesheet_has_one_declaration_a_line(path: Path) -> None:
    assert crowded_lines(path.read_text()) == []


def test_a_second_declaration_on_a_line_would_be_found() -> None:
    assert crowded_lines("a {\n  color: red; margin: 0;\n}\nb { color: red; }") == [2, 4]


# --- values by name ----------------------------------------------------------------------------------------------


def test_every_value_that_has_a_name_is_used_by_it() -> None:
    css = "".join(path.read_text() for path in CSS)
    named_values = set(re.findall(r"^\s*(--[\w-]+):", css, re.MULTILINE))
    assert set(re.findall(r"var\((--[\w-]+)\)", css)) == named_values


VALUES = re.compile(
    r"#[0-9a-f]{3,8}\b|\brgb\(|light-dark\(|z-index: *\d|font-size: *[\d.]|font-weight: *\d"
    r"|(?:gap|(?:padding|margin)[\w-]*): .*\b(?:[468]|1[0246])px"
)
"""Colours, sizes of text, heights above the page, and the usual distances."""


@pytest.mark.parametrize("path", [path for path in CSS if path.name != "tokens.css"], ids=named)
def test_colours_text_sizes_levels_and_distances_have_names(path: Path) -> None:
    lines = without_comments(path.read_text()).splitlines()
    assert [line for line in lines if VALUES.search(line) and "mask-image" not in line] == []
