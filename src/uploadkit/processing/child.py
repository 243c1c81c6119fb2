"""The other end of `children`: what runs in the child process. It imports the application, then makes one attempt
after another, in its main thread.

A thread of its own reads the channel: so it is known at once, whatever a user's function is at, that a job was taken
back, and that the worker is gone. Then this process ends, with all that was begun in it.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, Final

from .. import errors
from ..content.child import address_space, limit
from ..content.sandbox import LENGTH, MESSAGE_SIZE
from ..errors import UploadError, clean, text_of
from ..events.facts import as_json
from ..records.ledger import Claim
from .app import load_app, log_to_stderr
from .processor import Made, Quarantined
from .queue import GivenUp, Later

TEXT_LENGTH: Final = 2_000
"""Characters of what an error says, and of a note."""

TRACE_LENGTH: Final = 20_000
"""Characters of a traceback: the last ones, where the error is."""

EXIT_SECONDS: Final = 2.0
"""So long what the application does at its end may take."""


def serve(settings: Mapping[str, Any]) -> None:
    """Makes the attempts that come through the channel, until it closes."""
    sys.argv[1:] = []  # an application may read it
    _stand_apart()
    parent = _Parent(settings["channel"])
    if settings["log_level"] is not None:
        log_to_stderr(settings["log_level"])
    with suppress(Exception):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # into a log, beside stderr
    try:
        pipeline = load_app(settings["app"])
    except BaseException as error:
        parent.send({"failed": _described(error)})
        return
    grown_from = address_space()
    parent.send({"ready": True})
    while (call := parent.next_call()) is not None:
        answer = _answered(pipeline, call, parent, grown_from)
        if os.getpid() != parent.process:  # a fork that a function made, and that came out of it like its parent
            os._exit(1)
        parent.answer(answer | {"grown": address_space() - grown_from})


class _Parent:
    """The worker, as its child sees it."""

    def __init__(self, channel: int) -> None:
        self.process: Final = os.getpid()
        self._channel = socket.socket(fileno=channel)
        self._channel.set_inheritable(False)
        self._reader = self._channel.makefile("rb")
        self._sending = threading.Lock()
        self._calls: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._is_idle = False
        self._cancelled = 0  # the number of the call
        os.register_at_fork(after_in_child=self._forget)
        threading.Thread(target=self._listen, name="uploadkit-parent", daemon=True).start()

    def next_call(self) -> dict[str, Any] | None:
        """None where the worker needs this process no longer."""
        self._is_idle = True
        call = self._calls.get()
        self._is_idle = False
        return call

    def has_cancelled(self, number: int) -> bool:
        return self._cancelled >= number

    def answer(self, message: Mapping[str, Any]) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        self.send(message)

    def send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode()
        try:
            with self._sending:
                self._channel.sendall(LENGTH.pack(len(data)) + data)
        except OSError as error:  # the worker is gone, or a function has closed what is not its own
            if os.getpid() == self.process:
                _tell(f"uploadkit: the channel to the worker is closed: {error}\n")
                os._exit(1)

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            while (message := self._received()) is not None:
                if "cancel" in message:
                    self._cancelled = message["cancel"]
                else:
                    self._calls.put(message)
        if self._is_idle:
            self._calls.put(None)
            threading.Event().wait(EXIT_SECONDS)
        _end_group()

    def _received(self) -> dict[str, Any] | None:
        head = self._reader.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        message: dict[str, Any] = json.loads(self._reader.read(*LENGTH.unpack(head)))
        return message

    def _forget(self) -> None:
        """In a fork: the worker waits for this process's parent, and sees its end by the channel."""
        with suppress(OSError):
            os.close(self._channel.detach())


def _answered(pipeline: Any, call: Mapping[str, Any], parent: _Parent, grown_from: int) -> dict[str, Any]:
    try:
        with _limited(call["memory"], grown_from):
            return {"done": _attempted(pipeline, call, parent)}
    except MemoryError:
        return {"ended": "memory"}
    except BaseException as error:  # of a user's function: also SystemExit, and KeyboardInterrupt
        return _described(error)


