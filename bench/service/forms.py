"""What is sent: one film of any size, and photos as a camera makes them."""

from __future__ import annotations

import functools
import io
import random
from dataclasses import dataclass

from PIL import Image

MIB = 1 << 20
BOUNDARY = b"----the-boundary-of-the-bench-0123456789"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A head, and the pieces of a body, which may be pieces of one memory."""

    head: bytes
    pieces: tuple[memoryview, ...]

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


def film(size: int) -> Request:
    """An MP4 by its first bytes, and random ones after them."""
    ring = memoryview(random.Random(1).randbytes(8 * MIB))
    first = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + b"\x7f\xff\xff\xffmdat"
    pieces = [memoryview(first)]
    left = size - len(first)
    while left > 0:
        pieces.append(ring[: min(left, len(ring))])
        left -= len(pieces[-1])
    return _form("film.mp4", b"video/mp4", pieces)


@functools.cache
def photo(size: int = 5 * 10**6) -> Request:
    """A JPEG of about so many bytes, of as many pixels as a camera's of that size has: 12 megapixels of 5 MB."""
    scale = (size / 5e6) ** 0.5
    width, height = round(4000 * scale), round(3000 * scale)
    noise = Image.effect_noise((width, height), 60).convert("RGB")
    picture = Image.blend(Image.radial_gradient("L").resize((width, height)).convert("RGB"), noise, 0.5)
    made = b""
    for quality in (95, 90, 85, 80, 75, 65, 55, 45, 35, 25):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        made = out.getvalue()
        if len(made) <= size * 1.05:
            break
    # A comment segment is no part of the picture: it fills up what is missing of the size.
    while len(made) < size - 4:
        more = min(65533, size - len(made) - 4)
        made = made[:2] + b"\xff\xfe" + (more + 2).to_bytes(2, "big") + bytes(more) + made[2:]
    return _form("photo.jpg", b"image/jpeg", [memoryview(made)])


def dripping(length: int = 10**6) -> Request:
    """The head of a request, and the beginning of its body."""
    whole = _form("note.txt", b"text/plain", [memoryview(b"x" * length)])
    return Request(head=whole.head, pieces=whole.pieces[:1])


def _form(name: str, content_type: bytes, data: list[memoryview]) -> Request:
    opening = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\nContent-Type: %b\r\n\r\n' % (
        BOUNDARY,
        name.encode(),
        content_type,
    )
    pieces = (memoryview(opening), *data, memoryview(b"\r\n--" + BOUNDARY + b"--\r\n"))
    head = (
        b"POST /uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=%b\r\n"
        b"Content-Length: %d\r\n\r\n" % (BOUNDARY, sum(map(len, pieces)))
    )
    return Request(head=head, pieces=pieces)
