"""``callboard run``: a command that knows nothing of a board, and the board knows how it went."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.operator import Operator
from tests.support.servers import Outage
from tests.support.waiting import wait_until

CALLBOARD = str(Path(sys.executable).with_name("callboard"))
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Run]:
    """``start("--type", "t", "--", "sh", "-c", "…")`` begins a wrapped command; it is ended with the test."""
    with ExitStack() as ends:

        def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
            child = subprocess.Popen(
                [CALLBOARD, "run", *arguments],
                text=True,
                env={**os.environ, **more},
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            ends.enter_context(child)
            ends.callback(_end, child)
            return child

        yield start


def _end(child: "subprocess.Popen[str]") -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)


def wait_for_end(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for the end of a command; return its exit code and what it wrote."""
    out, err = child.communicate(timeout=30)
    return child.returncode, out, err


def test_a_command_is_a_job_with_its_output_as_log(start: Run, operator: Operator) -> None:
    script = "echo first; echo ::progress 40 page 4 of 10; echo second >&2; printf 'no end'"
    run = start("--type", "nightly-backup", "--tag", "nightly", "--payload", '{"disk": 1}', "--", "sh", "-c", script)
    # What it writes goes where it would go without this.
    assert wait_for_end(run) == (0, "first\n::progress 40 page 4 of 10\nno end", "second\n")
    job = operator.newest
    assert (job["type"], job["tags"], job["payload"]) == ("nightly-backup", ["nightly"], {"disk": 1})
    assert (job["status"], job["progress"], job["message"]) == ("completed", 100, "page 4 of 10")
    assert sorted(operator.log(job["id"])) == ["first", "no end", "second"]


def test_progress_is_seen_while_it_runs(start: Run, operator: Operator) -> None:
    run = start("--", "sh", "-c", "echo '::progress 12.5% on the way'; read line; exit 0")
    wait_until(lambda: operator.jobs and operator.newest["progress"] == 12)
    assert (operator.newest["type"], operator.newest["status"]) == ("sh", "running")
    assert wait_for_end(run)[0] == 0


def test_a_command_that_fails_leaves_its_last_lines_and_its_code(start: Run, operator: Operator) -> None:
    script = "for n in $(seq 200); do echo line $n; done; echo 'disk full' >&2; exit 3"
    assert wait_for_end(start("--", "sh", "-c", script))[0] == 3
    job = operator.newest
    assert (job["status"], job["failure_reason"]) == ("failed", "error")
    head, _, *lines = job["error"].splitlines()
    assert head == "Exit code 3: disk full"
    assert lines == [*(f"line {number}" for number in range(151, 201)), "disk full"]


def test_a_command_ended_by_a_signal_is_told_and_answered_as_by_a_shell(start: Run, operator: Operator) -> None:
    assert wait_for_end(start("--", "sh", "-c", "kill -KILL $$"))[0] == 137
    assert operator.newest["error"] == "Killed by SIGKILL."


@pytest.mark.parametrize(("command", "code"), [("./no-such-command", 127), ("/", 126)])
def test_a_command_that_cannot_be_run_is_a_failed_job(start: Run, operator: Operator, command: str, code: int) -> None:
    returned, _, said = wait_for_end(start("--", command))
    assert returned == code
    assert f"{command} cannot be run" in said
    assert (operator.newest["status"], "cannot be run" in operator.newest["error"]) == ("failed", True)


def test_a_cancel_stops_the_command_and_what_it_started(start: Run, operator: Operator, tmp_path: Path) -> None:
    mark = tmp_path / "still-there"
    script = f"(trap '' TERM; echo ready; sleep 30; touch {mark}) & sleep 30; echo not reached"
    run = start("--heartbeat-timeout", "1", "--grace", "0.5", "--", "sh", "-c", script)
    wait_until(lambda: operator.jobs and "ready" in operator.log(operator.newest["id"]))
    operator.cancel(operator.newest["id"])
    begun = time.monotonic()
    returned, out, said = wait_for_end(run)
    assert time.monotonic() - begun < 15
    assert (returned, out) == (143, "ready\n")
    assert "was canceled" in said
    assert operator.newest["status"] == "canceled"
    assert operator.newest["cancel_confirmed_at"]
    assert not mark.exists()


