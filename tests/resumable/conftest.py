"""What several modules of these tests ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
from tests.resumable.bucket import Bucket, Place

from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord
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


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Has an empty bucket, and a step that writes down what it is done for."""
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        made = Place(Pipeline(ledger, storages=[]), Bucket())

        @made.pipeline.process("*")
        def count(upload: UploadRecord, job: object) -> None:
            made.done.append(upload.id)

        yield made
        made.pipeline.close()
