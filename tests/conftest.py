"""Every test may ask for the fixtures of tests/support: a database on each engine, the app on it, people, a board."""

import pytest

# Before any of them is imported: what they assert is then explained as in a test.
pytest.register_assert_rewrite("tests.support")

pytest_plugins = [
    f"tests.support.{subject}"
    for subject in ("apps", "clock", "databases", "mailbox", "people", "receiver", "servers", "typescript")
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--model-runs",
        type=int,
        help="how many runs of random calls test_model.py tries, each time others; by default the same few",
    )
