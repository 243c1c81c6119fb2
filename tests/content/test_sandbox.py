"""Child processes for decoding: what they may take, what ends them, and that nothing of them is left anywhere."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from uploadkit import Overloaded, ServiceError
from uploadkit.content.sandbox import CALLS, ChildEnded, Sandbox, descriptor_of
from uploadkit.testing import assert_no_leaks

HOGS = "tests.content.hogs"

pytestmark = pytest.mark.needs("linux")


@contextlib.contextmanager
def boxed(**options: object) -> Iterator[Sandbox]:
    sandbox = Sandbox(**options)  # type: ignore[arg-type]
    try:
        yield sandbox
    finally:
        sandbox.close()


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("function", "reason", "options"),
    [
        ("loop", "cpu", {"cpu_seconds": 0.1, "seconds": 120}),
        ("sleep", "time", {"seconds": 0.5}),
        ("eat", "memory", {"memory": "64 MiB"}),
        ("crash", "crash", {}),
        ("leave", "crash", {}),
        ("babble", "crash", {}),
        ("no_json", "crash", {}),
        ("killed", "crash", {}),
    ],
)
def test_a_child_that_goes_wrong_ends_alone(function: str, reason: str, options: dict[str, object]) -> None:
    """Whoever called it is told why, the process is gone, and the next call has another one."""
    with assert_no_leaks(), boxed(processes=1, **options) as sandbox:
        with pytest.raises(ChildEnded) as ended:
            sandbox.call(f"{HOGS}:{function}", {})
        assert ended.value.reason == reason
        assert sandbox.pids == []
        if reason != "time":  # within that a new child does not start on every machine
            assert lives(sandbox.call(f"{HOGS}:pid", {}))


def test_a_warm_child_serves_one_call_after_the_other() -> None:
    """Starting one takes longer than most pictures. After many calls it is replaced, since decoders leak."""
    with boxed(processes=1) as sandbox:
        pids = [sandbox.call(f"{HOGS}:pid", {}) for _ in range(CALLS + 1)]
    assert len(set(pids[:CALLS])) == 1
    assert pids[CALLS] != pids[0]
    assert not any(lives(pid) for pid in pids)


def test_memory_is_counted_anew_for_each_call_and_beyond_what_the_interpreter_has() -> None:
    """A call that takes nearly all of it fits, as often as it is made; one that takes more does not."""
    with boxed(processes=1, memory="64 MiB") as sandbox:
        for _ in range(3):
            assert sandbox.call(f"{HOGS}:allocate", {"size": 60 * 2**20}) == 60 * 2**20
        with pytest.raises(ChildEnded, match="memory"):
            sandbox.call(f"{HOGS}:allocate", {"size": 70 * 2**20})


def test_a_child_that_was_killed_from_outside_is_tried_once_more(tmp_path: Path) -> None:
    """The kernel ends processes for want of memory that others took: the file may be innocent."""
    with boxed(processes=1) as sandbox:
        assert sandbox.call(f"{HOGS}:killed_once", {"mark": str(tmp_path / "mark")}) == "done"


def test_a_child_that_died_while_it_waited_is_replaced() -> None:
    """Nobody notices."""
    with boxed(processes=1) as sandbox:
        first = sandbox.call(f"{HOGS}:pid", {})
        os.kill(first, 9)
        assert sandbox.call(f"{HOGS}:pid", {}) != first


def test_a_mistake_in_the_function_is_a_runtime_error_with_its_traceback() -> None:
    """It is no verdict over a file. The child goes on."""
    with boxed(processes=1) as sandbox:
        with pytest.raises(RuntimeError, match="KeyError: 'a mistake in a function'"):
            sandbox.call(f"{HOGS}:wrong", {})
        assert len(sandbox.pids) == 1


def test_a_child_is_given_little() -> None:
    """Its own end of the channel, no secret from the environment, no core dump; and it is nice."""
    os.environ["DATABASE_PASSWORD"] = "hunter2"
    try:
        with boxed(processes=1) as sandbox, tempfile.TemporaryFile():
            seen = sandbox.call(f"{HOGS}:surroundings", {})
    finally:
        del os.environ["DATABASE_PASSWORD"]
    assert "DATABASE_PASSWORD" not in seen["variables"]
    assert "PATH" in seen["variables"]
    assert len(seen["descriptors"]) <= 5  # the three standard ones, the channel, the folder that is read
    assert seen["nice"] >= 10
    assert seen["core"] == 0
    assert set(seen["modules"]) <= {
        *("uploadkit.content", "uploadkit.content.child", "uploadkit.content.sandbox"),
        *("uploadkit.errors", "uploadkit.policy", "uploadkit.policy.limits"),
    }


def test_a_child_cannot_write_without_end() -> None:
    """More than `output_size` in one file is an error of the write."""
    with boxed(processes=1, output_size="1 MiB") as sandbox, tempfile.TemporaryFile() as file:
        assert sandbox.call(f"{HOGS}:write", {"size": 2**20}, [file.fileno()]) == str(2**20)
        assert sandbox.call(f"{HOGS}:write", {"size": 1}, [file.fileno()]) == "OSError"


def test_files_go_in_as_descriptors(tmp_path: Path) -> None:
    """A plain file as itself, anything else as a copy: a GzipFile has a number too, of other bytes."""
    path = tmp_path / "a"
    path.write_bytes(b"plain")
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(b"packed"))
    with (
        tempfile.SpooledTemporaryFile() as spooled,
        assert_no_leaks(),
        boxed(processes=1) as sandbox,
        path.open("rb") as plain,
        path.open("rb", buffering=0) as raw,
        gzip.open(packed) as unpacked,
        contextlib.ExitStack() as stack,
    ):
        spooled.write(b"spooled")
        sources = [plain, raw, unpacked, io.BytesIO(b"memory"), spooled]
        numbers = [stack.enter_context(descriptor_of(source)) for source in sources]  # type: ignore[arg-type]
        assert numbers[:2] == [plain.fileno(), raw.fileno()]
        seen = sandbox.call(f"{HOGS}:beginnings", {"size": 10}, numbers)
        assert seen == ["plain", "plain", "packed", "memory", "spooled"]
        assert plain.tell() == 0


def test_no_more_children_than_were_allowed() -> None:
    """However many threads call."""
    with boxed(processes=2) as sandbox:
        with ThreadPoolExecutor(8) as pool:
            pids = {*pool.map(lambda _: sandbox.call(f"{HOGS}:pid", {}), range(50))}
        assert len(pids) <= 2
        assert {*sandbox.pids} == pids


def test_a_call_that_finds_no_free_child_is_told_to_come_back() -> None:
    """`Overloaded`, with a time to try again."""
    with boxed(processes=1, wait_seconds=0.05, seconds=20) as sandbox:
        holding = threading.Thread(target=_hold, args=(sandbox,))
        holding.start()
        while not sandbox.pids:
            time.sleep(0.005)
        with pytest.raises(Overloaded) as refused:
            sandbox.call(f"{HOGS}:pid", {})
        assert refused.value.retry_after > 0
        sandbox.close()  # ends the one that sleeps
        holding.join(10)
        assert not holding.is_alive()


def _hold(sandbox: Sandbox) -> None:
    with contextlib.suppress(ChildEnded, RuntimeError):
        sandbox.call(f"{HOGS}:sleep", {})


def test_a_closed_sandbox_takes_no_calls() -> None:
    """And can be closed again."""
    sandbox = Sandbox(processes=1)
    sandbox.close()
    sandbox.close()
    with pytest.raises(RuntimeError, match="was closed"):
        sandbox.call(f"{HOGS}:pid", {})


def test_a_child_that_cannot_be_started_is_the_service_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 or 500, and never a verdict over the file; the next call tries again."""
    from multiprocessing import spawn

    with assert_no_leaks(), boxed(processes=1) as sandbox:
        with monkeypatch.context() as patched:
            patched.setattr(spawn, "_python_exe", "/does/not/exist")
            with pytest.raises(ServiceError, match="could not be looked at"):
                sandbox.call(f"{HOGS}:pid", {})
        assert sandbox.call(f"{HOGS}:pid", {})


