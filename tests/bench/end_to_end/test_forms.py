"""What is sent is a form, and the digests are those of its files."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from bench.end_to_end.forms import KIB, MIB, Load

from uploadkit import Limits, MemoryStorage, Uploader, receive

LOADS = [
    Load(requests=3, size=10 * KIB, texts=True),
    Load(requests=2, size=MIB),
    Load(requests=1, size=9 * MIB),  # more than the ring of random bytes
]


@pytest.mark.parametrize("load", LOADS, ids=repr)
def test_a_request_is_a_form_of_the_right_length(load: Load) -> None:
    """Every request is received whole, and its files are those whose digests are expected."""
    spec = Uploader(MemoryStorage(), limits=Limits(file_size=None)).any()
    digests, bodies = [], []
    for number in range(load.requests):
        head, _, body = b"".join(load.request(number)).partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert int(headers["Content-Length"]) == len(body)
        received = receive(spec, headers["Content-Type"], [body])
        assert "|".join([*received.fields.values()] or [""] * 3) == load.answer
        digests.append(hashlib.sha256(received.files[0].read()).hexdigest())
        bodies.append(hashlib.sha256(body).hexdigest())
    assert sorted(digests) == load.digests(bodies=False)
    assert sorted(bodies) == load.digests(bodies=True)


def test_data_at_the_wrong_place_is_not_what_was_sent() -> None:
    """No two blocks of a large file are equal, so that two that were swapped are seen."""
    data = b"".join(Load(requests=1, size=32 * MIB).data(0))
    blocks = sorted(data[at : at + 64 * KIB] for at in range(0, len(data), 64 * KIB))
    assert all(one != other for one, other in pairwise(blocks))


def test_no_two_requests_have_the_same_file() -> None:
    """A server that stores one file many times has not stored what was sent."""
    load = Load(requests=2000, size=10 * KIB)
    assert len(set(load.digests(bodies=False))) == 2000
