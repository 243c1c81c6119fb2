"""Holds an upload while bytes are added to it: so that those of two requests never mix, in whichever processes.

A hold is a lease in the ledger (`Ledger.resumables`). While somebody has it here it is renewed, by one task in the
library's own event loop, however long its holder is blocked; and that task looks whether somebody else wants the
upload. In the process that asks for it the holder is told at once. Whose process has died is waited for until the lease
is over, and no longer. So is who was told, and waits for his client all the same: it is dead, perhaps. Who is busy
otherwise, such as with a check or with what the application does, keeps the upload as long as that takes.

Whether the lease still lasts is judged here by a clock that cannot be set, from before the ledger was asked, and it is
over here a fifth earlier: so a holder stops before anybody else may begin.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Unpack
from weakref import WeakValueDictionary

from ..errors import LedgerFailed, UploadChanged, UploadLocked
from ..intake.blocking import drive
from ..intake.steps import Do, Steps, Wait
from ..records.ledger import Ledger
from ..records.resumable import Hold, ResumableChanges
from ..storage import event_loop
from ..storage.threads import in_own_thread

__all__ = ["LEASE_SECONDS", "Held", "take", "taking"]

LEASE_SECONDS: Final = 15.0
"""So long others wait for a process that has died, at most. The clocks of machines that share a ledger differ by less
than a fifth of it."""

POLL_SECONDS: Final = 0.25
"""How often who waits asks the ledger again."""

RETRY_SECONDS: Final = 5
"""When a client is told to come back. After three times the lease of a process that has died is over."""

# In parts of a lease: how long it is sure to last, how often it is renewed, and how often one looks who else wants it.
_SURE, _RENEWED, _LOOKED = 0.8, 0.2, 1 / 15

_log = logging.getLogger("uploadkit")


class Held:
    """An upload that nobody else adds to. It is renewed until it is released, or thrown away; what a fork's child has
    of it is of no use there."""

    def __init__(
        self, ledger: Ledger, hold: Hold, *, asked_at: float, seconds: float, on_wanted: Callable[[], None]
    ) -> None:
        self.hold: Final = hold
        self.expires_at: datetime | None = None
        """Where something was added: until when there is time for more. It is written down when the hold is renewed."""
        self._freed = threading.Event()
        self._ledger = ledger
        self._process = os.getpid()
        self._seconds = seconds
        self._asked_at = asked_at
        self._on_wanted = on_wanted
        self._lock = threading.Lock()
        self._wanted_at: float | None = None
        self._is_waiting = False
        self._is_over = False

    def expect(self) -> None:
        """Asked before anything is changed. Raises `UploadLocked` where the hold was lost, or may be over soon: then
        nothing may be written any more."""
        if self._is_over or time.monotonic() >= self._asked_at + self._seconds * _SURE or os.getpid() != self._process:
            raise UploadLocked(retry_after=RETRY_SECONDS)

    def confirm(self) -> None:
        """As `expect`, before what cannot be mended: the ledger is asked too, where it answers. Blocks. The clock of a
        machine that slept has not seen how long, and a start may have let all go: `Ledger.release`."""
        self.expect()
        try:
            found = self._ledger.resumables.wanted([self.hold])
        except LedgerFailed:
            return
        _tell({self.hold.token: self}, found)
        self.expect()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Meanwhile its holder waits for his client. Where somebody else wants the upload, it is lost a lease later."""
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False

    def change(self, **changes: Unpack[ResumableChanges]) -> None:
        """Changes what is known of the upload. Raises `UploadLocked` as `expect`, and `LedgerFailed`."""
        self.expect()
        try:
            self._ledger.resumables.change(self.hold, **changes)
        except UploadChanged as error:
            raise UploadLocked(retry_after=RETRY_SECONDS) from error

    def release(self, **changes: Unpack[ResumableChanges]) -> None:
        """Lets go of the upload, and changes what is known of it in the same transaction, where it is still held.
        Idempotent. Where the ledger does not answer nothing is changed, and the lease runs out by itself."""
        if os.getpid() != self._process or not self._end():
            return
        try:
            self._ledger.resumables.let_go(self.hold, **changes)
        except LedgerFailed:
            text = "upload %s could not be let go: others wait until its lease is over"
            _log.warning(text, self.hold.upload, exc_info=True)
        finally:
            _drop(self)

    # What the keeper and those who wait tell it

    def _want(self) -> None:
        """Somebody else wants it. The first time the holder is told so."""
        with self._lock:
            if self._is_over or self._wanted_at is not None:
                return
            self._wanted_at = time.monotonic()
        self._tell()

    def _lose(self) -> None:
        """It is another's by now, or the upload is gone."""
        with self._lock:
            if self._is_over:
                return
            is_told, self._is_over = self._wanted_at is not None, True
            self._wanted_at = self._wanted_at or time.monotonic()
        _drop(self)
        if not is_told:
            self._tell()

    def _renew(self, asked_at: float) -> None:
        """The ledger was asked then, and has extended it."""
        self._asked_at = asked_at

    def _is_stale(self, at: float) -> bool:
        return at >= self._asked_at + self._seconds * _RENEWED

    def _is_given_up(self, at: float) -> bool:
        """Whether it is to run out: its holder was told long ago that it is wanted, and is blocked by his client."""
        return self._is_waiting and self._wanted_at is not None and at >= self._wanted_at + self._seconds

    def _end(self) -> bool:
        """False where it had ended before."""
        with self._lock:
            was_over, self._is_over = self._is_over, True
        return not was_over

    def _tell(self) -> None:
        try:
            self._on_wanted()
        except Exception:
            _log.exception("who holds upload %s could not be told that it is wanted", self.hold.upload)


