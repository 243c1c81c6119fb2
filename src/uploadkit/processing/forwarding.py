"""Has a ledger's outbox emptied in the background, by a thread that ends when nothing is left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..errors import LedgerFailed
from ..storage import event_loop
from ..storage.forking import in_child

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds between two looks while something could not be delivered."""

_log = logging.getLogger("uploadkit.processing")


class Forwarder:
    """`forward` blocks, and returns how many facts were delivered; `untold` how many are left. Both may raise
    `LedgerFailed`. Nothing runs before the first `wake`, and when nothing is left.

    It is a thread that begins with the `wake`: at the end of the process none can be begun any more, and what was
    accepted last would not be told. While one that was stopped comes to its end, another one may be at work already:
    `forward` has to bear that, as a ledger's does.
    """

    def __init__(self, forward: Callable[[], int], untold: Callable[[], int]) -> None:
        self._forward = forward
        self._untold = untold
        self._begin()
        in_child(self, Forwarder._begin)

    @property
    def is_running(self) -> bool:
        """In this process."""
        return bool(self._runs)

    def wake(self) -> None:
        """There is something to tell."""
        with self._changed:
            for run in self._runs:
                if not run.ends:
                    run.is_asked = True
                    self._changed.notify_all()
                    return
            run = _Run(self._tell)
            try:
                run.start()  # before anybody else knows of it, and could wait for it
            except RuntimeError:  # the process ends already
                run.ends = True
            else:
                self._runs.add(run)
                event_loop.at_exit(self.stop)
                return
        self._is_emptied(run)

    def stop(self) -> None:
        """Returns when all has ended that ran in this process; what is being told is told. The next `wake` begins anew,
        also one that comes meanwhile: that is not waited for."""
        with self._changed:
            runs = tuple(self._runs)
            for run in runs:
                run.ends = True
            self._changed.notify_all()
        for run in runs:
            event_loop.wait_for_thread(run)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._runs: set[_Run] = set()  # at most one of them does not end yet

    def _tell(self, run: _Run) -> None:
        wait = FIRST_WAIT
        try:
            while self._goes_on(run):
                wait = FIRST_WAIT if self._is_emptied(run) else self._waited(run, wait)
        finally:
            with self._changed:
                self._runs.discard(run)
                event_loop.not_at_exit(self.stop)

    def _goes_on(self, run: _Run) -> bool:
        with self._changed:
            asked, run.is_asked = run.is_asked, False
            run.ends = run.ends or not asked
            return asked

    def _waited(self, run: _Run, seconds: float) -> float:
        """How long to wait the next time."""
        with self._changed:
            self._changed.wait_for(lambda: run.is_asked or run.ends, seconds)
            run.is_asked = run.is_asked or not run.ends
        return min(LONGEST_WAIT, 2 * seconds)

    def _is_emptied(self, run: _Run) -> bool:
        try:
            while self._forward() and not run.ends:
                pass
            return self._untold() == 0
        except LedgerFailed:
            _log.warning("what is to be told could not be read from the ledger, and is tried again", exc_info=True)
            return False
        except Exception:
            _log.exception("what is to be told could not be told, and is tried again")
            return False


class _Run(threading.Thread):
    """From a `wake` on until nothing is left, or until it is stopped. Once it `ends` it can be woken no more."""

    def __init__(self, tell: Callable[[_Run], None]) -> None:
        super().__init__(target=tell, args=[self], name=f"{event_loop.THREAD_NAME}-forward", daemon=True)
        self.is_asked = True
        self.ends = False
