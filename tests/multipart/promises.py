"""What a form parser promises for every body, as the property tests and the fuzz targets check it."""

from __future__ import annotations

from urllib.parse import parse_qsl

from uploadkit.multipart.events import FORM_END, PART_END, Event, PartBegin
from uploadkit.multipart.parser import MultipartParser

# What a body can be made of that a parser could take for something. Any order of these is tried.
PIECES = (
    b"--b", b"\r\n--b\r\n", b"\r\n--b--", b"\r\n--b", b"--", b"b", b"-", b"\r", b"\n", b"\r\n", b"\r\n\r\n",
    b" ", b"\t", b" " * 64, b"\0", b"\x7f", b"\xc3", b"\xa4", b"\xff", b"1",
    b'"', b"\\", b'\\"', b"%22", b"%0D", b"%00", b"%4", b"%", b"+", b"&", b"=", b";", b":", b"*",
    b"Content-Disposition: form-data", b"content-disposition:", b'; name="a"', b"; name=a", b'; name="',
    b'; filename="x"',
    b"; filename*=utf-8''%e4", b"Content-Type: text/plain", b"; charset=utf-8", b"; charset=",
    b"Content-Transfer-Encoding: base64", b"X: 1", b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
)  # fmt: skip


def check_order(events: tuple[Event, ...], *, complete: bool) -> None:
    """Events come as a form's do, and no name brings a control character along."""
    is_open = False
    for at, event in enumerate(events):
        if isinstance(event, PartBegin):
            assert not is_open
            is_open = True
            for name in (event.name, event.filename or "", event.content_type or ""):
                assert not any((character < " " and character != "\t") or character == "\x7f" for character in name)
        elif event == FORM_END:
            assert not is_open
            assert at == len(events) - 1
        else:
            assert is_open
            is_open = event != PART_END
    assert complete <= (events[-1:] == (FORM_END,))


def held(parser: MultipartParser) -> int:
    """The bytes that a parser holds back, its delimiter included."""
    values = [getattr(parser, slot) for slot in MultipartParser.__slots__]
    return sum(len(value) for value in values if isinstance(value, bytes | bytearray))


def most_held(header_size: int, delimiter: int) -> int:
    """What a parser may hold back: a header block between two delimiters, with the first one's padding."""
    padding, blank_line = 64, len(b"\r\n\r\n")
    return header_size + padding + blank_line + 2 * delimiter


def standard_library(body: bytes) -> list[tuple[bytes, bytes]]:
    """What `urllib.parse` reads, as bytes."""
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def is_name(raw: bytes) -> bool:
    """Whether a field may have this name."""
    try:
        return not any(character < " " or character == "\x7f" for character in raw.decode())
    except UnicodeDecodeError:
        return False
