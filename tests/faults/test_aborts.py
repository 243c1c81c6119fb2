"""Clients that go away in every phase of an upload, ten thousand of them, and what a server has kept of it: nothing."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from statistics import median

import pytest
from tests.adapters.servers import KINDS, Server, eventually, running
from tests.soak import scaled

from uploadkit.storage.threads import MAX_THREADS
from uploadkit.testing import Client, FormBuilder, request

LARGE, SMALL = os.urandom(300_000), b"the second file"
"""The first is more than any server reads at once, so that it is open in the storage when its client goes away."""

REQUEST = request(
    "/any",
    FormBuilder(boundary="b").text("t", "x").file("f", LARGE, filename="1.bin").file("f", SMALL, filename="2.bin"),
)

PHASES = {
    "inside the head of the request": 30,
    "before the body": REQUEST.index(b"\r\n\r\n") + 4,
    "in the header of a part": REQUEST.index(b'filename="1.bin"') + 5,
    "in the head of a file": REQUEST.index(LARGE) + 100,
    "in the middle of a file": REQUEST.index(LARGE) + 280_000,
    "between the parts": REQUEST.index(b"\r\n--b\r\n", REQUEST.index(LARGE) + len(LARGE)) + 7,
    "before the last boundary": REQUEST.rindex(b"\r\n--b--"),
    "before the answer": len(REQUEST),
}
"""How much is sent of the request."""

HELD_BACK = REQUEST.rindex(b"\r\n--b--")
"""From here on a request is sent when the others of its batch have been read."""

OPEN = ("in the middle of a file", "between the parts", "before the last boundary", "before the answer")
"""The phases in which the first file is open in the storage by then, and only that one."""

ENDS: tuple[Callable[[Client], None], ...] = (Client.end, Client.close, Client.reset)

ABORTS = [(phase, end) for phase in PHASES for end in ENDS]
"""One batch: all of them are under way at once, and none is aborted before the server has read what was sent."""

OPTIONS = {"asgi": [], "wsgi": ["--threads", str(len(ABORTS))]}
"""No more threads than a batch needs: each has to be used in every way before memory stops to grow."""

POOLS = {"asgi": 1 + MAX_THREADS, "wsgi": 2 + len(ABORTS)}
"""Threads that a server may have: the main one of each process, and those that wait for their next call."""

ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""What is measured is what is held, and not where glibc has put it."""

WARM_UP, MEASURED = 500, 2_000


@pytest.mark.soak
@pytest.mark.parametrize("garbage", ["collected", "kept"])
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_aborted_uploads_leave_nothing(
    kind: str, garbage: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Descriptors, temporary files and threads are as before, and memory has stopped to grow: under 1 kB a request
    over the last 2000, also where nothing is ever collected."""
    with running(KINDS[kind], tmp_path, *OPTIONS[kind], UPLOADKIT_GARBAGE=garbage, **ONE_HEAP) as server:
        server.warm_up()
        [*_] = aborted(server, WARM_UP)
        sizes = dict(aborted(server, scaled(10_000, at_least=2 * MEASURED)))
        slope = trend({number: size for number, size in sizes.items() if number > max(sizes) - MEASURED})
        figure = f"{max(sizes)} uploads aborted, in the last {MEASURED} memory grew by {slope:.0f} bytes each"
        record_property("figure", f"{kind}, garbage {garbage}: {figure}")
        assert slope < 1000
        assert server.threads() <= POOLS[kind]
        assert not server.complaints()


def trend(sizes: dict[int, int]) -> float:
    """The median of the slopes between all pairs (Theil and Sen): one batch that needed more memory at once than any
    before it moves a straight line through the last 2000 by a kilobyte a request, and this not at all."""
    return median((size - before) / (number - one) for (one, before), (number, size) in combinations(sizes.items(), 2))


def aborted(server: Server, count: int) -> Iterator[tuple[int, int]]:
    """After each batch how many uploads were aborted, and how much memory the server has; nothing else is left."""
    for number in range(len(ABORTS), count + len(ABORTS), len(ABORTS)):
        abort(server)
        yield number, server.resident_size()


def abort(server: Server) -> None:
    """One batch."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.port)) for _ in ABORTS]
        for client, (phase, _) in zip(clients, ABORTS, strict=True):
            client.send(REQUEST[: min(PHASES[phase], HELD_BACK)])
        begun = sum(phase in OPEN for phase, _ in ABORTS)
        eventually(lambda: len({*server.open_files()}) == begun)  # one that is staged just now is open twice
        assert len({*server.open_files()}) == begun
        for client, (phase, end) in zip(clients, ABORTS, strict=True):
            client.send(REQUEST[HELD_BACK : PHASES[phase]])
            end(client)
        server.settle()
    expect_whole_forms(server)
    server.clear()


def expect_whole_forms(server: Server) -> None:
    """A form that was sent whole may be stored, though nobody waits for the answer; nothing else may."""
    stored = Counter(server.files().values())
    one, other = (hashlib.sha256(data).hexdigest() for data in (LARGE, SMALL))
    whole = sum(phase == "before the answer" for phase, _ in ABORTS)
    assert stored == Counter({one: stored[one], other: stored[one]})
    assert stored[one] <= whole
