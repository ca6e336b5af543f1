"""A search through errors is dear: one of each person at a time, so that threads are left for everybody else."""

import pytest
from flask.testing import FlaskClient

from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.dashboard.jobs import query

SEARCH = "q=error:boom"


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    sign_in(client, "ben@example.com")
    return client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query.searches, "_patience", 0)


@pytest.mark.parametrize("path", ["jobs", "jobs/table", "jobs.csv", "jobs.ndjson"])
def test_a_second_search_of_the_same_person_is_429_wherever_it_is_asked(
    ben: FlaskClient, cast: Cast, path: str
) -> None:
    with query.searches.hold(cast.ben.id):
        refused = ben.get(f"/w/acme/{path}?{SEARCH}")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
        assert "Your last search through errors is still at work." in refused.text
        assert ben.get(f"/w/acme/{path}?type=report").status_code == 200
    assert ben.get(f"/w/acme/{path}?{SEARCH}").status_code == 200


def test_the_search_of_one_person_does_not_hinder_that_of_another(ben: FlaskClient, cast: Cast) -> None:
    with query.searches.hold(cast.ada.id):
        assert ben.get(f"/w/acme/jobs?{SEARCH}").status_code == 200
