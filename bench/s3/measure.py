"""How a run goes: a new S3, a new server or client, small objects first, the load, and a look at what S3 has.

In a round every contestant runs once: around the ring, from another one and in the other direction each time. So
those that are compared run one after the other, and ratios are those of runs in the same round. Whoever has not
stored exactly what was sent, or has left an upload open, has failed and has no speed.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..end_to_end.forms import Load
from ..end_to_end.measure import Cell, FailedError, Run, timed, warm_page_cache
from ..end_to_end.processes import cpu_seconds, family
from ..end_to_end.sender import Sender, Sent, sending, sent
from ..end_to_end.servers import NotServedError, serving
from .contestants import Contestant
from .scenarios import FIRST, Scenario
from .stores import BUCKET, NoStoreError, Store, standing
from .writer import writing

_STARTS = 3
"""So often an S3 is begun that does not answer: on a busy machine somebody else may take one of its ports."""


def measured(
    scenario: Scenario, contestants: Sequence[Contestant], folder: Path, memory: Path, *, rounds: int
) -> dict[str, Cell]:
    """Runs every contestant once a round. S3 has its files below `memory`, servers theirs below `folder`."""
    cells = {contestant.name: Cell() for contestant in contestants}
    with sending(scenario.load) as sender:
        for number in range(rounds):
            for contestant in _around(contestants, number):
                cell = cells[contestant.name]
                if cell.failure is None:
                    _enter(cell, scenario, contestant, folder, memory, sender)
    return cells


def _around(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    first = number % len(contestants)
    ring = [*contestants[first:], *contestants[:first]]
    return ring[::-1] if number % 2 else ring


def _enter(cell: Cell, scenario: Scenario, contestant: Contestant, folder: Path, memory: Path, sender: Sender) -> None:
    for left in reversed(range(_STARTS)):
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as own,
            tempfile.TemporaryDirectory(dir=memory, prefix="bench-") as of_store,
        ):
            try:
                cell.runs.append(_run(scenario, contestant, Path(own), Path(of_store), sender))
            except (FailedError, NotServedError, RuntimeError) as error:
                cell.failure = str(error)
            except NoStoreError as error:
                if left:
                    continue
                cell.failure = str(error)
            return


def _run(scenario: Scenario, contestant: Contestant, folder: Path, of_store: Path, sender: Sender) -> Run:
    load = scenario.load
    with standing(scenario.store, of_store) as store:
        with _ready(contestant, load, store.environment, folder, sender) as (pid, send):
            _clear(store)
            warm_page_cache(folder, load.size_of_all)
            warm_page_cache(of_store, load.size_of_all)
            behind = family(store.pid)
            before = cpu_seconds(behind)
            run, outcome = timed(pid, send)
            behind_cpu = cpu_seconds(behind) - before
            if outcome.failure is not None:
                raise FailedError(f"failed: {outcome.failure}; its log ends with: {_last_words(folder)!r}")
        _expect_stored(store, load, keeps_bytes=scenario.store.keeps_bytes)
    return replace(run, behind=behind_cpu)


@contextmanager
def _ready(
    contestant: Contestant, load: Load, environment: Mapping[str, str], folder: Path, sender: Sender
) -> Iterator[tuple[int, Callable[[], Sent]]]:
    """Its process, which has stored the first small objects, and what has it store the load."""
    server = contestant.server
    if server is None:
        with writing(contestant.application, load, FIRST, environment, folder / "log") as writer:
            yield writer.pid, writer.send
    else:
        with serving(lambda port: server.command(contestant.application, port), environment, folder) as served:
            requests = [list(FIRST.request(number)) for number in range(FIRST.requests)]
            first = sent(requests, FIRST.connections, served.port)
            if first.failure is not None:
                raise FailedError(f"failed: {first.failure}; its log ends with: {served.last_words()!r}")
            yield served.pid, lambda: sender.send(served.port)


def _last_words(folder: Path) -> str:
    lines = (folder / "log").read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _clear(store: Store) -> None:
    for key in _sizes(store):
        store.client.delete_object(Bucket=BUCKET, Key=key)


def _expect_stored(store: Store, load: Load, *, keeps_bytes: bool) -> None:
    """Its bytes, or their number where no more is known; and no upload that is still open."""
    sizes = _sizes(store)
    if sorted(sizes.values()) != [load.size] * load.requests:
        raise FailedError(f"wrong: objects of {sorted(sizes.values())} bytes")
    if keeps_bytes and sorted(_digest(store, key) for key in sizes) != load.digests(bodies=False):
        raise FailedError("wrong: what is stored is not what was sent")
    left = len(store.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))
    if left:
        raise FailedError(f"wrong: {left} uploads are still open")


def _sizes(store: Store) -> dict[str, int]:
    listed = store.client.list_objects_v2(Bucket=BUCKET)
    return {found["Key"]: found["Size"] for found in listed.get("Contents", [])}


def _digest(store: Store, key: str) -> str:
    digest = hashlib.sha256()
    for piece in store.client.get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(2**20):
        digest.update(piece)
    return digest.hexdigest()
