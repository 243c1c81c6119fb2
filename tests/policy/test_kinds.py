"""Fifty kinds of files as other programs write them: what their first bytes show."""

from __future__ import annotations

import io
import random
import zipfile

import pytest
from tests.samples.catalogue import KINDS, is_right, samples

from uploadkit.policy.accept import Accept, resolve
from uploadkit.policy.media_types import ZIP_KINDS, extension_of
from uploadkit.policy.signatures import HEAD_SIZE, detect


def test_there_are_fifty_kinds_and_samples_of_each() -> None:
    """What is judged here is what the bench counts, and no sample is longer than what a detector is given."""
    assert len(KINDS) == 50
    for kind in KINDS:
        assert [name for name, head in samples(kind).items() if 0 < len(head) <= HEAD_SIZE], kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_of_a_kind_is_recognised(kind: str) -> None:
    """By the name that IANA has for it, whoever wrote the file and in whatever order its entries are."""
    assert {name: detect(head) for name, head in samples(kind).items()} == dict.fromkeys(samples(kind), KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_of_one_kind_takes_its_samples_and_no_others(kind: str) -> None:
    """A field that accepts a kind, and a file that is named as one: the bytes agree with themselves alone."""
    accept = Accept.of(KINDS[kind])
    name = "a" + extension_of(KINDS[kind])
    for head in samples(kind).values():
        assert resolve(head, field="file", filename=name, accept=accept) == KINDS[kind]
    taken = [other for other in KINDS if other != kind and accept.admits(detect(next(iter(samples(other).values()))))]
    assert taken == []


WHOLE = [
    (kind, name)
    for kind in KINDS
    if KINDS[kind] in ZIP_KINDS | {"application/zip"}
    for name, head in samples(kind).items()
    if zipfile.is_zipfile(io.BytesIO(head))
]


@pytest.mark.parametrize(("kind", "name"), WHOLE, ids="/".join)
def test_no_order_of_the_entries_makes_it_another_kind(kind: str, name: str) -> None:
    """A zip file that is in the head as a whole is the same in every order: thirty of them."""
    entries = _entries(samples(kind)[name])
    shuffled = random.Random(name)
    for _ in range(30):
        shuffled.shuffle(entries)
        assert detect(_zipped(entries)) == KINDS[kind]


@pytest.mark.parametrize("kind", ["html", "svg", "xml", "json", "csv", "plain"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_kind_of_text_is_the_same_in_every_encoding_with_a_mark(kind: str, encoding: str) -> None:
    """Text is what it says, in every encoding that says which it is, and also where it is cut in a character."""
    [text] = [head.decode() for name, head in samples(kind).items() if name in (f"utf-8.{kind}", "elementtree.xml")]
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    encoded = (mark + text).encode(encoding)
    assert detect(encoded) == KINDS[kind]
    assert detect(encoded[: len(encoded) * 3 // 4 | 1]) == KINDS[kind]


def test_a_wrong_name_is_not_right() -> None:
    """What judges the bench's peers takes other names of a kind for right, and no other kinds."""
    assert is_right("wav", "audio/x-wav")
    assert not is_right("m4v", "video/mp4")
    assert not is_right("wav", None)


def _entries(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(entry, archive.read(entry)) for entry in archive.infolist()]


def _zipped(entries: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for entry, content in entries:
            archive.writestr(entry.filename, content, entry.compress_type)
    return file.getvalue()
