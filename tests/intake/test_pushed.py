"""The driver whose chunks are handed in."""

from __future__ import annotations

import pytest
from tests.intake.receiving import left_in

from uploadkit import Capacity, MalformedForm, MemoryStorage, Uploader
from uploadkit.intake.blocking import Pushed
from uploadkit.multipart.parser import MultipartParser
from uploadkit.testing import FormBuilder

FORM = FormBuilder(boundary="b").text("title", "x").file("photo", b"1" * 20_000, filename="a.bin")


def pushed(storage: MemoryStorage, capacity: Capacity) -> Pushed[object]:
    """One that has begun."""
    spec = Uploader(storage, capacity=capacity).any()
    return Pushed(spec, MultipartParser(FORM.content_type, spec.limits))


def test_chunks_that_are_handed_in_become_a_form() -> None:
    """Nothing is published before its end, and its place is taken until then."""
    storage, capacity = MemoryStorage(), Capacity()
    form = pushed(storage, capacity)
    for at in range(0, len(FORM.body), 100):
        form.feed(FORM.body[at : at + 100])
    assert (storage.objects, capacity.in_flight, form.ended) == ({}, 1, False)
    submission = form.end().submission
    assert (submission.fields["title"], [file.size for file in submission.files]) == ("x", [20_000])
    assert (len(storage.objects), capacity.in_flight, form.ended) == (1, 0, True)


@pytest.mark.parametrize("way", ["well", "by an error", "abandoned"])
def test_a_form_that_has_ended_takes_nothing_and_gives_its_place_back_once(way: str) -> None:
    """However it ended, and whatever is asked of it afterwards."""
    storage, capacity = MemoryStorage(), Capacity()
    form = pushed(storage, capacity)
    form.feed(FORM.body[:10_000])
    if way == "well":
        form.feed(FORM.body[10_000:])
        form.end()
    elif way == "by an error":
        with pytest.raises(MalformedForm):
            form.feed(b"1" * 20_000 + b"\r\n--b junk\r\n")
    else:
        form.abandon(KeyError("nobody waits for it"))
    form.abandon(KeyError("again"))
    for ask in (lambda: form.feed(b"more"), form.end):
        with pytest.raises(RuntimeError, match="the form has ended"):
            ask()
    assert (form.ended, capacity.in_flight) == (True, 0)
    assert bool(left_in(storage)) == (way == "well")
