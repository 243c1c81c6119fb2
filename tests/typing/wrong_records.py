"""Mistakes with a ledger that a type checker finds."""

from __future__ import annotations

from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State

ledger = Ledger()

ledger.move("id", "staged")  # E: a state is one of State
ledger.move("id", State.STAGED, sise=3)  # E: no such thing is known of an upload
ledger.move("id", State.STAGED, size="5 MB")  # E: a size is bytes
ledger.add("id", filename="me.png", content_type="image/png")  # E: which field?
ledger.get("id").state = State.DELETED  # E: records are frozen


async def awaited() -> None:
    await ledger.aget(3)  # E: an id is text
    await ledger.amove("id", State.STAGED, sise=3)  # E: no such thing is known of an upload
    print((await ledger.afind(limit=3)).state)  # E: these are several