def _attempted(pipeline: Any, call: Mapping[str, Any], parent: _Parent) -> dict[str, Any]:
    def tell(percent: int, note: str | None = None) -> None:
        parent.send({"progress": [call["call"], int(percent), None if note is None else clean(note)[:TEXT_LENGTH]]})

    number = call["call"]
    claim = Claim(**call["claim"])
    record = pipeline.ledger.get(claim.upload)
    rule = pipeline.rules.step(record, claim.processor, claim.digest)
    if rule is None:
        raise LookupError(f"the application has no step {claim.processor!r} any more that makes what was to be made")
    job = pipeline.context(
        record, claim, attempt=call["attempt"], tell=tell, is_cancelled=partial(parent.has_cancelled, number)
    )
    intend = job._intend

    def announce(made: Sequence[Made]) -> None:
        """To the worker first, which removes them where this process does not come to its end."""
        parent.send({"made": [number, _places(job.objects), _places(job.shared)]})
        intend(made)

    job._intend = announce
    rule.processor.process(job)
    done = {
        "results": job.results,
        "objects": _places(job.objects),
        "shared": _places(job.shared),
        "facts": [as_json(fact) for fact in job.facts],
    }
    try:
        size = len(json.dumps(done, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"what is added to the results is what JSON has: {error}") from None
    if size > MESSAGE_SIZE // 2:
        raise ValueError(f"the results are {size} bytes of JSON, and {MESSAGE_SIZE // 2} are allowed")
    return done


def _places(made: Sequence[Made]) -> list[list[str]]:
    return [[storage.name, key] for storage, key in made]


@contextmanager
def _limited(memory: int | None, grown_from: int) -> Iterator[None]:
    """The soft limit alone: the answer is made without it."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    if memory is not None:
        limit(resource.RLIMIT_AS, grown_from + memory)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _described(error: BaseException) -> dict[str, Any]:
    """So that the worker can raise it, or what says the same."""
    match error:
        case Quarantined():
            return {"quarantined": {"signature": error.signature, "facts": vars(error)}}
        case Later():
            return {"later": error.seconds}
        case GivenUp():
            return {"given_up": _text_of(error)}
        case UploadError():
            known = [kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind]
            facts = {"code": error.code, "status": error.status} | vars(error)
            kept = {name: value for name, value in facts.items() if _is_json(value)}
            return {"error": {"type": known[0], "text": _text_of(error), "facts": kept}}
    trace = "".join(traceback.format_exception(error))
    return {"raised": {"type": type(error).__name__, "text": _text_of(error), "trace": clean(trace)[-TRACE_LENGTH:]}}


def _text_of(error: BaseException) -> str:
    return text_of(error)[:TEXT_LENGTH]


def _is_json(value: object) -> bool:
    try:
        return len(json.dumps(value)) < TRACE_LENGTH
    except (TypeError, ValueError, RecursionError):
        return False


# The process


def _stand_apart() -> None:
    """What ends the worker is sent to its whole group, or to every process of its service: it is the worker that ends
    this one. A handler, since what is ignored would be ignored in every program that a function runs, too."""
    ending = {signal.SIGTERM, signal.SIGINT}
    forking = threading.local()

    def pass_over(number: int, frame: FrameType | None) -> None:
        pass

    # A fork hears them. One that comes before it does so waits: Python forgets, in a fork, what came until then.
    def before_fork() -> None:
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ending)

    def after_fork() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)

    def in_fork() -> None:
        for number in ending:
            if signal.getsignal(number) is pass_over:
                signal.signal(number, signal.SIG_DFL)
        after_fork()

    for number in ending:
        signal.signal(number, pass_over)
    os.register_at_fork(before=before_fork, after_in_parent=after_fork, after_in_child=in_fork)
    atexit.register(_end_with_group, os.getpid())  # the first one, and so the last to be called


def _end_with_group(process: int) -> None:
    if os.getpid() == process:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        _end_group()


def _end_group() -> None:
    """This process, and what was begun in it."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _tell(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode())
