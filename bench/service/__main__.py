"""The upload service under load, in one run each: `python -m bench.service`.

    large    1 GiB by one client: what the web process takes of a core, beside an application that only stores
    photos   64 clients send photos of 5 MB for a minute: errors, losses, memory, times, how far the queue lags
    slow     200 clients that send a byte a second are ended, while others are served

`docs/how-to/service-capacity.md` has what was found, and what follows from it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..end_to_end.processes import available, cpu_seconds, file_system
from ..report import judged, machine, rows, told, write
from ..targets import Verdict
from .clients import Found, Load, found
from .forms import MIB
from .memory import Held, spent, watched
from .running import Running, plain, service

CPU_TARGET = 1.5
MEMORY_TARGET = 1.10
"""What the tree holds in the last quarter, of what it holds in the second."""

DRIP_SECONDS = 25.0
"""The grace of ten seconds, and as much again for a machine that is busy."""

SETTLE_SECONDS = 1800


def percentile(values: Sequence[float], percent: float) -> float:
    """NaN where there are none."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1] if values else math.nan


# One client, 1 GiB


def large(folder: Path, *, size: int, rounds: int) -> tuple[dict[str, Any], list[Verdict]]:
    """CPU seconds of the web process, in rounds in which each is started once; who goes first changes."""
    kinds: dict[str, Callable[[], AbstractContextManager[Running]]] = {
        "stores, not durable": lambda: plain(folder, durable=False),
        "stores, durable": lambda: plain(folder, durable=True),
        "the service": lambda: service(folder),
    }
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for number in range(rounds):
        for name, start in list(kinds.items())[:: 1 if number % 2 else -1]:
            with start() as running:
                found(Load(port=running.port, photos=1, seconds=0.2, size=10**5, asks=False))  # it has imported all
                before = cpu_seconds([running.web])
                sent = found(Load(port=running.port, film=size))
                cpu = cpu_seconds([running.web]) - before
            [(_, seconds, status)] = sent.posts
            if status not in (200, 202) or sent.errors:
                raise RuntimeError(f"{name} has answered {status}: {sent.errors}")
            p99 = percentile(sent.asked, 99)
            seen[name].append({"cpu": cpu, "seconds": seconds, "asked_p50": percentile(sent.asked, 50), "p99": p99})
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in seen.items()
    }

    def ratio(over: str, under: str) -> float:
        pairs = zip(seen[over], seen[under], strict=True)
        return statistics.median(one["cpu"] / other["cpu"] for one, other in pairs)

    result: dict[str, Any] = {
        "size": size,
        "medians": medians,
        "ratio": ratio("the service", "stores, durable"),
        "ratio_not_durable": ratio("the service", "stores, not durable"),
        "durable_costs": ratio("stores, durable", "stores, not durable"),
    }
    promise = f"{size // MIB} MiB by one client: at most {CPU_TARGET} times the CPU of an application that only stores"
    return result, [Verdict(promise=promise, seen=result["ratio"], met=result["ratio"] <= CPU_TARGET)]


# Many clients


