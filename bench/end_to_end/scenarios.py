"""What is sent to every contestant, whole and for a quick look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .contestants import Contestant
from .forms import GIB, KIB, MIB, Load


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`in_memory` is on tmpfs instead of the disk; `asks` is for the other route meanwhile.

    `small` is judged by requests a second and not by bytes; `variants` run here too, and not only what they vary.
    """

    name: str
    load: Load
    rounds: int
    in_memory: bool = False
    asks: bool = False
    small: bool = False
    variants: bool = False

    def racing(self, contestants: Iterable[Contestant]) -> list[Contestant]:
        """Those that take part."""
        return [one for one in contestants if self.variants or not one.is_variant]

    @property
    def title(self) -> str:
        """In words."""
        load = self.load
        what = f"a file of {_size(load.size)}" + (" and 3 text values" if load.texts else "")
        if load.requests == 1:
            sent = f"one form with {what}"
        elif load.connections == load.requests:
            sent = f"{load.requests} forms at once, each with {what}"
        else:
            sent = f"{load.requests} forms with {what} on {load.connections} connections"
        return f"{sent}, {'tmpfs' if self.in_memory else 'disk'}"


def scenarios(*, quick: bool = False) -> dict[str, Scenario]:
    """All of them by name; `quick` ones send a part of it, once."""
    one = Load(requests=1, size=GIB // 4 if quick else GIB)
    files = Load(requests=50 if quick else 200, size=MIB, connections=8)
    forms = Load(requests=500 if quick else 2000, size=10 * KIB, texts=True, connections=8)
    at_once = Load(requests=10, size=(20 if quick else 100) * MIB, connections=10)
    usual = 1 if quick else 5
    every = (
        Scenario(name="large", load=one, rounds=usual, asks=True, variants=True),
        Scenario(name="files", load=files, rounds=usual),
        Scenario(name="files/tmpfs", load=files, rounds=usual, in_memory=True),
        Scenario(name="forms", load=forms, rounds=usual, small=True),
        Scenario(name="forms/tmpfs", load=forms, rounds=usual, in_memory=True, small=True),
        Scenario(name="at-once", load=at_once, rounds=usual, asks=True),
    )
    return {scenario.name: scenario for scenario in every}


def _size(size: int) -> str:
    for unit, called in ((GIB, "GiB"), (MIB, "MiB")):
        if size >= unit:
            return f"{size // unit} {called}"
    return f"{size // KIB} KiB"
