"""How processes end that use obstore, and those that use uploadkit: `python -m bench.s3.exits`.

Each way to end is gone by many processes against an S3 at the end of a line. It also tells what
either makes of an endpoint that is none. `docs/decisions/0013-obstore.md` has what was seen.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from ..end_to_end.forms import KIB, MIB, Load
from ..end_to_end.servers import PROJECT
from ..report import rows
from .stores import LINE, standing

Send: TypeAlias = Callable[[Load, int], None]

CLIENTS = ("obstore", "uploadkit")

SMALL = Load(requests=1, size=10 * KIB)
LARGE = Load(requests=1, size=64 * MIB)

UNDER_WAY_SECONDS = 0.3
"""So long after its first bytes an upload is in the middle: the line takes a third of a second for one alone."""

HUNG_SECONDS = 40

AT_ONCE = 8
"""So many processes run together: none of them does much."""

NO_ENDPOINTS = ("http://[", "http://127.0.0.1:99999", "not a URL", "")


def at_rest(send: Send) -> None:
    send(SMALL, 0)


def uploads_under_way(send: Send) -> None:
    _begin_uploads(send)


def at_rest_and_forked(send: Send) -> None:
    send(SMALL, 0)
    _fork(lambda: send(SMALL, 0))


def uploads_under_way_and_forked(send: Send) -> None:
    _begin_uploads(send)
    _fork(lambda: None)


ENDS: Mapping[str, Callable[[Send], None]] = {
    "nothing under way": at_rest,
    "four uploads under way in daemon threads": uploads_under_way,
    "forked, and the child uploads too": at_rest_and_forked,
    "forked while four uploads are under way": uploads_under_way_and_forked,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.s3.exits", description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=40, metavar="N", help="for each way (default: 40)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child is not None:
        client, end = given.child
        ENDS[end](import_module(f"{__package__}.memory.{client}").send)
        return
    os.environ["RUST_BACKTRACE"] = "0"
    body = []
    for end in ENDS:
        with tempfile.TemporaryDirectory() as folder, standing(LINE, Path(folder)) as store:
            seen = [_ended(client, end, store.environment, given.processes) for client in CLIENTS]
        body.append([end, *seen])
        print(body[-1], flush=True)
    print(f"\n{rows(['', *CLIENTS], body)}")
    print(f"\n{rows(['an endpoint', *CLIENTS], [[repr(url), *_made_of(url)] for url in NO_ENDPOINTS])}")


def _ended(client: str, end: str, environment: Mapping[str, str], processes: int) -> str:
    """How often each way, such as "48 well, 2 SIGABRT"."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        seen = Counter(threads.map(lambda _: _end_of_one(client, end, environment), range(processes)))
    return ", ".join(f"{count} {how}" for how, count in sorted(seen.items(), reverse=True))


def _end_of_one(client: str, end: str, environment: Mapping[str, str]) -> str:
    with subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.exits", "--child", client, end],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(HUNG_SECONDS)
        except subprocess.TimeoutExpired:
            return "hung"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return "well" if code == 0 else signal.Signals(-code).name if code < 0 else f"status {code}"


def _begin_uploads(send: Send) -> None:
    """Four that are in the middle when this returns."""
    send(SMALL, 0)
    for number in range(4):
        threading.Thread(target=send, args=(LARGE, number), daemon=True).start()
    time.sleep(UNDER_WAY_SECONDS)


def _fork(work: Callable[[], None]) -> None:
    """A child that does the work and ends as every process does. This one then ends as the child did."""
    child = os.fork()
    if child == 0:
        work()
        sys.exit()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _made_of(url: str) -> list[str]:
    """What each client makes of an endpoint: the exception, and whether `except Exception` catches it."""
    from obstore import put
    from obstore.store import S3Store

    from uploadkit import ObjectInfo, S3Storage

    def with_obstore() -> None:
        put(S3Store("bench", endpoint=url, access_key_id="a", secret_access_key="b"), "key", b"bytes")

    def with_uploadkit() -> None:
        options = {"endpoint_url": url, "key": "a", "secret": "b"}
        S3Storage("s3://bench", options=options).open("key", ObjectInfo()).stage().commit()

    return [_raised(with_obstore), _raised(with_uploadkit)]


def _raised(work: Callable[[], None]) -> str:
    try:
        work()
    except Exception as error:
        return type(error).__name__
    except BaseException as error:
        return f"{type(error).__name__}, which is no Exception"
    return "nothing"


if __name__ == "__main__":
    main()
