"""What is sent, and to which S3; whole and for a quick look."""

from __future__ import annotations

from dataclasses import dataclass

from ..end_to_end.forms import GIB, KIB, MIB, Load
from .stores import LINE, NULL, WEED, Kind

FIRST = Load(requests=16, size=10 * KIB, connections=8)
"""What everybody sends before it is measured: small objects, each one PUT, on as many connections as there will be.

All that is loaded once is loaded then, and every thread has run. No part was sent, so no buffer for one was needed yet:
parts are what memory grows by, and what grew by them before would not be seen.
"""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A load to one kind of S3. `growth_mib` is what the memory of uploadkit has to stay below."""

    name: str
    load: Load
    store: Kind
    rounds: int
    growth_mib: int

    @property
    def title(self) -> str:
        """In words."""
        size = f"{self.load.size // GIB} GiB" if self.load.size >= GIB else f"{self.load.size // MIB} MiB"
        what = f"one file of {size}" if self.load.requests == 1 else f"{self.load.requests} files of {size} at once"
        return f"{what}, to {self.store.title}"


def scenarios(*, quick: bool = False) -> dict[str, Scenario]:
    """All of them by name; `quick` ones send a quarter, once."""
    one = Load(requests=1, size=GIB // 4 if quick else GIB)
    at_once = Load(requests=8, size=(32 if quick else 128) * MIB, connections=8)
    rounds = 1 if quick else 5
    every = (
        Scenario(name="large/null", load=one, store=NULL, rounds=rounds, growth_mib=64),
        Scenario(name="large/line", load=one, store=LINE, rounds=rounds, growth_mib=64),
        Scenario(name="large", load=one, store=WEED, rounds=rounds, growth_mib=64),
        Scenario(name="at-once", load=at_once, store=WEED, rounds=rounds, growth_mib=8 * 40),
    )
    return {scenario.name: scenario for scenario in every}