def photos(
    folder: Path, *, clients: int, seconds: float, size: int, workers: int
) -> tuple[dict[str, Any], list[Verdict]]:
    """The load, and then the wait until all that was taken is settled."""
    with service(folder, workers=workers) as running:
        web, jobs = [running.web], list(running.workers)
        found(Load(port=running.port, photos=2, seconds=1, size=size, asks=False))
        cpu = spent(running.web), sum(map(spent, jobs))
        with watched([*web, *jobs]) as tree, watched(web, with_children=False) as alone:
            sent = found(Load(port=running.port, photos=clients, seconds=seconds, size=size))
        meanwhile = spent(running.web) - cpu[0], sum(map(spent, jobs)) - cpu[1]
        behind = _waiting(running)
        began = time.monotonic()
        _settled(running)
        drained = time.monotonic() - began
        jobs_cpu = sum(map(spent, jobs)) - cpu[1]
        lost = [upload for upload in sent.uploads if running.get(f"/uploads/{upload}")[1].get("status") != "completed"]
    statuses = Counter(status for _, _, status in sent.posts)
    took = [each for _, each, status in sent.posts if status == 202]
    result: dict[str, Any] = {
        "clients": clients,
        "size": size,
        "seconds": sent.seconds,
        "uploads": len(sent.uploads),
        "uploads_a_second": len(sent.uploads) / sent.seconds,
        "megabytes_a_second": len(sent.uploads) * size / sent.seconds / 1e6,
        "statuses": dict(statuses),
        "errors": sent.errors[:10],
        "lost": len(lost),
        "post_p50": percentile(took, 50),
        "post_p99": percentile(took, 99),
        "asked_p50": percentile(sent.asked, 50),
        "asked_p99": percentile(sent.asked, 99),
        "web_cores": meanwhile[0] / sent.seconds,
        "worker_cores": meanwhile[1] / sent.seconds,
        "web_cpu_an_upload": meanwhile[0] / max(1, len(sent.uploads)),
        "worker_cpu_an_upload": jobs_cpu / max(1, len(sent.uploads)),
        "behind_at_the_end": behind,
        "drained_after": drained,
        "completed_a_second": behind / drained if drained else math.nan,
        "tree": _growth(tree, sent.seconds),
        "web": _growth(alone, sent.seconds),
    }
    errors = len(sent.errors) + sum(count for status, count in statuses.items() if status != 202)
    verdicts = [
        Verdict(promise=f"{clients} clients: no errors", seen=errors, met=errors == 0),
        Verdict(promise="every upload that was taken is completed: none lost", seen=len(lost), met=not lost),
        *(
            Verdict(
                promise=f"memory is flat, of {what}: at most {MEMORY_TARGET} times in the end",
                seen=result[what]["ratio"],
                met=result[what]["ratio"] <= MEMORY_TARGET,
            )
            for what in ("tree", "web")
        ),
    ]
    return result, verdicts


def _growth(held: Held, seconds: float) -> dict[str, float]:
    early, late = held.between(seconds * 0.25, seconds * 0.5), held.between(seconds * 0.75, seconds)
    slope = held.slope(seconds * 0.25, seconds)
    return {"early": early, "late": late, "most": held.most, "ratio": late / early, "bytes_a_minute": slope * 60}


def _waiting(running: Running) -> int:
    """Uploads that are not settled."""
    count, path = 0, "/uploads?status=staged&status=processing&limit=100"
    while path:
        page = running.get(path)[1]
        count += len(page["uploads"])
        path = page["next"]
    return count


def _settled(running: Running) -> None:
    end = time.monotonic() + SETTLE_SECONDS
    while running.get("/uploads?status=staged&status=processing&limit=1")[1]["uploads"]:
        if time.monotonic() > end:
            return
        time.sleep(0.5)


# Clients that drip


def slow(folder: Path, *, dripping: int, clients: int, seconds: float) -> tuple[dict[str, Any], list[Verdict]]:
    """The same load without them, and then with them."""
    with service(folder) as running:
        found(Load(port=running.port, photos=2, seconds=1, size=10**5, asks=False))
        runs = [
            found(Load(port=running.port, photos=clients, seconds=seconds, size=10**5, dripping=number))
            for number in (0, dripping)
        ]
    result: dict[str, Any] = {"dripping": dripping, "clients": clients, **_ended(runs[1])}
    for name, run in zip(("without", "with"), runs, strict=True):
        took = [each for _, each, _ in run.posts]
        result[name] = {
            "uploads_a_second": len(run.uploads) / seconds,
            "errors": len(run.errors) + sum(status != 202 for _, _, status in run.posts),
            "post_p50": percentile(took, 50),
            "post_p99": percentile(took, 99),
            "asked_p99": percentile(run.asked, 99),
        }
    errors = result["with"]["errors"]
    verdicts = [
        Verdict(
            promise=f"all of {dripping} slow clients are told 408", seen=result["told"], met=result["told"] == dripping
        ),
        Verdict(
            promise=f"the last of them after at most {DRIP_SECONDS:g} s",
            seen=result["last_after"],
            met=result["last_after"] <= DRIP_SECONDS,
        ),
        Verdict(promise="others are served meanwhile: no errors", seen=errors, met=errors == 0),
    ]
    return result, verdicts


def _ended(run: Found) -> dict[str, Any]:
    statuses = Counter(status for _, status in run.drips)
    after = [seconds for seconds, _ in run.drips]
    return {
        "told": statuses[408],
        "drip_statuses": dict(statuses),
        "first_after": min(after, default=math.nan),
        "last_after": max(after, default=math.nan),
    }


