"""What a file is: its first bytes, its name and its declared type give a type that is known, or a `FileRefused`; what
users write as `accept` gives types that are known, or a `ValueError`."""

from __future__ import annotations

from tests.policy.test_accept import HEADS
from tests.policy.test_signatures import HOSTILE, MAGIC, TEXTS

from uploadkit.errors import FileRefused
from uploadkit.policy.accept import AUDIO, DOCUMENTS, IMAGES, VIDEOS, Accept, resolve
from uploadkit.policy.media_types import EXTENSIONS, OCTET_STREAM, canonical
from uploadkit.policy.signatures import HEAD_SIZE, detect

from .choices import Choices, text_of

KNOWN = {*EXTENSIONS, OCTET_STREAM}
ACCEPTED = (None, IMAGES, DOCUMENTS, VIDEOS, AUDIO, Accept.of(OCTET_STREAM, "text/*", ".html", ".svg", ".zip"))

_TYPES_OF_AN_OFFICE = b"PK\x03\x04\x14\x00\x08\x00\x08\x00" + bytes(16) + b"\x13\x00\x00\x00[Content_Types].xml"
BROKEN = (
    _TYPES_OF_AN_OFFICE + b"\xff" * 40,
    b"\xff\xfe\x00\xd8\x00\x00",
    b"\xff\xfe\x00\x00" + b"\xff" * 8,
    b'a,"b\r\n1,\r2',
)

WORDS = (
    *(b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\x00\x00", b"\xef\xbb\xbf", _TYPES_OF_AN_OFFICE),
    *MAGIC,
    *(extension.encode() for extension in (".jpg", ".svg", ".md", ".csv", ".m4a", ".docx")),
    *(b"word/document.xml", b"[Content_Types].xml", b"mimetype", b"ftyp", b"moov", b"<?xml ", b"<svg", b"<!--", b"-->"),
    *(b"image/*", b"text/plain", b"application/octet-stream", b"{", b'"', b",", b";", b"\\", b"\r\n"),
)
SEEDS = (
    *(bytes([0]) + b"a.bin\nimage/png\n" + head for head in (*HEADS, *BROKEN)),
    *(bytes([at]) + b"a.jpg\n\n" + head for at in range(len(ACCEPTED)) for head in HEADS),
    *(bytes([2]) + b"a.csv\ntext/csv\n" + text.encode("utf-8", "replace") for text in TEXTS),
    *(bytes([0]) + b"a\n\n" + (head * HEAD_SIZE)[:HEAD_SIZE] for head in HOSTILE.values()),
)


def check(data: bytes) -> None:
    """Which types are accepted, a name, a declared type, and the first bytes."""
    choices = Choices(data)
    accept = choices.of(ACCEPTED)
    filename, declared, head = text_of(choices.line()), choices.line().decode("latin-1"), choices.rest()
    shown = detect(head)
    assert shown in KNOWN
    assert detect(head[:HEAD_SIZE]) == shown
    assert resolve(head, field="f", filename=filename, declared_type=declared) in KNOWN
    try:
        content_type: str | None = resolve(head, field="f", filename=filename, declared_type=declared, accept=accept)
    except FileRefused as refused:
        assert accept is not None
        content_type = refused.detected
    else:
        assert accept is None or accept.admits(str(content_type))
    assert content_type in KNOWN
    for item in (declared, filename):
        check_accept(item)


def check_accept(item: str) -> None:
    """What a user writes as `accept`."""
    assert canonical(canonical(item)) == canonical(item)
    try:
        types = Accept.of(item).types
    except ValueError as refused:
        if type(refused) is not ValueError:
            raise
        return
    assert types
    assert types <= KNOWN
