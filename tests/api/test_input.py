"""What goes in is found again: names, keys, times and bodies in forms that several programs write differently."""

import gzip
import json
import zlib
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.pages import sign_in
from tests.support.people import Cast
from tests.support.runner import Runner


@pytest.fixture
def runner(client: FlaskClient, token: str) -> Runner:
    return Runner(client, token)


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [" ", "\t", "\n", "\u00a0", "\u2003", "\u2028"])
def test_white_space_at_the_ends_of_a_name_is_no_part_of_it(app: Flask, cast: Cast, runner: Runner, space: str) -> None:
    job = runner.enqueue(type=f"{space}import{space}", tags=[f"{space}nightly"], runner=f"host{space}")
    assert (job["type"], job["tags"], job["runner"]) == ("import", ["nightly"], "host")
    assert [each["id"] for each in runner.get("/jobs?type=import&tag=nightly").json["data"]] == [job["id"]]
    ben = app.test_client()
    sign_in(ben, cast.ben.email)
    assert f'id="job-{job["id"]}"' in ben.get("/w/acme/jobs?type=import&tag=nightly").text


@pytest.mark.parametrize("field", ["type", "tags", "runner"])
@pytest.mark.parametrize(
    "name", ["", " ", "\n", "\u00a0", "\u200b", "a\nb", "a\x7fb", "a\x85b", "a\u2028b", "a\x1b[31mb"]
)
def test_a_name_that_is_blank_or_has_control_characters_is_422(runner: Runner, field: str, name: str) -> None:
    answer = runner.post("/jobs", {"type": "report"} | {field: [name] if field == "tags" else name})
    assert answer.status_code == 422
    (fault,) = answer.json["errors"]
    assert fault["pointer"] == ("/tags/0" if field == "tags" else f"/{field}")
    if field == "runner" and name.strip():
        job = runner.enqueue()
        assert runner.report(job, runner=name).status_code == 422


@pytest.mark.parametrize("name", ["импорт", "تقرير", "a b", "👩‍👩‍👧", "e\u0301"])
def test_a_name_in_any_script_is_kept_as_it_is(runner: Runner, name: str) -> None:
    assert runner.enqueue(type=name)["type"] == name


def test_the_longest_name_may_have_white_space_around_it(runner: Runner) -> None:
    assert runner.enqueue(type=f"  {'x' * 200}  ")["type"] == "x" * 200
    assert runner.post("/jobs", {"type": "x" * 201}).status_code == 422


# --- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        '{"type": "a", "type": "b"}',
        '{"type": "a", "payload": {"x": 1, "y": {"z": 1, "z": 1}}}',
        '{"type": "a", "t\\u0079pe": "b"}',
    ],
)
def test_a_key_that_stands_twice_in_an_object_is_400_and_says_so(runner: Runner, raw: str) -> None:
    answer = runner.send("POST", "/jobs", raw.encode())
    assert answer.status_code == 400
    assert "twice" in answer.json["detail"]
    assert runner.get("/jobs").json["data"] == []


def test_the_same_key_in_several_objects_is_as_good_as_any(runner: Runner) -> None:
    raw = b'{"type": "a", "payload": {"type": {"type": 1}, "list": [{"type": 1}, {"type": 2}]}}'
    assert runner.send("POST", "/jobs", raw).status_code == 201


# --- bodies ------------------------------------------------------------------------------------------------------


def send(runner: Runner, raw: bytes, encoding: str) -> Any:
    headers = runner.headers | {"Content-Encoding": encoding}
    return runner.client.post("/api/v1/jobs", data=raw, content_type="application/json", headers=headers)


BODY = json.dumps({"type": "zipped", "payload": {"words": "καλημέρα" * 1000}}).encode()


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_gzip_body_is_read(runner: Runner, encoding: str) -> None:
    answer = send(runner, gzip.compress(BODY), encoding)
    assert (answer.status_code, answer.json["type"]) == (201, "zipped")


def test_a_body_that_says_identity_is_read_as_it_is(runner: Runner) -> None:
    assert send(runner, BODY, "identity").status_code == 201


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", ""])
def test_another_encoding_is_415_and_says_what_to_send(runner: Runner, encoding: str) -> None:
    answer = send(runner, zlib.compress(BODY), encoding)
    assert answer.status_code == 415
    assert "gzip" in answer.json["detail"]


def test_what_unpacks_to_more_than_a_body_may_have_is_413(runner: Runner) -> None:
    bomb = gzip.compress(b'{"type": "' + b"x" * 50_000_000 + b'"}')
    assert len(bomb) < 100_000
    assert send(runner, bomb, "gzip").status_code == 413


@pytest.mark.parametrize("raw", [BODY, b"", gzip.compress(BODY)[:-20], gzip.compress(BODY) + b"more", b"\x1f\x8b"])
def test_what_is_no_whole_gzip_file_is_400(runner: Runner, raw: bytes) -> None:
    assert send(runner, raw, "gzip").status_code == 400
    assert runner.get("/jobs").json["data"] == []


def test_without_a_token_the_encoding_of_a_body_is_not_looked_at(client: FlaskClient) -> None:
    headers = {"Content-Encoding": "br"}
    answer = client.post("/api/v1/jobs", data=BODY, content_type="application/json", headers=headers)
    assert answer.status_code == 401


# --- times -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["23:59:60Z", "23:59:60.75Z", "23:59:60+00:00"])
def test_a_leap_second_is_the_second_after_it(runner: Runner, second: str) -> None:
    answer = runner.get(f"/jobs?created_after=2016-12-31T{second.replace('+', '%2B')}")
    assert answer.status_code == 200
    assert runner.get("/jobs?created_after=2016-12-31T23:59:61Z").status_code == 422
    assert runner.get("/jobs?created_after=9999-12-31T23:59:60Z").status_code == 422


# --- marks of versions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["{}", "W/{}", "{}-gzip", "{};gzip", "{}-br", "W/{}-gzip"])
def test_an_etag_that_a_proxy_marked_still_means_the_same_version(
    app: Flask, cast: Cast, runner: Runner, change: str
) -> None:
    def held(etag: str) -> str:
        quoted = etag.removeprefix("W/")
        name = quoted.strip('"')
        prefix, _, suffix = change.partition("{}")
        return f'{prefix}"{name}{suffix}"'

    job = runner.enqueue()
    etag = runner.get(f"/jobs/{job['id']}").headers["ETag"]
    assert runner.get(f"/jobs/{job['id']}", **{"If-None-Match": held(etag)}).status_code == 304
    ben = app.test_client()
    sign_in(ben, cast.ben.email)
    for path in ("/w/acme/jobs/table", f"/w/acme/jobs/{job['id']}/panel"):
        answer = ben.get(path, headers={"HX-Request": "true"})
        again = ben.get(path, headers={"HX-Request": "true", "If-None-Match": held(answer.headers["ETag"])})
        assert again.status_code == 304, path
    assert runner.report(job, status="running").status_code == 200
    assert runner.get(f"/jobs/{job['id']}", **{"If-None-Match": held(etag)}).status_code == 200
