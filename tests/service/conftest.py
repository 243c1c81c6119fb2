"""The service in this process, in a folder of its own: without a queue, so that a request ends when all is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from uploadkit.content.variants import ORIGINAL, THUMBNAIL
from uploadkit.policy.accept import IMAGES
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processors import Metadata, Variants
from uploadkit.records.ledger import Ledger
from uploadkit.service.app import create_app
from uploadkit.service.parts import Parts
from uploadkit.service.settings import Settings
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage

Serve: TypeAlias = Callable[..., TestClient]


def quick_pipeline(folder: Path, *, ledger: Ledger | None = None, staging: Storage | None = None) -> Pipeline:
    """All is done in the request, and quickly."""
    ledger = ledger or Ledger(f"sqlite:///{folder / 'ledger.db'}")
    staging = staging or DiskStorage(folder / "staging", name="staging")
    pipeline = Pipeline(ledger, storage=DiskStorage(folder / "files", name="files"), storages=[staging])
    pipeline.process(IMAGES, Variants(original=ORIGINAL, thumbnail=THUMBNAIL), Metadata())
    return pipeline


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Makes a client of a service: `serve(rate=None)` takes the names of `Settings`, `authenticate` and `pipeline`."""
    with ExitStack() as stack:

        def start(*, authenticate: Any = None, pipeline: Pipeline | None = None, **settings: Any) -> TestClient:
            app = create_app(
                Settings(data=tmp_path / "data", **settings),
                pipeline=quick_pipeline(tmp_path) if pipeline is None else pipeline,
                authenticate=authenticate,
            )
            client = TestClient(
                app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000), raise_server_exceptions=False
            )
            return stack.enter_context(client)

        yield start


@pytest.fixture
def service(serve: Serve) -> TestClient:
    """A client of a service as it is by default."""
    return serve()


def parts_of(client: TestClient) -> Parts:
    """What the service behind a client is made of."""
    assert isinstance(client.app, Starlette)
    parts: Parts = client.app.state.parts
    return parts
