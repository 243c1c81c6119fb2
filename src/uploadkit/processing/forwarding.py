"""Has a ledger's outbox emptied in the background, by a thread that ends when nothing is left."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from ..errors import LedgerFailed
from ..storage import event_loop

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds between two looks while something could not be delivered."""

_log = logging.getLogger("uploadkit.processing")


class Forwarder:
    """`forward` blocks, and returns how many facts were delivered; `untold` how many are left. Both may raise
    `LedgerFailed`. Nothing runs before the first `wake`, and when nothing is left.

    It is a thread that begins with the `wake`: at the end of the process none can be begun any more, and what was
    accepted last would not be told.
    """

    def __init__(self, forward: Callable[[], int], untold: Callable[[], int]) -> None:
        self._forward = forward
        self._untold = untold
        self._changed = threading.Condition()
        self._process: int | None = None  # in which it runs: a fork's copy does not
        self._thread: threading.Thread | None = None
        self._asked = False
        self._ends = False

    @property
    def is_running(self) -> bool:
        """In this process."""
        return self._process == os.getpid()

    def wake(self) -> None:
        """There is something to tell."""
        with self._changed:
            self._asked = True
            self._changed.notify()
            if self.is_running:
                return
            self._process, self._ends = os.getpid(), False
            self._thread = threading.Thread(target=self._run, name=f"{event_loop.THREAD_NAME}-forward", daemon=True)
        event_loop.at_exit(self.stop)
        try:
            self._thread.start()
        except RuntimeError:  # the process ends already
            self._ends = True
            self._run()

    def stop(self) -> None:
        """Returns when nothing runs in this process; what is being told is told. The next `wake` begins anew."""
        with self._changed:
            self._ends = True
            self._changed.notify()
            thread = self._thread if self.is_running else None
        if thread is not None:
            event_loop.wait_for_thread(thread)

    def _run(self) -> None:
        wait = FIRST_WAIT
        try:
            while self._goes_on():
                wait = FIRST_WAIT if self._is_emptied() else self._waited(wait)
        except BaseException:
            self._process = None
            raise
        finally:
            event_loop.not_at_exit(self.stop)

    def _goes_on(self) -> bool:
        with self._changed:
            if not self._asked:
                self._process = None
            asked, self._asked = self._asked, False
            return asked

    def _waited(self, seconds: float) -> float:
        """How long to wait the next time."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._ends, seconds)
            self._asked = not self._ends
        return min(LONGEST_WAIT, 2 * seconds)

    def _is_emptied(self) -> bool:
        try:
            while self._forward() and not self._ends:
                pass
            return self._untold() == 0
        except LedgerFailed:
            _log.warning("what is to be told could not be read from the ledger, and is tried again", exc_info=True)
            return False
        except Exception:
            _log.exception("what is to be told could not be told, and is tried again")
            return False
