"""A process that holds an upload: `python -m tests.resumable.holder URL LEASE_SECONDS MANNER` says what happens to it.

`polite`: lets go when it is told that somebody wants it. `deaf`: waits for a client all the same, and says when it may
not write any more. `forked`: has a child, which says what that may do. `ends`: does so, and lets go of nothing.
`blocked`: does nothing at all.
"""

from __future__ import annotations

import os
import sys
import threading

from uploadkit.errors import UploadLocked
from uploadkit.records.ledger import Ledger
from uploadkit.resumable.holding import Held, take


def main(url: str, lease_seconds: float, manner: str) -> None:
    """Ends when its stdin is closed, or by `kill -9`."""
    ledger = Ledger(url)
    wanted = threading.Event()
    held = take(ledger, "u", wait_seconds=0, on_wanted=wanted.set, lease_seconds=lease_seconds)
    _say("held")
    if manner == "polite":
        wanted.wait()
        held.release(kept="polite")
        _say("released")
    elif manner == "deaf":
        with held.waiting():
            wanted.wait()
            _say("wanted")
            _wait_for_the_end(held)
            _say("over")
            sys.stdin.read()
    elif manner == "forked":
        _fork(ledger, held)
    elif manner == "ends":
        _say("ends")
        ledger.close()
        return
    sys.stdin.read()
    ledger.close()


def _wait_for_the_end(held: Held) -> None:
    pause = threading.Event()
    while True:
        try:
            held.expect()
        except UploadLocked:
            return
        pause.wait(0.01)


def _fork(ledger: Ledger, held: Held) -> None:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        held.expect()
        held.release(kept="parent")
        _say("released")
        return
    try:
        held.expect()
    except UploadLocked:
        _say("locked")
    held.release(kept="child")
    own = take(ledger, "v", wait_seconds=0, on_wanted=lambda: None, lease_seconds=2)
    threading.Event().wait(2.6)
    own.expect()
    own.release()
    _say("renewed")
    os._exit(0)


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
