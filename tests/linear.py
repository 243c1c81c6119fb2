"""Whether work takes time in proportion to its size, as a busy machine can tell.

Eight times the size is eight times the time where work is linear, and 64 times where it is quadratic. The bound lies
between, by a factor of nearly three from both: less than noise does to one measurement, more than it does to several.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

STEP = 8
AT_MOST = 22.0  # the geometric middle of 8 and 64
PAIRS = 5
# Far above what a clock tells apart and what an interrupt takes.
AT_LEAST_SECONDS = 2e-3


def check_linear(
    work: Callable[[int], Callable[[], object]], size: int, *, clock: Callable[[], float] = time.thread_time
) -> None:
    """Fails where work of eight times the size takes more than 22 times the time, five times in a row.

    A pair is measured at a time, so that a machine that grows slower slows both; of the smaller, which less noise can
    disturb more, the best of three counts. Other threads and processes take nothing from the clock.
    """
    small, large = work(size), work(STEP * size)
    ratios: list[float] = []
    collects = gc.isenabled()
    gc.disable()  # what a collection takes is told by what other tests have left
    try:
        small()  # what is done once is done
        times = _times(small, clock)
        while len(ratios) < PAIRS:
            smaller = min(_seconds(small, times, clock) for _ in range(3))
            ratios.append(_seconds(large, times, clock) / smaller)
            if ratios[-1] <= AT_MOST:
                return
    finally:
        if collects:
            gc.enable()
    raise AssertionError(f"{STEP} times the size takes {min(ratios):.0f} times the time, and more")


def _times(work: Callable[[], object], clock: Callable[[], float]) -> int:
    """How often it is done to take long enough to be measured."""
    times = 1
    while (seconds := _seconds(work, times, clock)) < AT_LEAST_SECONDS:
        times = max(times + 1, min(10 * times, round(1.2 * times * AT_LEAST_SECONDS / max(seconds, 1e-9))))
    return times


def _seconds(work: Callable[[], object], times: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(times):
        work()
    return clock() - start