@pytest.mark.parametrize(
    "wrong", [{"processes": 0}, {"seconds": 0}, {"cpu_seconds": 0}, {"wait_seconds": -1}, {"memory": "much"}]
)
def test_limits_that_make_no_sense_are_told_at_once(wrong: dict[str, object]) -> None:
    """When the sandbox is made."""
    with pytest.raises(ValueError, match=r"."):
        Sandbox(**wrong)  # type: ignore[arg-type]


def run(program: str, *, check: bool = True) -> list[str]:
    """What a process of its own prints, with the sandbox at hand."""
    begin = "import os, signal, sys, threading\nfrom uploadkit.content.sandbox import Sandbox, default_sandbox\n"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", begin + program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    if check:
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    return done.stdout.split()


KILL = "os.kill(os.getpid(), signal."
CALL = f'print(default_sandbox().call("{HOGS}:pid", {{}}), flush=True)\n'


@pytest.mark.parametrize(
    "end",
    ["", "sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)"],
)
def test_no_child_outlives_its_process(end: str) -> None:
    """In whatever way that ends; and where Python ends it, without a warning."""
    [pid] = run(CALL + end, check="kill" not in end)
    until = time.monotonic() + 10
    while lives(int(pid)) and time.monotonic() < until:
        time.sleep(0.005)
    assert not lives(int(pid))


