"""The bench of uploads in several requests: every door brings the whole file, and what is sent small is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.resumable.doors import FILES, SMALL, Errand, done
from bench.resumable.measure import serving

from uploadkit.storage.disk import DiskStorage

pytestmark = [pytest.mark.soak, pytest.mark.needs("linux")]

SIZE = 6 << 20
"""More than one PATCH of 5 MiB."""


def test_every_door_brings_the_same_file(tmp_path: Path) -> None:
    """Of all of it, and once."""
    with serving(tmp_path) as (port, _):
        requests = {door: done(Errand(port=port, door=door, size=SIZE)).requests for door in FILES}
        [folder] = tmp_path.iterdir()
        storage = DiskStorage(folder / "files")
        bodies = {b"".join(storage.read(each.key)) for each in storage.list()}
        assert [each.size for each in storage.list()] == [SIZE] * len(FILES)
    assert len(bodies) == 1
    assert requests == {
        "form": 1,
        "tus, one PATCH": 2,
        "tus, PATCHes of 5 MiB": 3,
        "tus, one POST": 1,
        "IETF, one POST": 1,
    }


def test_every_small_request_is_answered(tmp_path: Path) -> None:
    """As often as it is asked for; what had to be there before is not counted."""
    with serving(tmp_path) as (port, _):
        for kind in SMALL:
            assert done(Errand(port=port, door=kind, requests=3)).requests in (3, 4, 5)
