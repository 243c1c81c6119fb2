"""Whether what is linear passes, and what is not fails, on a machine that is busy with other things."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.linear import PAIRS, STEP, check_linear
from tests.soak import scaled


class NoisyClock:
    """Tells what work has taken, each stretch of it longer by a factor that chance has chosen."""

    def __init__(self, power: float, noise: Callable[[], float]) -> None:
        self.now = 0.0
        self._power, self._noise = power, noise
        self._spent = 0.0

    def __call__(self) -> float:
        self.now += self._spent * self._noise()
        self._spent = 0.0
        return self.now

    def work(self, size: int) -> Callable[[], None]:
        def spend() -> None:
            self._spent += 1e-8 * size**self._power

        return spend


@pytest.mark.parametrize("seed", range(200))
def test_noise_decides_nothing(seed: int) -> None:
    """Measurements that take up to 2.7 times as long as they would let the linear pass and the quadratic fail."""
    chance = random.Random(seed)
    noise = lambda: chance.choice((1.0, chance.uniform(1.0, 2.7)))  # noqa: E731
    linear = NoisyClock(1, noise)
    check_linear(linear.work, 1000, clock=linear)
    quadratic = NoisyClock(2, noise)
    with pytest.raises(AssertionError, match="times the time"):
        check_linear(quadratic.work, 1000, clock=quadratic)


def test_a_machine_that_stands_still_now_and_then_lets_the_linear_pass() -> None:
    """All pairs but the last may be hit by something that takes fifty times the time."""
    clock = NoisyClock(1, lambda: 1.0)
    larger = 0

    def work(size: int) -> Callable[[], None]:
        spend = clock.work(size)

        def disturbed() -> None:
            nonlocal larger
            larger += size == STEP * 300_000
            for _ in range(50 if size == STEP * 300_000 and larger < PAIRS else 1):
                spend()

        return disturbed

    check_linear(work, 300_000, clock=clock)
    assert larger == PAIRS


def test_an_expression_that_goes_back_and_forth_is_found() -> None:
    """Measured, not played; by a clock that goes fast, since all pairs are looked at."""
    with pytest.raises(AssertionError, match="times the time"):
        check_linear(_quadratic, 200, clock=lambda: 5 * time.thread_time())


@contextmanager
def _busy(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.soak
def test_a_busy_machine_decides_nothing() -> None:
    """With as many busy loops beside it as there are processors."""
    with _busy(os.cpu_count() or 1):
        for _ in range(scaled(100)):
            check_linear(_linear, 3000)
        for _ in range(scaled(20)):
            with pytest.raises(AssertionError, match="times the time"):
                check_linear(_quadratic, 300)


def _linear(size: int) -> Callable[[], object]:
    text = "ab" * size
    return lambda: re.findall("b", text)


def _quadratic(size: int) -> Callable[[], object]:
    text = "a" * size
    return lambda: re.search("a+b", text)
