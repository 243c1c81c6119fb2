"""Pictures as people send them, and files that are none, or are more than one. All are made here, none is stored."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image, ImageCms, ImageDraw

from uploadkit.testing import sample


def drawn(size: tuple[int, int] = (60, 40), mode: str = "RGB") -> Image.Image:
    """A picture whose corners differ: red, green, blue and white, and black in the middle."""
    picture = Image.new("RGB", size, "black")
    draw = ImageDraw.Draw(picture)
    wide, high = max(1, size[0] // 3), max(1, size[1] // 3)
    for colour, left, top in (
        ("red", 0, 0),
        ("lime", size[0] - wide, 0),
        ("blue", 0, size[1] - high),
        ("white", size[0] - wide, size[1] - high),
    ):
        draw.rectangle((left, top, left + wide - 1, top + high - 1), fill=colour)
    return picture.convert(mode)


def written(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def exif(orientation: int = 6, **more: str) -> bytes:
    """What a camera writes: how it was held, where, when."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Camera of a stranger"
    block[0x0132] = "2026:07:01 12:31:00"
    detail = block.get_ifd(0x8769)
    detail[0x9003] = more.get("taken", "2026:07:01 12:30:00")
    if "offset" in more:
        detail[0x9011] = more["offset"]
    if "note" in more:
        detail[0x927C] = more["note"].encode()
    place = block.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 51.0, 30.0)
    place[3], place[4] = "E", (2.0, 17.0, 40.0)
    return block.tobytes()


