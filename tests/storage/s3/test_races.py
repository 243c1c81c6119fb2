"""Two writers of one key, who have servers and storages of their own as two machines would."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.storage.kinds import put, staged
from tests.storage.s3.places import PART_SIZE, Locate, Place
from tests.storage.s3.races import SEEN

from uploadkit.errors import ObjectExists
from uploadkit.storage.contract import Staged

SIZES = {"put": 1000, "complete": PART_SIZE}


@pytest.fixture(params=["weed", "moto"])
def place(request: pytest.FixtureRequest, locate: Locate) -> Place:
    """One on each server."""
    return locate(request.getfixturevalue(request.param))


@pytest.mark.parametrize("way", SIZES)
def test_of_two_that_race_for_a_key_as_many_win_as_the_server_was_seen_to_let(place: Place, way: str) -> None:
    """Those that do not are told `ObjectExists`. The object is whole and of one who won; nothing is left."""
    seen = getattr(SEEN[place.server.name], way)
    storages = [place.storage(exclusive=True), place.storage(exclusive=True)]
    for turn in range(4):
        data = [bytes([number]) * SIZES[way] for number in range(2)]
        both = [staged(storage, f"{turn}", each) for storage, each in zip(storages, data, strict=True)]
        won = race(both)
        assert sum(won) == 1 if seen == "one wins" else sum(won) in (1, 2)
        assert place.get(f"{turn}") in [each for each, wins in zip(data, won, strict=True) if wins]
    assert not place.left()


@pytest.mark.parametrize("way", SIZES)
def test_who_comes_late_never_replaces(place: Place, way: str) -> None:
    """The other one has committed: this one is told so, in either way, by either server."""
    storage = place.storage()
    first, late = (staged(storage, "key", data * SIZES[way]) for data in (b"1", b"2"))
    first.commit()
    with pytest.raises(ObjectExists):
        late.commit()
    late.discard()
    assert place.get("key") == b"1" * SIZES[way]
    assert not place.left()


def test_copies_replace_only_where_the_server_was_seen_to_let_them(place: Place) -> None:
    """Two that race, and one that comes late. What is copied is whole either way."""
    seen = SEEN[place.server.name].copy
    storages = [place.storage(exclusive=True), place.storage(exclusive=True)]
    for number, storage in enumerate(storages):
        put(storage, f"{number}", b"%d" % number)
    for turn in range(4):
        won = at_once([partial(storage.copy, f"{at}", f"copy {turn}") for at, storage in enumerate(storages)])
        assert won.count(True) == (1 if seen == "one wins" else 2)
        late = at_once([partial(storages[0].copy, "0", f"copy {turn}")])
        assert late == [seen == "it replaces"]
        winner = 0 if late == [True] else won.index(True)
        assert place.get(f"copy {turn}") == b"%d" % winner


def race(both: list[Staged]) -> list[bool]:
    """Whether each has won. Those that have not are discarded."""
    won = at_once([upload.commit for upload in both])
    for upload, wins in zip(both, won, strict=True):
        if not wins:
            upload.discard()
    return won


def at_once(calls: list[Callable[[], object]]) -> list[bool]:
    """Whether each has found no object."""
    gate = threading.Barrier(len(calls))

    def made(call: Callable[[], object]) -> bool:
        gate.wait()
        try:
            call()
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(made, calls))
