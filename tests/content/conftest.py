"""The daemon, one for the whole session. A test that kills it runs one of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.content.clamd import Clamd, running
from tests.intake.conftest import drive as drive


@pytest.fixture(scope="session")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """Nobody stops this one."""
    with running(tmp_path_factory.mktemp("clamd")) as daemon:
        yield daemon
