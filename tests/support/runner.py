"""A runner as the tests play it: the API's calls with a token, in a few letters."""

from typing import Any

from flask.testing import FlaskClient


class Runner:
    """Calls the API of the app under test with one token."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1{path}", headers=self.headers | headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(f"/api/v1{path}", json=body, headers=self.headers)

    def patch(self, path: str, body: Any) -> Any:
        return self.client.patch(f"/api/v1{path}", json=body, headers=self.headers)

    def send(self, method: str, path: str, raw: bytes, content_type: str = "application/json") -> Any:
        """A body exactly as given."""
        return self.client.open(
            f"/api/v1{path}", method=method, data=raw, content_type=content_type, headers=self.headers
        )

    def enqueue(self, **more: Any) -> dict[str, Any]:
        answer = self.post("/jobs", {"type": "report"} | more)
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json
        return job

    def report(self, job: dict[str, Any], **body: Any) -> Any:
        return self.patch(f"/jobs/{job['id']}", body)

    def kinds(self, job: dict[str, Any]) -> list[str]:
        """The kinds of a job's events, oldest first."""
        return [event["kind"] for event in self.get(f"/jobs/{job['id']}/events").json["data"]]
