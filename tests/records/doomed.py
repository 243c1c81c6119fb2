"""Processes that are killed, one after the other: `python -m tests.records.doomed URL TOLD ROUNDS`.

Each adds an upload, moves it with three facts, and forwards what is to be told into the file TOLD, a line for a fact.
It dies by SIGKILL at a moment that is another one in each round. The last process is not killed. Each has a clock
that is an hour ahead of the one before it: what the dead had taken is free.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.records.ledgers import FILE, fact

from uploadkit.events.facts import Fact, FileDeleted
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State


def main(url: str, told: str, rounds: int) -> None:
    """The ledger is used before the fork, and after it in the child."""
    for number in range(rounds):
        ledger = Ledger(url, now=_hours_ahead(number))
        ledger.count()
        child = os.fork()
        if child == 0:
            _live(ledger, told, number)
            os._exit(0)  # it should not have come to this
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise RuntimeError(f"the child of round {number} has ended in another way: {status}")
        ledger.count()
        ledger.close()
    last = Ledger(url, now=_hours_ahead(rounds))
    while last.untold():
        last.forward(lambda each: _write(told, each))
    last.close()


def _live(ledger: Ledger, told: str, number: int) -> None:
    upload = f"u{number}"
    ledger.add(upload, **FILE)
    if number % 4 == 0:
        _die()
    ledger.move(upload, State.STAGED, facts=[fact(upload, str(each)) for each in range(3)])
    if number % 4 == 1:
        _die()
    delivered = 0

    def deliver(each: Fact) -> None:
        nonlocal delivered
        delivered += 1
        is_last = delivered == 1 + number // 4 % 3
        if is_last and number % 4 == 2:
            _die()
        _write(told, each)
        if is_last:
            _die()

    ledger.forward(deliver)


def _write(told: str, each: Fact) -> None:
    assert isinstance(each, FileDeleted)
    with open(told, "a") as file:
        file.write(f"{each.upload}:{each.reason}\n")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hours_ahead(hours: int) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(hours=hours)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
