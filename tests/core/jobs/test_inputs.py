"""What may be said of a job: sizes, cuts, characters, and every fault at once."""

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.jobs import job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.errors import Invalid, NotFound
from webapp.core.jobs.inputs import NewJob, Report

LIMIT = 256 * 1024


def faults(body: type[NewJob] | type[Report], **sent: Any) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(Invalid) as caught:
        body.parse(sent)
    return {fault.path: fault.detail for fault in caught.value.faults}


def object_of(size: int) -> dict[str, Any]:
    """An object of exactly so many bytes as compact JSON."""
    filled = {"a": "x" * (size - len('{"a":""}'))}
    assert len(json.dumps(filled, separators=(",", ":")).encode()) == size
    return filled


@pytest.mark.parametrize(
    "sent",
    [
        {"progress": 0},
        {"progress": 100},
        {"link": "http://localhost:5555/task/1"},
        {"link": "https://example.com/" + "a" * 1980},
        {"runner": "w" * 200},
        {"result": object_of(LIMIT)},
        {"status": "failed", "error": ""},
        {"message": None, "result": None, "error": None, "link": None, "runner": None},
        {"occurred_at": "2026-11-24T14:02:00+01:00"},
        {},
    ],
)
def test_everything_up_to_the_limits_is_taken(sent: dict[str, Any]) -> None:
    Report.parse(sent)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("progress", -1),
        ("progress", 101),
        ("progress", 50.5),
        ("progress", "50"),
        ("progress", True),
        ("progress", None),
        ("status", None),
        ("status", "done"),
        ("status", 1),
        ("message", 5),
        ("message", "a\0b"),
        ("link", "javascript:alert(1)"),
        ("link", "ftp://example.com"),
        ("link", "https://"),
        ("link", "https://exa mple.com"),
        ("link", "https://example.com/" + "a" * 1981),
        ("link", "https://example.com/\0"),
        ("runner", ""),
        ("runner", "w" * 201),
        ("runner", "w\0"),
        ("result", [1]),
        ("result", "text"),
        ("result", object_of(LIMIT + 1)),
        ("result", {"a": "\0"}),
        ("result", {"a": [{"b\0": 1}]}),
        ("result", {"a": float("nan")}),
        ("result", {"a": [float("inf")]}),
        ("result", {"a": "\ud800"}),
        ("occurred_at", "yesterday"),
        ("occurred_at", 1764000000),
        ("occurred_at", "2026-11-24T14:02:00"),
        ("occurred_at", "0001-01-01T00:00:00+14:00"),
        ("occurred_at", "2026-11-24x14:02:00Z"),
        ("occurred_at", "2026-11-24T14:02:00Z\0"),
        ("occurred_at", "2026-W48-2T14:02:00Z"),
    ],
)
def test_a_report_beyond_a_limit_is_refused_at_that_field(field: str, value: Any) -> None:
    assert list(faults(Report, **{field: value})) == [(field,)]


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("type", "", ("type",)),
        ("type", "t" * 201, ("type",)),
        ("type", "t\0", ("type",)),
        ("payload", [], ("payload",)),
        ("payload", object_of(LIMIT + 1), ("payload",)),
        ("payload", {"a": "\0"}, ("payload",)),
        ("tags", ["t"] * 21, ("tags",)),
        ("tags", ["ok", ""], ("tags", 1)),
        ("tags", ["t" * 65], ("tags", 0)),
        ("tags", "abc", ("tags",)),
        ("max_duration", 0, ("max_duration",)),
        ("max_duration", 2_592_001, ("max_duration",)),
        ("heartbeat_timeout", 0, ("heartbeat_timeout",)),
        ("heartbeat_timeout", 1.5, ("heartbeat_timeout",)),
        ("parent_id", "not a uuid", ("parent_id",)),
        ("priority", 1, ("priority",)),
    ],
)
def test_a_new_job_beyond_a_limit_is_refused_at_that_field(field: str, value: Any, path: tuple[str | int, ...]) -> None:
    assert list(faults(NewJob, **{"type": "t", field: value})) == [path]


def test_a_new_job_at_every_limit_is_taken() -> None:
    NewJob.parse(
        {
            "type": "t" * 200,
            "payload": object_of(LIMIT),
            "tags": ["t" * 64] * 20,
            "max_duration": 2_592_000,
            "heartbeat_timeout": 1,
            "parent_id": str(uuid.uuid4()),
            "link": None,
            "runner": "w",
        }
    )


def test_all_faults_are_named_at_once_and_no_rejected_value_is_repeated() -> None:
    secret = "s3cr3t-in-the-wrong-place"
    details = faults(Report, status="running", progress=secret, error=secret, link=secret, token=secret)
    assert set(details) == {("progress",), ("error",), ("link",), ("token",)}
    assert secret not in " ".join(details.values())


@pytest.mark.parametrize("status", [None, "pending", "running", "completed", "canceled"])
def test_only_a_failure_carries_an_error(status: str | None) -> None:
    sent = {"error": "x"} | ({"status": status} if status else {})
    assert list(faults(Report, **sent)) == [("error",)]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_failure_and_a_cancel_carry_no_result(status: str) -> None:
    assert list(faults(Report, status=status, result={})) == [("result",)]


