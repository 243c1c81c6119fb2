"""The queue over bullmq beside bare bullmq: `python -m bench.queue`.

Both use one Valkey server, like that of a folder, in memory where the system has such a place, so that the machinery is
measured and not the disk. Jobs do nothing; five are done at a time. Runs of the two alternate, so that a ratio is that
of neighbours. Then what it costs to add a job, from blocking and from async code, beside a bare `Queue.add`. At the end
what it costs that an answer waits for the disk. The targets are in `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import bullmq
import redis.asyncio

from uploadkit.processing import valkey
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.queue import Job, Running
from uploadkit.storage import event_loop

from .report import judged, machine, rows, told, write
from .targets import Verdict

SPEED_TARGET, ADD_TARGET = 0.65, 3.0
AT_ONCE = 5
_prefixes = (f"bench{number}" for number in itertools.count())


def jobs(count: int) -> list[Job]:
    """As many that differ."""
    return [Job(upload=f"upload{number}", processor="nothing", digest="d1", queue="images") for number in range(count)]


def bare_jobs(count: int) -> list[dict[str, object]]:
    """The same for bare bullmq: what it is given is as large, and each has a priority, attempts and what is kept."""
    data = {"upload": "upload0", "processor": "nothing", "digest": "d1", "queue": "images", "more": "x" * 120}
    options = {"priority": 10, "attempts": 3, "removeOnComplete": {"count": 10}, "removeOnFail": {"count": 5}}
    return [{"name": "nothing", "data": data, "opts": options} for _ in range(count)]


@contextmanager
def server(folder: Path, **settings: str) -> Iterator[str]:
    """The URL of one in a folder of its own."""
    before = dict(valkey._SETTINGS)
    valkey._SETTINGS.update(settings)
    try:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            started = valkey.ValkeyServer(Path(own))
            event_loop.wait_for(started.ensure())
            yield started.url()
            started.end()
    finally:
        valkey._SETTINGS.update(before)


@dataclass
class Pair:
    """Microseconds a job, in runs that were neighbours."""

    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How much time ours takes, of that of the bare one."""
        return statistics.median([ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)])


def measured(bare: Callable[[str], float], ours: Callable[[str], float], url: str, *, rounds: int) -> Pair:
    """Both, in turns; who goes first changes. The first round warms up."""
    pair = Pair()
    for number in range(rounds + 1):
        for run, seconds in ((bare, pair.bare), (ours, pair.ours))[:: 1 if number % 2 else -1]:
            seconds.append(run(url) * 1e6)
    return Pair(pair.bare[1:], pair.ours[1:])


def bare_work(url: str, count: int) -> float:
    """Seconds a job."""

    async def main() -> float:
        options = {"connection": url, "prefix": next(_prefixes)}
        queue = bullmq.Queue("images", options)
        await queue.addBulk(bare_jobs(count))
        done = asyncio.Event()
        left = iter(range(count))

        async def process(job: object, token: str) -> None:
            if next(left) == count - 1:
                done.set()

        worker = bullmq.Worker("images", process, options | {"concurrency": AT_ONCE, "autorun": False})
        began = time.perf_counter()
        running = asyncio.create_task(worker.run())
        await done.wait()
        took = time.perf_counter() - began
        await worker.close()
        await running
        await queue.close()
        return took / count

    return asyncio.run(main())


def our_work(url: str, count: int) -> float:
    """Seconds a job."""
    queue = BullMQQueue(url, prefix=next(_prefixes))
    queue.add(*jobs(count))

    async def main() -> float:
        done, until = asyncio.Event(), asyncio.Event()
        left = iter(range(count))

        async def handler(running: Running) -> None:
            if next(left) == count - 1:
                done.set()

        began = time.perf_counter()
        working = asyncio.create_task(queue.work(handler, concurrency={"images": AT_ONCE}, until=until))
        await done.wait()
        took = time.perf_counter() - began
        until.set()
        await working
        return took / count

    took = asyncio.run(main())
    queue.close()
    return took


def bare_add(url: str, count: int) -> float:
    """Seconds a job, each added when the one before was."""

    async def main() -> float:
        client = redis.asyncio.Redis.from_url(url, decode_responses=True)
        queue = bullmq.Queue("images", {"connection": client, "prefix": next(_prefixes)})
        first, *others = bare_jobs(count + 1)
        await queue.add("nothing", first["data"], first["opts"])
        began = time.perf_counter()
        for job in others:
            await queue.add("nothing", job["data"], job["opts"])
        took = time.perf_counter() - began
        await client.aclose()
        return took / count

    return asyncio.run(main())


def our_add(url: str, count: int) -> float:
    """From blocking code, as a view of Flask has it."""
    queue = BullMQQueue(url, prefix=next(_prefixes))
    first, *others = jobs(count + 1)
    queue.add(first)
    began = time.perf_counter()
    for job in others:
        queue.add(job)
    took = time.perf_counter() - began
    queue.close()
    return took / count


def our_aadd(url: str, count: int) -> float:
    """From async code, as a route of FastAPI has it."""
    queue = BullMQQueue(url, prefix=next(_prefixes))
    first, *others = jobs(count + 1)
    queue.add(first)

    async def main() -> float:
        began = time.perf_counter()
        for job in others:
            await queue.aadd(job)
        return time.perf_counter() - began

    took = asyncio.run(main())
    queue.close()
    return took / count


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1000, metavar="N", help="in a run (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the jobs, three rounds")
    parser.add_argument("--disk", type=Path, default=Path.cwd(), metavar="DIR", help="a folder on the disk to try")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables between their marks in FILE")
    given = parser.parse_args(arguments)
    rounds, count = (3, given.jobs // 10) if given.quick else (given.rounds, given.jobs)
    print(machine())
    body, verdicts = [], []
    memory = Path("/dev/shm")
    with server(memory if memory.is_dir() else given.disk) as url:
        for title, bare, ours, target in (
            (f"a job is done, {AT_ONCE} at a time", bare_work, our_work, 1 / SPEED_TARGET),
            ("a job is added, blocking", bare_add, our_add, ADD_TARGET),
            ("a job is added, async", bare_add, our_aadd, ADD_TARGET),
        ):
            pair = measured(partial(bare, count=count), partial(ours, count=count), url, rounds=rounds)
            medians = statistics.median(pair.bare), statistics.median(pair.ours)
            body.append([title, *(f"{median:.0f}" for median in medians), f"{pair.ratio:.2f}"])
            print(f"  {title:36} {medians[0]:8.0f} {medians[1]:8.0f} us  {pair.ratio:.2f}", flush=True)
            promise = f"{title}: at most {target:.2f} times as long as with bare bullmq"
            verdicts.append(Verdict(promise=promise, seen=pair.ratio, met=pair.ratio <= target))
    disk = []
    for policy in ("always", "everysec"):
        with server(given.disk, appendfsync=policy) as url:
            added, done = our_add(url, count // 2), our_work(url, count)
        disk.append([f"`appendfsync {policy}`", f"{added * 1e6:.0f}", f"{done * 1e6:.0f}"])
        print(f"  {policy:36} {added * 1e6:8.0f} {done * 1e6:8.0f} us", flush=True)
    print(told(verdicts))
    if given.markdown is not None:
        table = rows(["microseconds a job", "bare bullmq", "uploadkit", "ratio"], body)
        flushing = rows(["microseconds a job, on the disk", "added, blocking", f"done, {AT_ONCE} at a time"], disk)
        write(given.markdown, "queue", f"{machine()}.\n\n{table}\n\n{judged(verdicts)}\n\n{flushing}")
    return 1 if given.check and not all(verdict.met for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
