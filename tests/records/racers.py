"""Processes that race for one record: `python -m tests.records.racers URL RACE COUNT` tells what each has got.

They are forked from one parent, as gunicorn does with `--preload`: it has used its ledger before, and uses it after.
"""

from __future__ import annotations

import json
import os
import sys

from tests.records.ledgers import FILE, fact

import uploadkit.records.migrations  # noqa: F401  # once, and not in each child
from uploadkit import UploadChanged
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State


def main(url: str, race: str, count: int) -> None:
    """The children wait until the parent closes its end of a pipe."""
    ledger = Ledger(url)
    if race != "begin":
        ledger.get("u")
    waiting, go = os.pipe()
    told, tell = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(waiting, 1)
            os.write(tell, f"{_run(ledger, race, number)}\n".encode())
            os._exit(0)
        children.append(child)
    os.close(go)
    os.close(tell)
    for child in children:
        _, status = os.waitpid(child, 0)
        if status != 0:
            raise RuntimeError(f"a child has ended with {status}")
    with open(told) as outcomes:
        json.dump(outcomes.read().split(), sys.stdout)
    ledger.count()
    ledger.close()


def _run(ledger: Ledger, race: str, number: int) -> str:
    if race == "begin":
        ledger.add(f"u{number}", **FILE)
        return "won"
    if race == "claim":
        return "none" if ledger.claim("u", "scan", "1", seconds=3600) is None else "won"
    if race == "hold":
        return "none" if ledger.resumables.hold("u", seconds=3600) is None else "won"
    try:
        ledger.move("u", State.STAGED, facts=[fact("u", str(number))])
    except UploadChanged as error:
        return str(error.state)
    return "won"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
