"""What is late now and then is punctual; what is always late, or early once, is not."""

from __future__ import annotations

import asyncio

import pytest
from tests.punctual import TRIES, punctual, swift


def attempts(*late: float) -> int:
    """How many of them were made."""
    left = list(late)

    async def attempt() -> float:
        return left.pop(0)

    asyncio.run(punctual(attempt, 0.5))
    return len(late) - len(left)


def test_what_comes_in_time_is_tried_once() -> None:
    assert attempts(0.4, 9) == 1


def test_what_comes_in_time_at_last_is_punctual() -> None:
    assert attempts(*[9] * (TRIES - 1), 0.4) == TRIES


def test_what_is_always_late_is_not_punctual() -> None:
    with pytest.raises(AssertionError, match=r"by 0\.500 s at least, where 0\.5 s are allowed"):
        attempts(*[9] * (TRIES - 1), 0.5, 0)


def test_what_is_early_once_is_not_punctual() -> None:
    with pytest.raises(AssertionError, match=r"0\.001 s early"):
        attempts(9, -0.001, 0)


@pytest.mark.parametrize(("took", "is_swift"), [([2, 2, 2, 2, 0.9], True), ([2, 2, 2, 2, 1], False)])
def test_what_takes_long_now_and_then_is_swift(took: list[float], is_swift: bool) -> None:
    now = 0.0

    def work() -> None:
        nonlocal now
        now += took.pop(0)

    if is_swift:
        swift(work, 1, clock=lambda: now)
    else:
        with pytest.raises(AssertionError, match="it takes 1"):
            swift(work, 1, clock=lambda: now)
