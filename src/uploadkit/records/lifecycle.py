"""The life of an upload: its states, and from which of them to which it may go. One table, and no I/O.

    receiving ──> staged ──> processing ──> completed
        │            │           │              │
        └─> rejected │           ├─> failed     └─> processing, where something is to be done again
            failed   └───────────┴─> quarantined

From everywhere an upload may expire or be deleted, and `deleted` is the end. The picture in the docs is drawn from the
table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["GONE", "MOVES", "SETTLED", "State", "states_before"]


class State(StrEnum):
    """Where an upload is in its life."""

    RECEIVING = "receiving"
    """Its bytes arrive. Nothing of it is visible, and what is left of it after a crash is swept."""

    STAGED = "staged"
    """All of it is stored, and nothing has been done with it yet."""

    PROCESSING = "processing"
    """Something is being done with it, or waits in a queue."""

    COMPLETED = "completed"
    """Nothing remains to be done."""

    REJECTED = "rejected"
    """It was not taken: it broke a rule, or could not be received. Its bytes are gone, or going."""

    FAILED = "failed"
    """What was to be done could not be done, and is not tried again by itself."""

    QUARANTINED = "quarantined"
    """A scan found it infected. Its bytes are where nobody is served from, if they are anywhere."""

    EXPIRED = "expired"
    """Its time is over, and its bytes are gone, or going."""

    DELETED = "deleted"
    """Somebody deleted it."""


_OVER: Final = frozenset({State.EXPIRED, State.DELETED})

MOVES: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        State.RECEIVING: _OVER | {State.STAGED, State.REJECTED, State.FAILED},
        State.STAGED: _OVER | {State.PROCESSING, State.COMPLETED, State.REJECTED, State.FAILED, State.QUARANTINED},
        State.PROCESSING: _OVER | {State.COMPLETED, State.REJECTED, State.FAILED, State.QUARANTINED},
        State.COMPLETED: _OVER | {State.PROCESSING, State.QUARANTINED},
        State.REJECTED: _OVER,
        State.FAILED: _OVER | {State.PROCESSING},
        State.QUARANTINED: _OVER | {State.PROCESSING},
        State.EXPIRED: frozenset({State.DELETED}),
        State.DELETED: frozenset(),
    }
)
"""Which states may follow each. What is not here never happens: the ledger refuses it."""

SETTLED: Final = frozenset(State) - {State.RECEIVING, State.STAGED, State.PROCESSING}
"""States in which nothing more happens by itself, but for the end of an upload's time."""

GONE: Final = frozenset({State.REJECTED, State.EXPIRED, State.DELETED})
"""States in which the bytes are gone, or going: what is made of them then is made in vain."""


def states_before(state: State) -> frozenset[State]:
    """The states from which an upload may go to `state`: the condition of a move's compare-and-set."""
    return frozenset(before for before, after in MOVES.items() if state in after)
