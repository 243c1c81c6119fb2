"""Eight times the bytes take about eight times the time, also where an attacker chose them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from tests.linear import check_linear

from uploadkit.errors import SenderError
from uploadkit.multipart.headers import boundary_of, read_head
from uploadkit.policy.limits import Limits

from .outcomes import MULTIPART_B, URLENCODED, drain, in_pieces, parser_of

HEAD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
NO_LIMITS = Limits(
    header_size=None,
    header_count=None,
    field_name_size=None,
    filename_size=None,
    preamble_size=None,
    epilogue_size=None,
)
LONG = "-" * 69 + "x"
# Below the size from which memory comes from the system each time, and an expression's stack takes thrice as long.
HEAD_SIZE = 15_000
LONG_TYPE, LONG_HEAD = f"multipart/form-data; boundary={LONG}", HEAD.replace(b"b", LONG.encode(), 1)

BODIES = {
    # name: (content type, beginning, what is repeated, bytes in a chunk, bytes of the smaller body)
    "crs": (MULTIPART_B, HEAD, b"\r", 4096, 250_000),
    "line-ends": (MULTIPART_B, HEAD, b"\r\n", 4096, 250_000),
    "hyphens-in-a-boundary-of-hyphens": (
        LONG_TYPE, LONG_HEAD, b"-", 4096, 250_000
    ),
    "nearly-delimiters": (
        LONG_TYPE, LONG_HEAD, b"\r\n--" + b"-" * 69, 4096, 250_000
    ),
    "half-delimiters-at-the-end-of-every-chunk": (MULTIPART_B, HEAD, b"x" * 60 + b"\r\n--", 64, 60_000),
    "delimiters-cut-in-every-chunk": (MULTIPART_B, b"", HEAD + b"1\r\n", 49, 40_000),
    "tiny-parts": (MULTIPART_B, b"", HEAD + b"1\r\n", 65_536, 100_000),
    "parts-without-bodies": (MULTIPART_B, b"", HEAD, 65_536, 100_000),
    "a-preamble-of-half-delimiters": (MULTIPART_B, b"", b"\r\n--", 4096, 250_000),
    "an-epilogue-of-delimiters": (MULTIPART_B, b"--b--", b"\r\n--b", 4096, 250_000),
    "bytes-one-by-one": (MULTIPART_B, HEAD, b"0123\r\n--", 1, 5000),
    "parts-byte-by-byte": (MULTIPART_B, b"", HEAD + b"1\r\n", 1, 5000),
    "a-header-block-in-one-chunk": (MULTIPART_B, b"--b\r\n", b"X-Y: 1\r\n", 1 << 22, 100_000),
    "urlencoded-ampersands": (URLENCODED, b"", b"&", 65_536, 250_000),
    "urlencoded-pairs": (URLENCODED, b"", b"a=1&", 65_536, 10_000),
    "urlencoded-escapes": (URLENCODED, b"a=", b"%41", 65_536, 50_000),
    "urlencoded-percent-signs": (URLENCODED, b"a=", b"%", 65_536, 20_000),
    "urlencoded-bytes-one-by-one": (URLENCODED, b"a=", b"%4", 1, 5000),
}  # fmt: skip


@pytest.mark.parametrize(("content_type", "beginning", "piece", "chunk", "size"), BODIES.values(), ids=BODIES)
def test_a_body_is_read_in_linear_time(
    content_type: str, beginning: bytes, piece: bytes, chunk: int, size: int
) -> None:
    """No body is dear to read: a sender pays for every byte as much as we do."""

    def work(size: int) -> Callable[[], None]:
        chunks = in_pieces(beginning + piece * (size // len(piece)), chunk)

        def read() -> None:
            with contextlib.suppress(SenderError):
                drain(parser_of(content_type, NO_LIMITS), *chunks)

        return read

    check_linear(work, size)


@pytest.mark.parametrize(
    "piece", [b'\\"', b'";"', b"\\", b'"', b"; x=", b'; x="\\"', b"=", b"*", b"'", b" ", b"\t;", b"%22"]
)
def test_a_header_is_read_in_linear_time(piece: bytes) -> None:
    """No expression over a header goes back and forth."""

    def work(size: int) -> Callable[[], None]:
        head = b'\r\nContent-Disposition: form-data; name=a; filename="' + piece * (size // len(piece)) + b"\x80"

        def read() -> None:
            with contextlib.suppress(SenderError):
                read_head(head, NO_LIMITS)

        return read

    check_linear(work, HEAD_SIZE)


@pytest.mark.parametrize("piece", ['"', ";", " ", "\t;", "boundary", "; x=y", '";"', "="])
def test_a_content_type_is_read_in_linear_time(piece: str) -> None:
    """The one header that is read before any limit of ours counts, after the server's."""

    def work(size: int) -> Callable[[], None]:
        content_type = "multipart/form-data; " + piece * (size // len(piece)) + "; boundary=("

        def read() -> None:
            with contextlib.suppress(SenderError):
                boundary_of(content_type)

        return read

    check_linear(work, HEAD_SIZE)
