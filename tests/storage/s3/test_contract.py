"""The contract over SeaweedFS, a real S3 server, and over moto, in parts as small as each takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.storage.kinds import put, staged
from tests.storage.s3.places import PART_SIZE, Locate, Place, place_on

from uploadkit.storage.contract import (
    CopiesObjects,
    ListsObjects,
    LocalPaths,
    PublicUrls,
    ReadsStaged,
    SignsUrls,
    SweepsStaging,
)
from uploadkit.storage.s3 import S3Storage
from uploadkit.testing import STORAGE_CHECKS, StorageCheck

SMALL_PART_SIZE = 2**15
"""An object of the suite has many such parts."""

EXCLUSIVE = [
    (check, server)
    for check in STORAGE_CHECKS
    for server in ("weed", "moto")
    if check.ability == "ExclusiveCommit"
    # SeaweedFS lets a loser wait for a second, now and then: its races are run less often, in test_races.
    if (check.name, server) != ("exclusive_race", "weed")
]


@dataclass
class Shared:
    """A storage that serves one check after another: to connect takes a tenth of a second."""

    place: Place
    storage: S3Storage
    part_size: int


MUCH = (
    *("round_trip", "sizes", "chunks", "many_threads", "interleaved"),
    *("partial_sizes", "partial_kept", "partial_unlimited", "partial_open", "partial_buffers"),
)
"""The promises that are about bytes, of which they send many: over parts of 5 MiB, which SeaweedFS asks for, the same
code runs as over the small ones of moto."""


SHARED = [("weed", PART_SIZE), ("moto", SMALL_PART_SIZE)]

NOT_ON_MOTO = ("partial_missing", "partial_swept")
"""It finds a multipart upload under any key, and says that each was begun in 2010."""


@pytest.fixture(scope="module", params=SHARED, ids=lambda param: param[0])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    """One on each server."""
    server, part_size = request.param
    with place_on(request.getfixturevalue(server)) as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr("uploadkit.storage.s3.MIN_PART_SIZE", part_size)
        patch.setattr("uploadkit.storage.s3.partials.MIN_PART_SIZE", part_size)
        patch.setattr("uploadkit.testing.storage_contract.LEAST_PART_SIZE", part_size)
        yield Shared(place, place.storage(part_size=part_size), part_size)


@pytest.mark.parametrize(
    ("shared", "check"),
    [
        pytest.param(
            on, check, id=f"{on[0]}-{check}", marks=[pytest.mark.soak] * (on[0] == "weed" and check.name in MUCH)
        )
        for on in SHARED
        for check in STORAGE_CHECKS
        if on[0] != "moto" or check.name not in NOT_ON_MOTO
    ],
    indirect=["shared"],
)
def test_a_bucket_keeps_the_promise(check: StorageCheck, shared: Shared) -> None:
    """Each promise of the contract holds, and nothing stays behind: no multipart upload, and no staged object."""
    # Of ninety ranges the bytes of ninety parts are read: those of a real server's have a test below.
    part_size = min(shared.part_size, SMALL_PART_SIZE) if check.name == "ranges" else shared.part_size
    check(lambda: shared.storage, leftovers=lambda _: shared.place.left(), part_size=part_size)


def test_a_range_goes_over_the_parts_of_an_object(place: Place) -> None:
    """As over those that moto takes, which are smaller."""
    storage, data = place.storage(), bytes(range(251)) * (2 * PART_SIZE // 251) + b"the end"
    put(storage, "key", data)
    for start, end in ((PART_SIZE - 1, PART_SIZE + 1), (PART_SIZE, PART_SIZE + 2), (len(data) - 7, None), (0, 1)):
        assert b"".join(storage.read("key", start, end)) == data[start:end]


@pytest.mark.parametrize(("check", "server"), EXCLUSIVE, ids=str)
def test_an_object_that_is_put_is_never_replaced(
    check: StorageCheck, server: str, locate: Locate, request: pytest.FixtureRequest
) -> None:
    """On either server. One that has several parts may be, as `races` says: so neither makes the promise by itself."""
    place = locate(request.getfixturevalue(server))
    storage = place.storage(exclusive=True)
    check(lambda: storage, leftovers=lambda _: place.left(), part_size=1000)


@pytest.mark.parametrize("server", ["weed", "moto"])
def test_a_storage_without_a_condition_replaces(server: str, locate: Locate, request: pytest.FixtureRequest) -> None:
    """`exclusive=False` is for servers that know no condition; what is there then is what was committed last."""
    place = locate(request.getfixturevalue(server))
    storage = place.storage(exclusive=False)
    for size in (1000, PART_SIZE):
        for data in (b"1" * size, b"2" * size):
            staged(storage, "key", data).commit()
            assert place.get("key") == data
    assert not place.left()


def test_what_a_storage_offers_is_what_is_known_of_its_server(place: Place) -> None:
    """That nothing is replaced is promised on AWS, or where the user says so; staged objects cannot be read."""
    storage = place.storage()
    assert not storage.exclusive_commit
    assert place.storage(exclusive=True).exclusive_commit
    assert S3Storage("s3://bucket").exclusive_commit
    assert storage.may_block
    for ability in (SweepsStaging, ListsObjects, CopiesObjects, SignsUrls, PublicUrls):
        assert isinstance(storage, ability)
    assert not isinstance(storage, ReadsStaged | LocalPaths)