def test_a_command_that_cleans_up_is_given_its_time(start: Run, operator: Operator) -> None:
    script = "trap 'echo cleaned; exit 5' TERM; echo ready; while true; do sleep 0.05; done"
    run = start("--heartbeat-timeout", "1", "--", "sh", "-c", script)
    wait_until(lambda: operator.jobs and "ready" in operator.log(operator.newest["id"]))
    operator.cancel(operator.newest["id"])
    assert wait_for_end(run)[:2] == (5, "ready\ncleaned\n")
    assert operator.newest["cancel_confirmed_at"]
    log = operator.log(operator.newest["id"])
    assert (log[0], "cleaned" in log) == ("ready", True)


def test_a_signal_to_the_wrapper_is_passed_on(start: Run, operator: Operator) -> None:
    run = start("--", "sh", "-c", "trap 'exit 7' TERM; echo ready; while true; do sleep 0.05; done")
    assert run.stdout
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGTERM)
    assert wait_for_end(run)[0] == 7
    assert (operator.newest["status"], operator.newest["message"]) == (
        "canceled",
        "Its runner was stopped by SIGTERM.",
    )


def test_the_command_runs_without_a_board_and_with_one_that_is_away(start: Run, outage: Outage, token: str) -> None:
    outage.stop()
    returned, out, said = wait_for_end(start("--", "echo", "done", CALLBOARD_URL=outage.address, CALLBOARD_TOKEN=token))
    assert (returned, out) == (0, "done\n")
    assert "The board is unavailable" in said
    for missing in ({"CALLBOARD_URL": ""}, {"CALLBOARD_TOKEN": ""}):
        returned, out, said = wait_for_end(start("--", "sh", "-c", "echo done; exit 4", **missing))
        assert (returned, out) == (4, "done\n")
        assert f"{next(iter(missing))} is not set" in said


def test_what_a_run_could_not_tell_is_told_by_the_next(
    start: Run, outage: Outage, operator: Operator, token: str, tmp_path: Path
) -> None:
    spool = ("--spool", str(tmp_path / "spool"))
    variables = {"CALLBOARD_URL": outage.address, "CALLBOARD_TOKEN": token}
    outage.stop()
    assert wait_for_end(start(*spool, "--type", "first", "--", "sh", "-c", "echo said; exit 3", **variables))[0] == 3
    outage.start()
    assert wait_for_end(start(*spool, "--type", "second", "--", "true", **variables))[0] == 0
    wait_until(
        lambda: {job["type"]: job["status"] for job in operator.jobs} == {"first": "failed", "second": "completed"}
    )
    first = next(job for job in operator.jobs if job["type"] == "first")
    assert operator.log(first["id"]) == ["said"]


def test_a_run_with_the_key_of_a_canceled_job_does_not_begin(start: Run, operator: Operator, tmp_path: Path) -> None:
    job = ("--type", "t", "--key", "order-7", "--heartbeat-timeout", "60", "--")
    assert wait_for_end(start(*job, "true"))[0] == 0
    mark = tmp_path / "ran"
    assert (
        wait_for_end(start("--type", "t", "--key", "order-8", "--", "sh", "-c", "kill -TERM $PPID; sleep 30"))[0] == 143
    )
    assert operator.newest["status"] == "canceled"
    returned, _, said = wait_for_end(start("--type", "t", "--key", "order-8", "--", "touch", str(mark)))
    assert (returned, mark.exists()) == (143, False)
    assert "not run" in said


