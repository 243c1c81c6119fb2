"""Both drivers, for every test that asks for `drive`."""

from __future__ import annotations

import pytest
from tests.intake.receiving import DRIVES, Drive


@pytest.fixture(params=DRIVES)
def drive(request: pytest.FixtureRequest) -> Drive:
    """Receives a form: once by the blocking driver and once by the async one."""
    return DRIVES[request.param]