# The report


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for, 2 where it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m bench.service", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--scenario", action="append", choices=("large", "photos", "slow"), help="only this; repeatable"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the bytes, the clients and the time")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of `large` (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes for jobs (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), metavar="DIR", help="on the disk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures into FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into FILE, between their marks")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    given = parser.parse_args(arguments)
    if not available():
        print("CPU time and memory are read from /proc, which only Linux has", file=sys.stderr)
        return 2
    part = 0.1 if given.quick else 1.0
    scenarios: dict[str, Callable[[Path], tuple[dict[str, Any], list[Verdict]]]] = {
        "large": lambda at: large(at, size=int(1024 * part) * MIB, rounds=1 if given.quick else given.rounds),
        "photos": lambda at: photos(
            at,
            clients=max(4, int(64 * part)),
            seconds=60 * part,
            size=int(5e6 * (0.2 if given.quick else 1)),
            workers=given.workers,
        ),
        "slow": lambda at: slow(at, dripping=int(200 * part), clients=4, seconds=15),
    }
    print(f"{machine()}; files on {file_system(given.folder)}")
    results: dict[str, Any] = {}
    verdicts: list[Verdict] = []
    for name in given.scenario or scenarios:
        with tempfile.TemporaryDirectory(dir=given.folder, prefix="bench-service-") as folder:
            results[name], found_here = scenarios[name](Path(folder))
        verdicts += found_here
        print(f"\n{name}\n{json.dumps(results[name], indent=2)}", flush=True)
    print(f"\n{told(verdicts)}")
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=2), encoding="utf-8")
    if given.markdown is not None:
        write(given.markdown, "service", f"{machine()}.\n\n{markdown(results)}\n\n{judged(verdicts)}")
    return 1 if given.check and not all(verdict.met for verdict in verdicts) else 0


def markdown(results: dict[str, Any]) -> str:
    """A table for each scenario that was run."""
    tables = []
    if (found := results.get("large")) is not None:
        body = [
            [name, f"{each['cpu']:.2f}", f"{each['seconds']:.2f}", f"{each['p99'] * 1000:.1f}"]
            for name, each in found["medians"].items()
        ]
        head = [f"{found['size'] // MIB} MiB by one client", "CPU, s", "time, s", "another route, p99, ms"]
        tables.append(rows(head, body))
    if (found := results.get("photos")) is not None:
        body = [
            ["uploads a second", f"{found['uploads_a_second']:.1f}"],
            ["MB a second", f"{found['megabytes_a_second']:.0f}"],
            ["`POST /uploads`, p50 and p99, s", f"{found['post_p50']:.2f}, {found['post_p99']:.2f}"],
            ["another route, p50 and p99, ms", f"{found['asked_p50'] * 1e3:.1f}, {found['asked_p99'] * 1e3:.0f}"],
            ["cores of the web process, and of the worker", f"{found['web_cores']:.2f}, {found['worker_cores']:.2f}"],
            ["CPU of the web process for an upload, ms", f"{found['web_cpu_an_upload'] * 1000:.1f}"],
            ["CPU of the worker for an upload, ms", f"{found['worker_cpu_an_upload'] * 1000:.0f}"],
            ["uploads that wait for the worker at the end", f"{found['behind_at_the_end']}"],
            ["which it completes a second", f"{found['completed_a_second']:.1f}"],
            ["memory of the web process, early and late, MB", _early_and_late(found["web"])],
            ["memory of all, early and late, MB", _early_and_late(found["tree"])],
        ]
        title = f"{found['clients']} clients, photos of {found['size'] / 1e6:g} MB, {found['seconds']:.0f} s"
        tables.append(rows([title, ""], body))
    if (found := results.get("slow")) is not None:
        body = [
            [
                name,
                f"{found[name]['uploads_a_second']:.0f}",
                f"{found[name]['post_p50'] * 1000:.0f}, {found[name]['post_p99'] * 1000:.0f}",
                f"{found[name]['asked_p99'] * 1000:.0f}",
            ]
            for name in ("without", "with")
        ]
        head = [f"{found['clients']} clients, 100 KB each, {found['dripping']} slow ones beside"]
        tables.append(rows([*head, "uploads a second", "p50, p99, ms", "another route, p99, ms"], body))
    return "\n\n".join(tables)


def _early_and_late(held: dict[str, float]) -> str:
    return f"{held['early'] / 1e6:.0f}, {held['late'] / 1e6:.0f}"


if __name__ == "__main__":
    sys.exit(main())