def test_a_child_at_work_ends_with_a_process_that_was_killed() -> None:
    """At the latest when it has an answer that nobody hears, or no time left."""
    program = (
        "sandbox = Sandbox(processes=1)\n"
        f'threading.Thread(target=sandbox.call, args=("{HOGS}:nap", {{}}), daemon=True).start()\n'
        "while not sandbox.pids: pass\n"
        "print(sandbox.pids[0], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    [pid] = run(program, check=False)
    until = time.monotonic() + 20
    while lives(int(pid)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not lives(int(pid))


def test_a_daemon_thread_in_a_call_does_not_keep_its_process() -> None:
    """At exit its child is ended."""
    program = (
        "sandbox = Sandbox(processes=1)\n"
        "def work():\n"
        "    try: sandbox.call('tests.content.hogs:sleep', {})\n"
        "    except Exception: pass\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "while not sandbox.pids: pass\n"
        "print(sandbox.pids[0])\n"
    )
    began = time.monotonic()
    [pid] = run(program)
    assert time.monotonic() - began < 20
    assert not lives(int(pid))


def test_a_fork_has_children_of_its_own() -> None:
    """As gunicorn's workers after --preload: those of the parent are left alone, and live on."""
    program = (
        CALL + "worker = os.fork()\nif worker == 0:\n    " + CALL + "    sys.exit(0)\nos.waitpid(worker, 0)\n" + CALL
    )
    parent, worker, again = run(program)
    assert parent == again
    assert worker != parent
    assert not any(lives(int(pid)) for pid in (parent, worker))


def test_a_fork_does_not_keep_its_parent_s_children_alive() -> None:
    """The channel is closed in it: when the parent is killed, its child ends, though the fork goes on."""
    program = (
        CALL + "if os.fork() == 0:\n"
        "    os.close(1); os.close(2)\n"  # what reads them does not wait for it
        "    import time; time.sleep(8)\n"
        "    os._exit(0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    [pid] = run(program, check=False)
    until = time.monotonic() + 6
    while lives(int(pid)) and time.monotonic() < until:
        time.sleep(0.005)
    assert not lives(int(pid))


def test_a_fork_in_the_middle_of_a_call_of_another_thread_can_call() -> None:
    """The lock that thread holds is not the fork's."""
    program = (
        "sandbox = Sandbox(processes=1, seconds=5)\n"
        "def work():\n"
        "    try: sandbox.call('tests.content.hogs:sleep', {})\n"
        "    except Exception: pass\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "while not sandbox.pids: pass\n"
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "worker = os.fork()\n"
        "if worker == 0:\n"
        "    print(sandbox.call('tests.content.hogs:pid', {}), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(worker, 0)\n"
        "sandbox.close()\n"
        "thread.join()\n"
    )
    [pid] = run(program)
    assert pid.isdecimal()


def test_a_sandbox_that_nobody_holds_ends_its_children() -> None:
    """Without a warning."""
    [pid, alive] = run(
        "import gc\nsandbox = Sandbox(processes=1)\n"
        f'pid = sandbox.call("{HOGS}:pid", {{}})\n'
        "del sandbox; gc.collect()\n"
        "print(pid, os.path.exists(f'/proc/{pid}'))\n"
    )
    assert (pid.isdecimal(), alive) == (True, "False")
