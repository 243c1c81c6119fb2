"""Whether something comes in its time, or takes no more than that, as a busy machine can tell.

A machine makes things late, and never early. So once in a few tries is enough for what is to be soon; what is not to be
before its time may not be so in any.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

TRIES = 5


async def punctual(attempt: Callable[[], Awaitable[float]], most: float) -> None:
    """Fails where an attempt comes early, or each of five by `most` seconds or more late, which it returns."""
    late: list[float] = []
    while not late or (late[-1] >= most and len(late) < TRIES):
        late.append(await attempt())
        if late[-1] < 0:
            raise AssertionError(f"{-late[-1]:.3f} s early")
    if late[-1] >= most:
        raise AssertionError(f"late each time, by {min(late):.3f} s at least, where {most} s are allowed")


def swift(work: Callable[[], object], seconds: float, *, clock: Callable[[], float] = time.thread_time) -> None:
    """Fails where work takes so long each of five times; by default of this thread alone."""
    least = float("inf")
    for _ in range(TRIES):
        begun = clock()
        work()
        least = min(least, clock() - begun)
        if least < seconds:
            return
    raise AssertionError(f"it takes {least:.3f} s at least, where {seconds} s are allowed")
