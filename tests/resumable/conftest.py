"""What several modules of these tests ask for."""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from uploadkit.resumable.direct import DirectUploads
from uploadkit.uploads import UploadedFile


class Finish(Protocol):
    """Finishes an upload by one of the drivers."""

    def __call__(self, direct: DirectUploads, token: str) -> UploadedFile: ...


def by_afinish(direct: DirectUploads, token: str) -> UploadedFile:
    return asyncio.run(direct.afinish(token))


@pytest.fixture(params=[DirectUploads.finish, by_afinish], ids=["finish", "afinish"])
def finish(request: pytest.FixtureRequest) -> Finish:
    drive: Finish = request.param
    return drive