def test_a_long_message_is_cut_with_a_mark_within_its_500_characters() -> None:
    assert Report.parse({"message": "ö" * 500}).message == "ö" * 500
    cut = Report.parse({"message": "ö" * 501}).message
    assert cut is not None
    assert len(cut) == 500
    assert cut.startswith("ööö")
    assert cut.endswith("… [cut]")


@pytest.mark.parametrize("letter", ["x", "ö", "∑", "😀"])
def test_a_long_error_is_cut_with_a_mark_within_its_64_kib_and_between_letters(letter: str) -> None:
    whole = letter * (65536 // len(letter.encode()))
    assert Report.parse({"status": "failed", "error": whole}).error == whole
    cut = Report.parse({"status": "failed", "error": whole + letter}).error
    assert cut is not None
    assert 65536 - 4 < len(cut.encode()) <= 65536
    assert set(cut.removesuffix("… [cut]")) == {letter}
    assert cut.endswith("… [cut]")


def test_a_failing_job_never_loses_its_report_to_a_character() -> None:
    assert Report.parse({"status": "failed", "error": "a\0b"}).error == "a\ufffdb"
    stored = Report.parse({"status": "failed", "error": "a\ud800b"}).error
    assert stored is not None
    assert stored.encode()


def test_the_six_characters_that_spell_nul_in_json_are_no_nul() -> None:
    assert Report.parse({"result": {"a": "\\u0000"}}).result == {"a": "\\u0000"}


def test_a_moment_in_any_zone_is_the_same_moment() -> None:
    vienna = datetime(2026, 11, 24, 15, 2, tzinfo=timezone(timedelta(hours=1)))
    moment = datetime(2026, 11, 24, 14, 2, tzinfo=UTC)
    assert Report.parse({"occurred_at": vienna}).occurred_at == moment
    assert Report.parse({"occurred_at": "2026-11-24T14:02:00Z"}).occurred_at == moment
    assert Report.parse({"occurred_at": "2026-11-24t14:02:00.000z"}).occurred_at == moment


@pytest.mark.usefixtures("core")
class TestCalledInProcess:
    """Python code in the same process gets the same rules as a runner at the door."""

    def test_every_fault_of_a_call_is_named(self, cast: Cast) -> None:
        with pytest.raises(Invalid, match=r"type: .* payload: .* max_duration: "):
            jobs.enqueue_job("", cast.acme.id, {"nan": float("nan")}, max_duration=0)

    def test_something_that_json_cannot_say_is_refused_before_it_is_stored(self, cast: Cast) -> None:
        for payload in ({"when": datetime.now(UTC)}, {"set": {1}}, {"self": object()}):
            with pytest.raises(Invalid, match="payload"):
                jobs.enqueue_job("t", cast.acme.id, payload)

    def test_a_payload_that_contains_itself_is_refused(self, cast: Cast) -> None:
        payload: dict[str, Any] = {}
        payload["again"] = payload
        with pytest.raises(Invalid, match="payload"):
            jobs.enqueue_job("t", cast.acme.id, payload)

    def test_a_workspace_that_is_not_there_is_not_found(self) -> None:
        with pytest.raises(NotFound):
            jobs.enqueue_job("t", uuid.uuid4())

    def test_a_job_that_is_not_there_is_not_found(self, cast: Cast) -> None:
        for call in (jobs.get_job_status, jobs.update_job_status, jobs.cancel_job):
            with pytest.raises(NotFound):
                call(uuid.uuid4())

    def test_a_report_with_a_fault_changes_nothing(self, cast: Cast) -> None:
        job = job_in("running", cast.acme)
        with pytest.raises(Invalid):
            jobs.update_job_status(job.id, message="kept?", progress=101)
        after = jobs.get_job_status(job.id)
        assert (after.message, after.progress, after.version) == (None, 0, job.version)

    def test_a_job_may_have_no_workspace_and_tags_all_the_same(self) -> None:
        job = jobs.get_job_status(jobs.enqueue_job("t", None, tags=["nightly"]))
        assert (job.workspace_id, job.tags, job.created_by) == (None, ["nightly"], "system")

    @pytest.mark.parametrize("tags", ["abc", {"a": 1}, 5, ["ok", 5]])
    def test_tags_that_are_no_list_of_texts_are_refused(self, tags: Any, cast: Cast) -> None:
        with pytest.raises(Invalid) as caught:
            jobs.enqueue_job("t", cast.acme.id, tags=tags)
        assert {fault.path[0] for fault in caught.value.faults} == {"tags"}

    def test_tags_keep_their_order_and_lose_their_doubles(self, cast: Cast) -> None:
        job = jobs.get_job_status(jobs.enqueue_job("t", cast.acme.id, tags=["b", "a", "b"]))
        assert job.tags == ["b", "a"]

    def test_a_parent_stands_in_the_same_workspace(self, cast: Cast) -> None:
        ours, theirs = job_in("running", cast.acme), job_in("running", cast.other)
        child = jobs.enqueue_job("t", cast.acme.id, parent_id=ours.id)
        assert jobs.get_job_status(child).parent_id == ours.id
        for stranger in (theirs.id, uuid.uuid4()):
            with pytest.raises(Invalid, match="parent_id"):
                jobs.enqueue_job("t", cast.acme.id, parent_id=stranger)
