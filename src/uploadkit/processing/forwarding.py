"""Has a ledger's outbox emptied in the background, by the one event loop that the library has in a process."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable

from ..errors import LedgerFailed
from ..storage import event_loop
from ..storage.threads import in_own_thread, in_thread

LONGEST_WAIT = 30.0
"""Seconds between two looks, at most, while something could not be delivered."""

_log = logging.getLogger("uploadkit.processing")


class Forwarder:
    """`forward` blocks, and returns how many facts were delivered; `untold` how many are left. Both may raise
    `LedgerFailed`. Nothing runs before the first `wake`, and when nothing is left."""

    def __init__(self, forward: Callable[[], int], untold: Callable[[], int]) -> None:
        self._forward = forward
        self._untold = untold
        self._lock = threading.Lock()
        self._process: int | None = None  # in which it runs: a fork's copy does not
        self._task: asyncio.Task[None] | None = None
        self._asked = False

    @property
    def is_running(self) -> bool:
        """In this process."""
        return self._process == os.getpid()

    def wake(self) -> None:
        """There is something to tell."""
        with self._lock:
            self._asked = True
            if self._process == os.getpid():
                return
            self._process = os.getpid()
        event_loop.begin(self._run())

    def stop(self) -> None:
        """Returns when nothing runs in this process. The next `wake` begins anew."""
        if self.is_running:
            event_loop.wait_for(self._stop())

    async def _stop(self) -> None:
        if self._task is not None:  # it has begun: the loop keeps the order of what it is given
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        self._task = asyncio.current_task()
        wait = 0.5
        try:
            while self._goes_on():
                if await self._is_emptied():
                    wait = 0.5
                    continue
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, 2 * wait)
                self._asked = True
        except BaseException:
            self._process = None
            raise

    def _goes_on(self) -> bool:
        with self._lock:
            if not self._asked:
                self._process = None
            asked, self._asked = self._asked, False
            return asked

    async def _is_emptied(self) -> bool:
        try:
            while await in_own_thread(self._forward):
                pass
            return await in_thread(self._untold) == 0
        except LedgerFailed:
            _log.warning("what is to be told could not be read from the ledger, and is tried again", exc_info=True)
            return False
        except Exception:
            _log.exception("what is to be told could not be told, and is tried again")
            return False