def taking(
    ledger: Ledger,
    upload: str,
    *,
    wait_seconds: float,
    on_wanted: Callable[[], None],
    lease_seconds: float = LEASE_SECONDS,
) -> Steps[Held]:
    """Holds an upload. Who has it is asked to let go, and waited for so long.

    `on_wanted` is called at most once, from any thread, when another one wants the upload, or has it by now; it does
    not block. The holder is then expected to let go soon: where he waits for his client after `lease_seconds`, he has
    lost it. Raises `UploadLocked` where it was not let go in time, `RecordMissing` where there is no such upload, and
    `LedgerFailed`.
    """
    until = time.monotonic() + wait_seconds
    while not isinstance(found := (yield Do(_attempt, (ledger, upload, on_wanted, lease_seconds))), Held):
        yield Wait(found, _pause(until))
    return found


def take(
    ledger: Ledger,
    upload: str,
    *,
    wait_seconds: float,
    on_wanted: Callable[[], None],
    lease_seconds: float = LEASE_SECONDS,
) -> Held:
    """As `taking`, for a caller who may block."""
    return drive(
        taking(ledger, upload, wait_seconds=wait_seconds, on_wanted=on_wanted, lease_seconds=lease_seconds), iter(())
    )


def _attempt(
    ledger: Ledger, upload: str, on_wanted: Callable[[], None], lease_seconds: float
) -> Held | threading.Event:
    """Where somebody else has it, he is told: what is returned is set when he lets go, if he is in this process."""
    asked_at = time.monotonic()
    hold = ledger.resumables.hold(upload, seconds=lease_seconds)
    if hold is not None:
        held = Held(ledger, hold, asked_at=asked_at, seconds=lease_seconds, on_wanted=on_wanted)
        _keep(ledger, held, lease_seconds)
        return held
    here = _held_here(upload)
    for each in here:
        each._want()
    return here[0]._freed if here else threading.Event()


def _pause(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise UploadLocked(retry_after=RETRY_SECONDS)
    return min(left, POLL_SECONDS)


class _Keeper:
    """Renews what this process holds in one ledger, until that is nothing any more.

    It keeps none of them alive: whoever throws one away without a release has others wait until its lease is over.
    """

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self.held: Final[WeakValueDictionary[str, Held]] = WeakValueDictionary()
        self._resumables = ledger.resumables
        self._seconds = seconds
        self._name = ledger, seconds

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds * _LOOKED)
            if self._ends():
                return
            try:
                await in_own_thread(self._look)  # not in a worker thread: all of those may be taken by who is to renew
            except Exception:
                _log.warning("what is held could not be renewed, and is tried again", exc_info=True)

    def _ends(self) -> bool:
        with _lock:
            if self.held:
                return False
            _keepers.pop(self._name, None)
            return True

    def _look(self) -> None:
        with _lock:
            held = dict(self.held)
        at = time.monotonic()
        due = {token: each for token, each in held.items() if each._is_stale(at) and not each._is_given_up(at)}
        rest = {token: each for token, each in held.items() if token not in due}
        if due:
            expires = {token: each.expires_at for token, each in due.items() if each.expires_at is not None}
            holds = [each.hold for each in due.values()]
            found = self._resumables.extend_all(holds, seconds=self._seconds, expires=expires)
            for token in found:
                due[token]._renew(at)
            _tell(due, found)
        if rest:
            _tell(rest, self._resumables.wanted([each.hold for each in rest.values()]))


def _tell(held: Mapping[str, Held], found: Mapping[str, bool]) -> None:
    for token, each in held.items():
        if token not in found:
            each._lose()
        elif found[token]:
            each._want()


_lock = threading.Lock()
_keepers: dict[tuple[Ledger, float], _Keeper] = {}


def _keep(ledger: Ledger, held: Held, seconds: float) -> None:
    with _lock:
        keeper = _keepers.get((ledger, seconds))
        if keeper is None:
            keeper = _Keeper(ledger, seconds)
            event_loop.begin(keeper.keep())
            _keepers[ledger, seconds] = keeper
        keeper.held[held.hold.token] = held


def _drop(held: Held) -> None:
    """It has ended: nobody is kept waiting by it."""
    with _lock:
        for keeper in _keepers.values():
            keeper.held.pop(held.hold.token, None)
    held._freed.set()


def _held_here(upload: str) -> list[Held]:
    with _lock:
        every = [held for keeper in _keepers.values() for held in keeper.held.values()]
    return [held for held in every if held.hold.upload == upload]


def _forget() -> None:
    """After a fork the child holds nothing of its parent's, and has nobody to release the lock."""
    global _lock
    _keepers.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
