"""Sizes as users write them, and the limits of a request."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadkit.policy.limits import Limits, parse_size

SIZES = ["body_size", "file_size", "files_size", "field_size", "fields_size", "field_name_size", "filename_size"]
SIZES += ["header_size", "preamble_size", "epilogue_size", "min_rate"]
COUNTS = ["files", "fields", "parts", "header_count"]


def limits_of(rules: dict[str, Any]) -> Limits:
    """Limits by names that a test has as text."""
    return Limits(**rules)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0),
        (5_000_000, 5_000_000),
        ("0", 0),
        ("17", 17),
        ("17 B", 17),
        ("5 MB", 5_000_000),
        ("5MB", 5_000_000),
        ("5 mb", 5_000_000),
        ("  5   MB ", 5_000_000),
        ("64 KiB", 65_536),
        ("64 kib", 65_536),
        ("1 KB", 1000),
        ("1 GB", 10**9),
        ("2 TB", 2 * 10**12),
        ("1 MiB", 2**20),
        ("1 GiB", 2**30),
        ("1 TiB", 2**40),
        ("1.5 MB", 1_500_000),
        ("0.5 KiB", 512),
        ("1.0001 KB", 1000),  # never more than what is written
        ("0.1 GB", 100_000_000),
        ("9007199254740993", 9007199254740993),  # more than a float can hold
    ],
)
def test_a_size_is_bytes_or_a_text_with_a_unit(written: int | str, size: int) -> None:
    """Decimal units are powers of 1000, binary ones of 1024, and nothing is rounded up."""
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written",
    ["", " ", "MB", "5 M", "5 K", "5 PB", "five MB", "-5 MB", "+5 MB", "5 MB 3 KB", "1e6", "1,5 MB", "1_000", ".5 MB",
     "5. MB", "1.2.3", "\u0665 MB", "5\x00MB", "inf", "nan", -1],
)  # fmt: skip
def test_what_is_no_size_is_a_value_error(written: int | str) -> None:
    """A mistake in a limit is never read as some other limit."""
    with pytest.raises(ValueError, match=r"not a size|not negative"):
        parse_size(written)


@pytest.mark.parametrize("written", [True, False, None, 1.5, b"5 MB", [5], object()])
def test_a_size_of_another_type_is_a_type_error(written: object) -> None:
    """A float or a flag is a mistake."""
    with pytest.raises(TypeError, match="a size is an int or a text"):
        parse_size(written)  # type: ignore[arg-type]  # on purpose


@given(number=st.integers(0, 10**15), unit=st.sampled_from(["", "B", "kB", "MB", "GB", "KiB", "MiB", "GiB"]))
def test_a_whole_number_of_units_is_exact(number: int, unit: str) -> None:
    """No float is on the way."""
    power = {"k": 1, "m": 2, "g": 3}.get(unit[:1].lower(), 0)
    assert parse_size(f"{number} {unit}") == number * (1024 if "i" in unit else 1000) ** power


@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_sizes(text: str) -> None:
    """A size, or a ValueError."""
    with contextlib.suppress(ValueError):
        assert parse_size(text) >= 0


DEFAULTS = {
    "body_size": 256 * 2**20,
    "file_size": 64 * 2**20,
    "files_size": 256 * 2**20,
    "files": 100,
    "fields": 1000,
    "parts": 1100,
    "field_size": 2**20,
    "fields_size": 8 * 2**20,
    "field_name_size": 1024,
    "filename_size": 1024,
    "header_count": 16,
    "header_size": 8 * 1024,
    "preamble_size": 8 * 1024,
    "epilogue_size": 8 * 1024,
    "idle_seconds": 30,
    "min_rate": 1024,
}


def test_every_limit_is_finite_unless_it_is_lifted() -> None:
    """Who writes `Limits()` is safe, and knows what it means."""
    assert {name: getattr(Limits(), name) for name in DEFAULTS} == DEFAULTS
    assert {field.name for field in dataclasses.fields(Limits)} == DEFAULTS.keys()


@pytest.mark.parametrize("name", DEFAULTS)
def test_no_limit_is_written_out(name: str) -> None:
    """`None` lifts the limit that it is given for, and no other."""
    limits = limits_of({name: None})
    assert {each: getattr(limits, each) for each in DEFAULTS} == DEFAULTS | {name: None}


@pytest.mark.parametrize("name", SIZES)
def test_a_size_is_read_as_bytes(name: str) -> None:
    """A text and the bytes that it means make equal limits."""
    assert getattr(limits_of({name: "64 KiB"}), name) == 65_536
    assert limits_of({name: "64 KiB"}) == limits_of({name: 65_536})
    assert hash(limits_of({name: "64 KiB"})) == hash(limits_of({name: 65_536}))
    assert limits_of({name: 0}) != Limits()


@pytest.mark.parametrize("name", SIZES)
def test_a_limit_that_is_no_size_raises_when_it_is_built(name: str) -> None:
    """A mistake never waits for the first upload."""
    with pytest.raises(ValueError, match="not a size"):
        limits_of({name: "5 megabytes"})
    with pytest.raises(ValueError, match="not negative"):
        limits_of({name: -1})
    with pytest.raises(TypeError):
        limits_of({name: 1.5})


@pytest.mark.parametrize("name", COUNTS)
def test_a_limit_that_is_no_count_raises_when_it_is_built(name: str) -> None:
    """A count is an int, and says its name when it is not."""
    for wrong in ("5", 1.5, True):
        with pytest.raises(TypeError, match=name):
            limits_of({name: wrong})
    with pytest.raises(ValueError, match=name):
        limits_of({name: -1})
    assert getattr(limits_of({name: 0}), name) == 0


def test_a_time_that_is_no_time_raises_when_it_is_built() -> None:
    """Seconds are more than none, and there is an end to them."""
    for wrong in ("5", True):
        with pytest.raises(TypeError, match="idle_seconds"):
            limits_of({"idle_seconds": wrong})
    for endless in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="idle_seconds"):
            limits_of({"idle_seconds": endless})
    assert limits_of({"idle_seconds": 0.5}).idle_seconds == 0.5


def test_limits_are_a_value() -> None:
    """They can be compared, kept in sets, copied, sent to another process, and changed only into others."""
    limits = Limits(file_size="5 MB")
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.files = 5  # type: ignore[misc]  # on purpose
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.file_size = 5  # type: ignore[misc]  # on purpose
    assert copy.deepcopy(limits) == limits
    assert pickle.loads(pickle.dumps(limits)) == limits
    assert dataclasses.replace(limits, files=3) == Limits(file_size=5_000_000, files=3)
    assert limits == Limits(file_size=5_000_000)
    assert limits in {Limits(file_size=5_000_000)}
    assert "file_size=5000000" in repr(limits)


def test_limits_are_given_by_name() -> None:
    """A number without a name says nothing, and a name that is misspelled is no limit."""
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[call-arg]  # on purpose
    with pytest.raises(TypeError):
        Limits(flie_size=5)  # type: ignore[call-arg]  # on purpose


def test_limits_of_ones_own_are_limits() -> None:
    """A subclass reads and checks what it is given as `Limits` does."""

    class Ours(Limits):
        pass

    assert Ours(file_size="5 MB").file_size == 5_000_000
    with pytest.raises(ValueError, match="not negative"):
        Ours(body_size=-4)
