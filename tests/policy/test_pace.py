"""How long a client may be silent, and how slow it may be: numbers alone, no clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadkit.errors import UploadTooSlow
from uploadkit.policy.limits import Limits
from uploadkit.policy.pace import GRACE_SECONDS, Pace


def pace(idle_seconds: float | None = 30, min_rate: int | None = 1000) -> Pace:
    """A pace with round numbers."""
    return Pace(Limits(idle_seconds=idle_seconds, min_rate=min_rate))


def test_the_first_byte_may_take_the_grace() -> None:
    """Which is shorter than the silence that is borne later."""
    assert pace().patience == GRACE_SECONDS
    assert pace(idle_seconds=3).patience == 3


def test_who_drips_is_ended_when_the_grace_is_used_up() -> None:
    """One byte a second, each of them in time."""
    dripped = pace()
    for _ in range(10):
        dripped.count(1, 1)
    with pytest.raises(UploadTooSlow) as caught:
        dripped.count(1, 1)
    assert (caught.value.limit, caught.value.allowed, caught.value.seen) == ("min_rate", 1000, 1)
    assert str(caught.value) == "the client sent fewer than 1000 bytes a second"


def test_who_sends_at_the_rate_is_never_ended() -> None:
    """A limit that is exactly reached is fine."""
    steady = pace()
    for _ in range(1000):
        steady.count(1, 1000)
    assert steady.patience == GRACE_SECONDS


def test_what_was_sent_fast_pays_for_a_pause_and_not_for_an_endless_end() -> None:
    """A gigabyte at once, and then a byte a second: 40 of them, the grace and one silence."""
    fast = pace()
    fast.count(0.1, 10**9)
    assert fast.patience == 30
    fast.count(29, 1)
    for _ in range(11):
        fast.count(0.99, 1)
    with pytest.raises(UploadTooSlow, match="fewer than 1000 bytes a second"):
        fast.count(1, 1)


@pytest.mark.parametrize("early", [0.0, 1e-9, 0.001])
def test_a_timer_that_rings_early_tells_the_same_reason(early: float) -> None:
    """A clock may count in milliseconds, and a sum of floats may fall short: uvloop's timers do both."""
    silent = pace(idle_seconds=0.2)
    assert silent.give_up(0.2 - early).limit == "idle_seconds"
    slow = pace(idle_seconds=30)
    assert slow.give_up(GRACE_SECONDS - early).limit == "min_rate"


def test_a_silence_is_told_as_a_silence() -> None:
    """With the seconds that nothing came."""
    silent = pace()
    silent.count(0, 10**6)
    error = silent.give_up(30.04)
    assert (error.status, error.code, error.limit, error.allowed) == (408, "upload_too_slow", "idle_seconds", 30)
    assert error.seen == 30.0
    assert error.problem()["detail"] == "the client sent nothing for more than 30 seconds"
    with pytest.raises(UploadTooSlow, match="sent nothing"):
        pace(idle_seconds=5, min_rate=None).count(5.1, 1)


def test_a_timer_that_is_early_is_of_the_limit_that_it_was_set_for() -> None:
    """An event loop may ring a fraction of a millisecond before the time."""
    assert pace(idle_seconds=3).give_up(2.9996).limit == "idle_seconds"
    assert pace(idle_seconds=30).give_up(GRACE_SECONDS - 0.0004).limit == "min_rate"


def test_no_limit_is_no_limit() -> None:
    """Each of the two alone, and both."""
    assert pace(None, None).patience is None
    pace(None, None).count(10**6, 1)
    assert pace(None).patience == GRACE_SECONDS
    assert pace(7, None).patience == 7
    unbounded = pace(None)
    unbounded.count(1, 10**9)
    unbounded.count(10**5, 1)  # without a silence to measure by, what was sent pays for all of it
    assert pace(7, 0).patience == 7


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**6)), max_size=50))
def test_patience_is_what_it_says(steps: list[tuple[float, int]]) -> None:
    """Whoever needs no more than the patience is never ended; whoever needs more always is."""
    kept = pace()
    for waited, size in steps:
        patience = kept.patience
        assert patience is not None
        assert 0 <= patience <= 30
        if waited <= patience:
            kept.count(waited, size)
        else:
            with pytest.raises(UploadTooSlow):
                kept.count(waited, size)
            return


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 5000)), min_size=1, max_size=200))
def test_who_is_faster_on_the_whole_from_wherever_one_looks_is_let_through(steps: list[tuple[float, int]]) -> None:
    """Ended by its rate is only who has a stretch that was slower than the rate by more than the grace."""
    seen = pace()
    try:
        for waited, size in steps:
            seen.count(waited, size)
    except UploadTooSlow:
        worst, lag = 0.0, 0.0
        for waited, size in steps:
            lag = max(0.0, lag + waited)
            worst = max(worst, lag)
            lag = max(0.0, lag - size / 1000)
        assert worst > GRACE_SECONDS - 1e-6
    else:
        assert seen.patience is not None
        assert not math.isnan(seen.patience)
