"""`uploadkit worker`: does the jobs of an application's pipeline, or of the upload service's."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from ..processing.app import log_to_stderr
from .app import add_app, load_app, load_service
from .serve import load_settings
from .terminal import OK, TROUBLE, CommandFailed, Commands, argument, complain

if TYPE_CHECKING:
    from ..processing.metrics import Metrics
    from ..processing.pipeline import Pipeline

LAST_SECONDS: Final = 1.0
"""So long the process waits at its end for what was handed back and does not end."""

_log = logging.getLogger("uploadkit.processing")

_LEVELS = ("debug", "info", "warning", "error")


class Address(NamedTuple):
    """Where numbers are served."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def add(commands: Commands) -> None:
    """Adds the command with its arguments."""
    parser = commands.add_parser(
        "worker",
        help="do the jobs of a pipeline",
        description="Does the jobs of a pipeline, until SIGTERM or SIGINT (Ctrl-C) tells it to end.\n"
        "Then it begins no other job; those that are not done in time are handed back, to be begun elsewhere.\n"
        "A second signal ends it at once. Any number of workers, on any number of machines, share the work.",
        epilog="examples:\n"
        "  uploadkit worker --app app:pipeline\n"
        "  uploadkit worker --config service.toml                 one more for the upload service\n"
        "  uploadkit worker --app app:pipeline --queues images,documents --concurrency images=2\n"
        "  uploadkit worker --app app:pipeline --metrics 9100     http://127.0.0.1:9100/metrics, for Prometheus\n"
        "\n"
        "status: 0 it has ended as it was told, 2 the queue or the ledger cannot be used, or the command is wrong,\n"
        "128 and the number of the signal where a second one came.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument(
        "--queues", type=argument(_names), metavar="NAMES", help="work on these alone, with commas between them"
    )
    parser.add_argument(
        "--concurrency",
        type=argument(_numbers),
        metavar="NAME=N,...",
        help="so many jobs of a queue at a time; images=5,documents=3,videos=1,bulk=2, and 1 of others, is the default",
    )
    parser.add_argument(
        "--grace",
        type=argument(_seconds),
        default=20.0,
        metavar="SECONDS",
        help="so long jobs may take to be done after a signal; 20 is the default",
    )
    parser.add_argument("--heartbeat", metavar="FILE", help="touch this file every 10 seconds, for who watches over it")
    parser.add_argument(
        "--metrics",
        type=argument(_address),
        metavar="[HOST:]PORT",
        help="tell Prometheus of the work, at /metrics; to this machine alone, 127.0.0.1, unless a host is given",
    )
    parser.add_argument("--log-level", choices=_LEVELS, help="how much is logged; info is the default")
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace) -> int:
    """Returns when the worker has ended."""
    of_service = options.app is None
    log_to_stderr(options.log_level or "info")
    if of_service:
        options.app = _of_service(options)
    options.log_level = options.log_level or "info"
    pipeline = load_app(options.app)
    if pipeline.queue is None:
        raise CommandFailed(
            f"{options.app} has no queue, and does everything in the request: there is nothing for a worker"
        )
    from ..processing.worker import shares_of

    try:
        shares_of(pipeline, options.queues, options.concurrency)
    except ValueError as error:
        options.parser.error(str(error))
    with ExitStack() as stack:
        if options.metrics is not None:
            stack.enter_context(_served(pipeline, options.metrics))
        return asyncio.run(_work(pipeline, options, of_service=of_service))


def _of_service(options: argparse.Namespace) -> str:
    """The name of the upload service's pipeline, which logs as its settings say. Raises `CommandFailed` where it shares
    too little with the service."""
    settings = load_settings(options.config).settings
    try:
        from ..service.jobs import APP, lacking
        from ..service.lines import configure
    except ModuleNotFoundError as missing:  # an extra, which it names
        raise CommandFailed(str(missing)) from missing
    if (text := lacking(settings)) is not None:
        raise CommandFailed(text)
    load_service(options.config)
    options.log_level = options.log_level or settings.log_level
    configure(settings, level_name=options.log_level)
    return APP