def frames(count: int, size: tuple[int, int] = (60, 40)) -> list[Image.Image]:
    """An animation: a bar that moves over what can be seen through."""
    made = []
    for at in range(count):
        frame = Image.new("RGBA", size)
        left = at * size[0] // max(count, 1)
        ImageDraw.Draw(frame).rectangle((left, 0, left + size[0] // 5, size[1]), fill=(255, 40 * at % 256, 0, 255))
        made.append(frame)
    return made


def animated(format: str, count: int, size: tuple[int, int] = (60, 40), duration: int = 80) -> bytes:
    first, *rest = frames(count, size)
    more = {"disposal": 2} if format == "GIF" else {}
    return written(first, format, save_all=True, append_images=rest, duration=duration, loop=0, **more)


def wide_gamut_profile() -> bytes:
    """An ICC profile of RGB that is not sRGB: red and green change places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = _tag(profile, b"rXYZ"), _tag(profile, b"gXYZ")
    profile[red : red + 20], profile[green : green + 20] = profile[green : green + 20], profile[red : red + 20]
    return bytes(profile)


def _tag(profile: bytearray, name: bytes) -> int:
    [count] = struct.unpack_from(">I", profile, 128)
    for at in range(132, 132 + 12 * count, 12):
        if profile[at : at + 4] == name:
            return int.from_bytes(profile[at + 4 : at + 8], "big")
    raise LookupError(name)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, rows: bytes = b"\0\0") -> bytes:
    """A PNG of one bit a pixel that declares these sides, whatever it has."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(rows, 9)) + png_chunk(b"IEND", b"")


def with_sides(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG that declares other sides than it has."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def after_start(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def webp_of(width: int, height: int) -> bytes:
    """An extended WebP that declares a canvas of these sides."""
    small = written(drawn(), "WEBP")[12:]
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides + small
    return b"RIFF" + struct.pack("<I", len(body)) + body


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("run.exe", b"MZ")
    return file.getvalue()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@cache
def real_bomb() -> bytes:
    """196 million pixels in a file of some kilobytes."""
    return png_of(14_000, 14_000, bytes(14_000 * 1751))


@cache
def many_frames(format: str) -> bytes:
    """1500 of them."""
    if format == "WEBP":
        return _many_webp_frames()
    if format == "GIF":
        return GIF[: GIF.index(b",\0\0\0\0")] + GIF[GIF.index(b",\0\0\0\0") : -1] * 1500 + b";"
    pictures = [Image.new("L", (4, 4), at % 256) for at in range(1500)]
    return written(pictures[0], format, save_all=True, append_images=pictures[1:], duration=40)


def _gif_with_frame(width: int, height: int) -> bytes:
    at = GIF.index(b",\0\0\0\0")
    return GIF[: at + 5] + struct.pack("<HH", width, height) + GIF[at + 9 :]


def _many_webp_frames() -> bytes:
    """Of three, over and over: an encoder would join those that are alike."""
    few = animated("WEBP", 3)
    at = few.index(b"ANMF")
    body = few[8:at] + few[at:] * 500
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _many_scans() -> bytes:
    whole = written(drawn((64, 64)), "JPEG", progressive=True)
    at = whole.rindex(b"\xff\xda")
    return whole[:at] + whole[at:-2] * 1000 + whole[-2:]


JPEG = written(drawn(), "JPEG", quality=90)
PNG = written(drawn(), "PNG")
GIF = written(drawn(), "GIF")
WEBP = written(drawn(), "WEBP")

_POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n(/etc/passwd) (r) file\nshowpage\n"
_MVG = (
    b"push graphic-context\nviewbox 0 0 640 480\nfill 'url(https://127.0.0.1/x.jpg\"|ls \"-la)'\npop graphic-context\n"
)
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'

GOOD: dict[str, tuple[str, Callable[[], bytes]]] = {
    # What it is, the name that it is sent with, and how it is made.
    "jpeg": ("a.jpg", lambda: JPEG),
    "jpeg called jpeg": ("A.JPEG", lambda: JPEG),
    "jpeg without an extension": ("image", lambda: JPEG),
    "progressive jpeg": ("a.jpg", lambda: written(drawn(), "JPEG", progressive=True)),
    "gray jpeg": ("a.jpg", lambda: written(drawn(mode="L"), "JPEG")),
    "jpeg of inks": ("a.jpg", lambda: written(drawn(mode="CMYK"), "JPEG")),
    "jpeg of a phone": ("a.jpg", lambda: written(drawn(), "JPEG", exif=exif(), icc_profile=wide_gamut_profile())),
    "jpeg with a maker's note of 60 KB": (
        "a.jpg",
        lambda: written(drawn(), "JPEG", exif=exif(1, note="x" * 60_000)),
    ),
    "jpeg with a depth map of 5 MB": (
        "a.jpg",
        lambda: after_start(JPEG, *[jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000))] * 85),
    ),
    "jpeg with a second picture": (
        "a.jpg",
        lambda: written(drawn(), "MPO", save_all=True, append_images=[drawn((30, 20))]),
    ),
    "jpeg with a film behind it": ("a.jpg", lambda: JPEG + sample("video/mp4", size=5000)),
    "jpeg with zeros behind it": ("a.jpg", lambda: JPEG + bytes(5000)),
    "jpeg with its maker's data behind it": ("a.jpg", lambda: JPEG + b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1655"),
    "png": ("a.png", lambda: PNG),
    "png of a palette": ("a.png", lambda: written(drawn(mode="P"), "PNG")),
    "png of one bit": ("a.png", lambda: written(drawn(mode="1"), "PNG")),
    "png of 16 bits": ("a.png", lambda: written(Image.new("I;16", (60, 40), 40_000), "PNG")),
    "png with alpha": ("a.png", lambda: written(frames(1)[0], "PNG")),
    "png with gray and alpha": ("a.png", lambda: written(frames(1)[0].convert("LA"), "PNG")),
    "animated png": ("a.png", lambda: animated("PNG", 3)),
    "gif": ("a.gif", lambda: GIF),
    "animated gif": ("a.gif", lambda: animated("GIF", 12)),
    "webp": ("a.webp", lambda: WEBP),
    "lossless webp": ("a.webp", lambda: written(frames(1)[0], "WEBP", lossless=True)),
    "webp of a phone": ("a.webp", lambda: written(drawn(), "WEBP", exif=exif())),
    "animated webp": ("a.webp", lambda: animated("WEBP", 12)),
    "avif": ("a.avif", lambda: written(drawn(), "AVIF")),
    "one pixel": ("a.png", lambda: written(drawn((1, 1)), "PNG")),
    "one line": ("a.png", lambda: written(drawn((900, 1)), "PNG")),
    "sample of a jpeg": ("a.jpg", lambda: sample("image/jpeg")),
    "sample of a png": ("a.png", lambda: sample("image/png")),
    "sample of a gif": ("a.gif", lambda: sample("image/gif")),
    "sample of a webp": ("a.webp", lambda: sample("image/webp")),
    "larger sample": ("a.png", lambda: sample("image/png", size="200 KB")),
    "a panorama": ("a.jpg", lambda: written(Image.new("RGB", (16_000, 300)), "JPEG")),
}

BAD: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    # What it is, the name that it is sent with, the filter that refuses it, and how it is made.
    "html as png": ("a.png", "image_format", lambda: sample("text/html")),
    "javascript as jpg": ("a.jpg", "image_format", lambda: b"alert(document.cookie)\n"),
    "a program of Linux as png": ("a.png", "image_format", lambda: b"\x7fELF\2\1\1" + bytes(200)),
    "a program of Windows as jpg": ("a.jpg", "image_format", lambda: b"MZ\x90\0" + bytes(200)),
    "a shell script as png": ("a.png", "image_format", lambda: b"#!/bin/sh\nrm -rf /\n"),
    "php as gif": ("a.gif", "image_format", lambda: b"GIF89a <?php system($_GET[0]); ?>"),
    "mvg as png": ("a.png", "image_format", lambda: _MVG),
    "eps as png": ("a.png", "image_format", lambda: _POSTSCRIPT),
    "eps with a binary head as jpg": ("a.jpg", "image_format", lambda: b"\xc5\xd0\xd3\xc6" + bytes(26) + _POSTSCRIPT),
    "svg as png": ("a.png", "image_format", lambda: _SVG),
    "svg": ("a.svg", "image_format", lambda: _SVG),
    "pdf as jpg": ("a.jpg", "image_format", lambda: sample("application/pdf")),
    "bmp, which nobody named": ("a.bmp", "image_format", lambda: written(drawn(), "BMP")),
    "tiff, which nobody named": ("a.tiff", "image_format", lambda: written(drawn(), "TIFF")),
    "ico": ("a.ico", "image_format", lambda: written(drawn((16, 16)), "ICO")),
    "a photo in heic": ("a.heic", "image_format", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)),
    "an empty file": ("a.png", "image_format", lambda: b""),
    "png as jpg": ("a.jpg", "image_extension", lambda: PNG),
    "jpg as png": ("a.png", "image_extension", lambda: JPEG),
    "png as html": ("a.html", "image_extension", lambda: PNG),
    "jpg as php": ("a.jpg.php", "image_extension", lambda: JPEG),
    "png that declares 60,000 x 60,000": ("a.png", "image_max_pixels", lambda: png_of(60_000, 60_000)),
    "png that declares 2**31 - 1 a side": ("a.png", "image_max_pixels", lambda: png_of(2**31 - 1, 2**31 - 1)),
    "jpeg that declares 60,000 x 60,000": ("a.jpg", "image_max_pixels", lambda: with_sides(JPEG, 60_000, 60_000)),
    "gif that declares 60,000 x 60,000": (
        "a.gif",
        "image_max_pixels",
        lambda: GIF[:6] + struct.pack("<HH", 60_000, 60_000) + GIF[10:],
    ),
    "gif with a frame beyond its screen": ("a.gif", "image_max_pixels", lambda: _gif_with_frame(60_000, 60_000)),
    "webp that declares 16,384 x 16,384": ("a.webp", "image_max_pixels", lambda: webp_of(16_384, 16_384)),
    "webp that declares 2**24 a side": ("a.webp", "image_max_pixels", lambda: webp_of(2**24, 2**24)),
    "png that has 14,000 x 14,000": ("a.png", "image_max_pixels", lambda: real_bomb()),
    "png that is 40,000 wide": ("a.png", "image_max_side", lambda: png_of(40_000, 1, bytes(5001))),
    "gif of 1500 frames": ("a.gif", "image_max_frames", lambda: many_frames("GIF")),
    "webp of 1500 frames": ("a.webp", "image_max_frames", lambda: many_frames("WEBP")),
    "png of 1500 frames": ("a.png", "image_max_frames", lambda: many_frames("PNG")),
    "jpeg with EXIF of 30 MB": (
        "a.jpg",
        "image_cost",
        lambda: after_start(JPEG, *[jpeg_segment(0xE1, b"Exif\0\0" + bytes(60_000))] * 500),
    ),
    "jpeg with 40 MB of comments": (
        "a.jpg",
        "image_cost",
        lambda: after_start(JPEG, *[jpeg_segment(0xFE, bytes(60_000))] * 670),
    ),
    "jpeg of a thousand scans": ("a.jpg", "image_cost", lambda: _many_scans()),
    "png with a text that unfolds to 100 MB": (
        "a.png",
        "image_damaged",
        lambda: PNG[:33] + png_chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(10**8), 1)) + PNG[33:],
    ),
    "png of a million chunks": (
        "a.png",
        "image_cost",
        lambda: PNG[:33] + png_chunk(b"teST", b"") * 200_000 + PNG[33:],
    ),
    "half a jpeg": ("a.jpg", "image_damaged", lambda: JPEG[: len(JPEG) * 3 // 4]),
    "jpeg without its end": ("a.jpg", "image_damaged", lambda: JPEG.removesuffix(b"\xff\xd9")),
    "half a png": ("a.png", "image_damaged", lambda: PNG[: len(PNG) // 2]),
    "half a gif": ("a.gif", "image_damaged", lambda: GIF[: len(GIF) // 2]),
    "half a webp": ("a.webp", "image_damaged", lambda: WEBP[: len(WEBP) // 2]),
    "half an avif": ("a.avif", "image_damaged", lambda: written(drawn((600, 400)), "AVIF")[:600]),
    "an animated gif that ends early": ("a.gif", "image_damaged", lambda: animated("GIF", 12)[:-200]),
    "only the head of a jpeg": ("a.jpg", "image_damaged", lambda: JPEG[:20]),
    "only the head of a png": ("a.png", "image_damaged", lambda: PNG[:8]),
    "png with a wrong checksum": ("a.png", "image_damaged", lambda: flipped(PNG, len(PNG) - 20)),
    "png with a wrong checksum in its header": ("a.png", "image_damaged", lambda: flipped(PNG, 30)),
    "png whose data is too short": ("a.png", "image_damaged", lambda: png_of(600, 400)),
    "jpeg of noise": ("a.jpg", "image_damaged", lambda: JPEG[:4] + bytes(range(256)) * 20),
    "jpeg and zip": ("a.jpg", "image_hidden", lambda: JPEG + archive()),
    "png and zip": ("a.png", "image_hidden", lambda: PNG + archive()),
    "gif and jar, with junk behind": ("a.gif", "image_hidden", lambda: GIF + archive() + bytes(9)),
    "zip inside of a png": ("a.png", "image_hidden", lambda: PNG[:-12] + png_chunk(b"zipp", archive()) + PNG[-12:]),
    "jpeg and html": ("a.jpg", "image_hidden", lambda: JPEG + sample("text/html")),
    "png and javascript": ("a.png", "image_hidden", lambda: PNG + b"\n*/=1;alert(document.cookie)//"),
    "gif and php": ("a.gif", "image_hidden", lambda: GIF + b"<?php system($_GET[0]); ?>"),
    "jpeg with php as its comment": (
        "a.jpg",
        "image_hidden",
        lambda: written(drawn(), "JPEG", comment=b"<?php system($_GET[0]); ?>"),
    ),
    "png with a script in its text": (
        "a.png",
        "image_hidden",
        lambda: PNG[:33] + png_chunk(b"tEXt", b"Title\0<ScRiPt>alert(1)</script>") + PNG[33:],
    ),
    "gif and javascript": ("a.gif", "image_hidden", lambda: b"GIF89a/*" + GIF[8:10] + GIF[10:] + b"*/=1;alert(1)"),
    "jpeg and javascript": (
        "a.jpg",
        "image_hidden",
        lambda: after_start(JPEG, b"\xff\xe0/*" + bytes(0x2F2A - 2)) + b"*/=1;alert(1)",
    ),
    "pdf in the comment of a jpeg": (
        "a.jpg",
        "image_hidden",
        lambda: after_start(JPEG, jpeg_segment(0xFE, sample("application/pdf"))),
    ),
    "phar": ("a.jpg", "image_hidden", lambda: written(drawn(), "JPEG", comment=b"__HALT_COMPILER(); ?>\r\n")),
    "a program behind a png": ("a.png", "image_hidden", lambda: PNG + b"\x7fELF\2\1\1" + bytes(200)),
}