def test_a_slow_reader_gets_everything(start: Run, operator: Operator) -> None:
    run = start("--", "head", "-c", "500000", "/dev/zero")
    wait_until(lambda: operator.jobs)
    assert run.stdout
    taken = 0
    while piece := os.read(run.stdout.fileno(), 65_536):
        # Longer than anybody waits for the command itself.
        time.sleep(0.3)
        taken += len(piece)
    assert (taken, run.wait(20)) == (500_000, 0)
    assert operator.newest["status"] == "completed"


def test_a_disk_that_is_full_is_the_command_s_to_hear_of(environ: dict[str, str], operator: Operator) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        command = [CALLBOARD, "run", "--", "seq", "1000000"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 128 + signal.SIGPIPE
    assert "cannot be passed on" in done.stderr
    assert operator.newest["status"] == "failed"


def test_a_command_whose_reader_is_gone_ends_as_it_would(environ: dict[str, str], operator: Operator) -> None:
    done = subprocess.run(f"{CALLBOARD} run -- yes | head -1", shell=True, capture_output=True, text=True, timeout=30)
    assert done.stdout == "y\n"
    wait_until(lambda: operator.newest["status"] == "failed")
    assert operator.newest["error"].startswith("Killed by SIGPIPE")


def test_a_command_runs_with_its_streams_closed_and_a_proxy_that_nobody_knows(
    environ: dict[str, str], tmp_path: Path
) -> None:
    for shell in (f"{CALLBOARD} run -- touch {tmp_path}/a <&- >&- 2>&-", f"{CALLBOARD} run -- touch {tmp_path}/b"):
        subprocess.run(
            shell, shell=True, check=True, timeout=30, env=os.environ | {"ALL_PROXY": "socks5://127.0.0.1:9"}
        )
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_signal_that_the_command_survives_ends_no_job(start: Run, operator: Operator) -> None:
    run = start("--", "sh", "-c", "trap '' HUP; echo ready; read line; exit 0")
    assert run.stdout
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGHUP)
    assert wait_for_end(run)[0] == 0
    assert operator.newest["status"] == "completed"


def test_what_a_canceled_command_leaves_behind_is_gone_after_the_grace(
    start: Run, operator: Operator, tmp_path: Path
) -> None:
    script = f"(trap '' TERM; exec >/dev/null 2>&1; echo $$ > {tmp_path}/pid; sleep 60) & echo ready; wait"
    run = start("--heartbeat-timeout", "1", "--grace", "0.5", "--", "bash", "-c", script)
    wait_until(lambda: operator.jobs and "ready" in operator.log(operator.newest["id"]))
    group = psutil.Process(run.pid).children()[0].pid
    operator.cancel(operator.newest["id"])
    assert wait_for_end(run)[0] == 143
    wait_until(lambda: not any(_group_of(process) == group for process in psutil.process_iter()))


def _group_of(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else None
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


def test_a_command_that_leaves_something_running_ends_all_the_same(start: Run, operator: Operator) -> None:
    script = "(while :; do echo still; sleep 0.05; done) & echo $!; exit 0"
    run = start("--", "sh", "-c", script)
    returned, out, _ = wait_for_end(run)
    os.kill(int(out.split()[0]), signal.SIGKILL)
    assert (returned, operator.newest["status"]) == (0, "completed")


def test_much_output_is_passed_on_whole_and_told_in_part(start: Run, operator: Operator) -> None:
    script = (
        "import sys\nfor n in range(200_000): print('line', n)\nsys.stdout.write('\\rover\\rand over\\x1b[31m!\\n')"
    )
    returned, out, _ = wait_for_end(start("--", sys.executable, "-c", script))
    assert (returned, out.splitlines()[:200_000]) == (0, [f"line {number}" for number in range(200_000)])
    log = operator.log(operator.newest["id"])
    assert log[-2:] == ["line 199999", "and over!"]
    assert any(line.startswith("… ") and line.endswith(" lines left out …") for line in log)
