"""What time it is where a bucket is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.storage.kinds import put
from tests.storage.s3.places import Place

from uploadkit.errors import StorageFailed


def test_a_server_tells_its_time(place: Place) -> None:
    """Whether the bucket is empty or not, to the second."""
    storage = place.storage()
    for number in range(2):
        assert abs(storage.server_time() - datetime.now(UTC)) < timedelta(seconds=5)
        put(storage, f"object{number}")


def test_a_server_that_leaves_its_time_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told as its failure."""
    storage = place.storage()
    answer: dict[str, dict[str, dict[str, str]]] = {"ResponseMetadata": {"HTTPHeaders": {}}}
    monkeypatch.setattr(storage._client, "call", lambda *words, **more: answer)
    with pytest.raises(StorageFailed, match="says no time"):
        storage.server_time()