@contextmanager
def _served(pipeline: Pipeline, address: Address) -> Iterator[None]:
    """Prometheus is answered there meanwhile."""
    metrics = _metrics_of(pipeline)
    try:
        server = metrics.serve(address.port, address.host)
    except OSError as error:
        raise CommandFailed(f"--metrics {address}: {error.strerror or error}") from error
    with server:
        _log.info("numbers for Prometheus are at http://%s/metrics", address._replace(port=server.port))
        yield


def _metrics_of(pipeline: Pipeline) -> Metrics:
    """Those that the application itself has the pipeline tell, where there are some. All queues that something goes to
    are watched, and not this worker's alone: then no queue is forgotten for which there is no worker."""
    from ..processing.worker import shares_of

    try:
        from ..processing.metrics import Metrics
    except ModuleNotFoundError as missing:  # an extra, which it names
        raise CommandFailed(f"--metrics: {missing}") from missing
    metrics = next((each for each in pipeline.observers if isinstance(each, Metrics)), None)
    if metrics is None:
        try:
            metrics = Metrics()
        except ValueError as error:
            raise CommandFailed(
                "--metrics: the application has made Metrics() that its pipeline does not know: "
                "write pipeline.observe(metrics)"
            ) from error
        pipeline.observe(metrics)
    with suppress(RuntimeError):  # the application has said what is watched
        if pipeline.queue is not None:
            metrics.watch(pipeline.queue, queues=shares_of(pipeline))
    with suppress(RuntimeError):
        metrics.watch_ledger(pipeline.ledger)
    return metrics


async def _work(pipeline: Pipeline, options: argparse.Namespace, *, of_service: bool) -> int:
    from ..errors import UploadError
    from ..processing.worker import work

    until = asyncio.Event()
    working = asyncio.ensure_future(
        work(
            pipeline,
            app=options.app,
            queues=options.queues,
            concurrency=options.concurrency,
            until=until,
            grace_seconds=options.grace,
            heartbeat=options.heartbeat,
            log_level=options.log_level,
        )
    )
    ended_by: list[int] = []

    def end(number: int) -> None:
        ended_by.append(number)
        if len(ended_by) == 1:
            _log.info("worker %d is told to end, and gives its jobs %g s", os.getpid(), options.grace)
            until.set()
        else:
            working.cancel()

    async with AsyncExitStack() as stack:
        if of_service:
            from ..service.jobs import upkeep

            await stack.enter_async_context(upkeep(pipeline))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
            stack.callback(asyncio.get_running_loop().remove_signal_handler, number)
        status = OK
        try:
            await working
        except asyncio.CancelledError:
            status = 128 + ended_by[-1]
        except UploadError as error:  # of the queue
            complain(f"{type(error).__name__}: {error}")
            status = TROUBLE
        except RuntimeError as error:  # of the ledger
            complain(str(error))
            status = TROUBLE
        except OSError:  # which `main` would take for one of the output
            traceback.print_exc()
            status = TROUBLE
    await _leave_behind(status)
    return status


async def _leave_behind(status: int) -> None:
    """A job that was handed back, and is in a thread that does not end, would keep this process."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=LAST_SECONDS)
    if left:
        complain("the process ends while something that was handed back is still being done")
        logging.shutdown()
        sys.stderr.flush()
        os._exit(status)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError(f"queues are names with commas between them, and not {text!r}")
    return names


def _numbers(text: str) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for item in text.split(","):
        name, _, number = item.partition("=")
        if not name.strip() or not number.strip().isdecimal() or int(number) < 1:
            raise ValueError(f"concurrency is as images=5,videos=1, and not {text!r}")
        numbers[name.strip()] = int(number)
    return numbers


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise ValueError(f"seconds are a number from 0, and not {text!r}")
    return seconds


def _address(text: str) -> Address:
    host, mark, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 65536) or (mark and not host):
        raise ValueError(f"numbers are served at a port, as 9100 or 0.0.0.0:9100, and not at {text!r}")
    return Address(host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port))
