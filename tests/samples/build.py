# ruff: noqa: RUF001  the texts are in several scripts on purpose
"""Makes the samples in `kinds/`: `python tests/samples/build.py`.

Every file is written by a program that people write such files with, so that a detector is judged by what it will meet
and not by what its author had in mind. A sample is cut after the bytes that a detector is given, 8 KiB, which keeps
the folder small; `made-with.txt` beside them has the versions. Needs, on Debian:

    apt-get install --no-install-recommends libreoffice-writer libreoffice-calc libreoffice-impress ffmpeg \
        libheif-examples default-jdk-headless aapt binutils gzip
    pip install pillow pillow-heif py7zr openpyxl python-docx python-pptx odfpy

No test needs any of them: the files are in the repository.
"""

from __future__ import annotations

import csv
import ctypes
import io
import json
import platform
import random
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import docx
import openpyxl
import pillow_heif
import pptx
import py7zr
from odf import opendocument, table, text
from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent / "kinds"
HEAD_SIZE = 8192

PROSE = (
    "Der Zug nach Kraków fährt um halb neun. Wer früher da ist, trinkt noch einen Kaffee, und wer später kommt, sieht "
    "ihm nach.\nТак бывает и с письмами. 手紙も同じです。\n"
)
ROWS = [["name", "city", "paid"], ["Zoë", "Kraków, PL", "12.50"], ["Иван", "Тверь", "7"], ["M. 'X'", "a;b", "0.1"]]
NOTE = {"title": "Straße", "tags": ["a", "b"], "pages": 3, "done": False, "parent": None, "rate": -1.5e-3}


def write(kind: str, name: str, data: bytes) -> None:
    """One sample: what a detector is given of it."""
    (FOLDER / kind).mkdir(parents=True, exist_ok=True)
    (FOLDER / kind / name).write_bytes(data[:HEAD_SIZE])


def run(*command: str | Path, folder: Path, stdin: bytes | None = None) -> bytes:
    """What a program writes to its standard output."""
    done = subprocess.run([*map(str, command)], cwd=folder, input=stdin, capture_output=True, check=True)
    return done.stdout


def saved(save: Callable[[Any], object]) -> bytes:
    """What is saved into a file."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


# Pictures


def picture(size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A small one that compresses well and is not of one colour."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(image).ellipse((4, 4, 28, 28), fill=(200, 40, 40))
    return image


def pictures() -> None:
    """Pillow writes what browsers show, libheif what phones send."""
    image, exif = picture(), Image.Exif()
    exif[0x010F] = "Maker"
    frames: dict[str, Any] = {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
    ways: dict[str, dict[str, dict[str, Any]]] = {
        "jpeg": {"baseline.jpg": {}, "exif-progressive.jpg": {"exif": exif, "progressive": True}},
        "png": {"plain.png": {}, "animated.png": frames},
        "gif": {"still.gif": {}, "animated.gif": frames},
        "webp": {"lossy.webp": {}, "lossless.webp": {"lossless": True}, "animated.webp": frames},
        "avif": {"still.avif": {}, "animated.avif": frames},
        "tiff": {
            "plain.tif": {},
            "big.tif": {"big_tiff": True},
            "lzw-pages.tif": {"compression": "tiff_lzw", **frames},
        },
        "bmp": {"plain.bmp": {}},
        "ico": {"png.ico": {"sizes": [(32, 32)]}, "bmp.ico": {"sizes": [(16, 16), (32, 32)], "bitmap_format": "bmp"}},
    }
    for kind, by_name in ways.items():
        for name, options in by_name.items():
            write(kind, name, saved(lambda file: image.save(file, kind, **options)))  # noqa: B023  called here
    pillow_heif.register_heif_opener()
    write("heic", "pillow-heif.heic", saved(lambda file: image.save(file, "HEIF")))
    write("heic", "pages.heic", saved(lambda file: image.save(file, "HEIF", **frames)))
    deep = pillow_heif.from_bytes(mode="RGB;16", size=(64, 64), data=bytes(range(256)) * 96)
    write("heic", "ten-bits.heic", saved(deep.save))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        image.save(folder / "in.png")
        run("heif-enc", "in.png", "-o", "out.heic", folder=folder)
        write("heic", "heif-enc.heic", (folder / "out.heic").read_bytes())
        run("heif-enc", "-A", "in.png", "-o", "out.avif", folder=folder)
        write("avif", "heif-enc.avif", (folder / "out.avif").read_bytes())
        _mask(folder / "mask.heif")
        write("heif", "mask.heif", (folder / "mask.heif").read_bytes())


def _mask(path: Path) -> None:
    """A HEIF that is no HEIC: a mask is coded by libheif itself. No package of Python lets that be chosen."""
    [found] = Path(pillow_heif.__file__).parent.with_name("pillow_heif.libs").glob("libheif*.so*")
    libheif = ctypes.CDLL(str(found))
    for name in ("get_encoder_for_format", "encode_image", "write_to_file"):
        getattr(libheif, f"heif_context_{name}").restype = _HeifError
    for name in ("create", "add_plane"):
        getattr(libheif, f"heif_image_{name}").restype = _HeifError
    libheif.heif_context_alloc.restype = ctypes.c_void_p
    context, encoder, image, handle = ctypes.c_void_p(libheif.heif_context_alloc()), *(ctypes.c_void_p() for _ in "123")
    monochrome, channel_y, compression_mask = 2, 0, 9
    for error in (
        libheif.heif_context_get_encoder_for_format(context, compression_mask, ctypes.byref(encoder)),
        libheif.heif_image_create(64, 64, monochrome, channel_y, ctypes.byref(image)),
        libheif.heif_image_add_plane(image, channel_y, 64, 64, 8),
        libheif.heif_context_encode_image(context, image, encoder, None, ctypes.byref(handle)),
        libheif.heif_context_write_to_file(context, str(path).encode()),
    ):
        if error.code:
            raise RuntimeError(error.message)


class _HeifError(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("subcode", ctypes.c_int), ("message", ctypes.c_char_p)]


# Sound and films

FILM = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=0.2")
SOUND = ("-f", "lavfi", "-i", "sine=duration=0.2")
CODECS = ("-c:v", "mpeg4", "-c:a", "aac")

MEDIA: dict[str, dict[str, tuple[str, ...]]] = {
    "mp4": {
        "moov-last.mp4": (*FILM, *SOUND, *CODECS),
        "moov-first.mp4": (*FILM, *SOUND, *CODECS, "-movflags", "faststart"),
        "fragments.mp4": (*FILM, *SOUND, *CODECS, "-movflags", "frag_keyframe+empty_moov"),
        "h264.mp4": (*FILM, "-c:v", "libx264", "-movflags", "faststart"),
    },
    "m4v": {"film.m4v": (*FILM, *SOUND, *CODECS, "-f", "ipod")},
    "mov": {
        "moov-last.mov": (*FILM, *SOUND, *CODECS),
        "moov-first.mov": (*FILM, *SOUND, *CODECS, "-movflags", "faststart"),
    },
    "3gp": {"h263.3gp": (*FILM, *SOUND, "-s", "176x144", "-c:v", "h263", "-c:a", "aac", "-ar", "8000")},
    "avi": {"film.avi": (*FILM, *SOUND, "-c:v", "mjpeg", "-c:a", "pcm_s16le")},
    "webm": {"vp8.webm": (*FILM, *SOUND, "-c:v", "libvpx"), "vp9.webm": (*FILM, "-c:v", "libvpx-vp9")},
    "mkv": {"film.mkv": (*FILM, *SOUND, *CODECS)},
    "mpeg": {"mpeg1.mpg": (*FILM, *SOUND, "-r", "25"), "dvd.mpg": (*FILM, *SOUND, "-r", "25", "-f", "vob")},
    "m4a": {"moov-last.m4a": SOUND, "moov-first.m4a": (*SOUND, "-movflags", "faststart")},
    "mp3": {
        "id3.mp3": (*SOUND, "-metadata", "title=Tone"),
        "frames.mp3": (*SOUND, "-id3v2_version", "0", "-write_xing", "0"),
        "mpeg-2.mp3": (*SOUND, "-id3v2_version", "0", "-write_xing", "0", "-ar", "22050"),
        "mpeg-2.5.mp3": (*SOUND, "-id3v2_version", "0", "-write_xing", "0", "-ar", "8000"),
    },
    "aac": {"adts.aac": SOUND},
    "flac": {"tone.flac": SOUND},
    "ogg": {"vorbis.ogg": (*SOUND, "-c:a", "libvorbis"), "opus.opus": (*SOUND, "-c:a", "libopus")},
    "wav": {"pcm.wav": (*SOUND, "-ar", "8000"), "float.wav": (*SOUND, "-ar", "8000", "-c:a", "pcm_f32le")},
}


def media() -> None:
    """All by ffmpeg."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for kind, by_name in MEDIA.items():
            for name, options in by_name.items():
                run("ffmpeg", "-v", "error", "-y", *options, "-fflags", "+bitexact", name, folder=folder)
                write(kind, name, (folder / name).read_bytes())


# Documents

CONVERSIONS = {
    "writer": ("docx", "odt", "doc", "rtf", "pdf", "epub", "html", "txt:Text (encoded):UTF8"),
    "calc": ("xlsx", "ods", "xls", "csv"),
    "impress": ("pptx", "odp", "ppt", "svg"),
}
KIND_OF_SUFFIX = {"txt": "plain"}


def documents() -> None:
    """LibreOffice, and the libraries that programs write documents with."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _text_document().save(folder / "writer.docx")
        _workbook().save(folder / "calc.xlsx")
        _presentation().save(folder / "impress.pptx")
        for program, formats in CONVERSIONS.items():
            [source] = folder.glob(f"{program}.*")
            for wanted in formats:
                suffix = wanted.partition(":")[0]
                out = folder / "out"
                run("soffice", "--headless", "--convert-to", wanted, "--outdir", out, source, folder=folder)
                kind = KIND_OF_SUFFIX.get(suffix, suffix)
                data = (out / f"{program}.{suffix}").read_bytes()
                write(kind, f"libreoffice-{program}.{suffix}", data)
                if zipfile.is_zipfile(io.BytesIO(data)):
                    all_orders = program == "writer"  # of an Office document, an OpenDocument and a book
                    orders = ["reversed", "by-name", "streamed"] if all_orders else ["reversed"]
                    reordered(kind, f"libreoffice-{program}.{suffix}", data, orders)
        for kind, library, source in (
            ("docx", "python-docx", folder / "writer.docx"),
            ("xlsx", "openpyxl", folder / "calc.xlsx"),
            ("pptx", "python-pptx", folder / "impress.pptx"),
        ):
            write(kind, f"{library}.{kind}", source.read_bytes())
            reordered(kind, f"{library}.{kind}", source.read_bytes(), ["reversed"])
    for kind, document in (
        ("odt", opendocument.OpenDocumentText()),
        ("ods", opendocument.OpenDocumentSpreadsheet()),
        ("odp", opendocument.OpenDocumentPresentation()),
    ):
        if kind == "odt":
            document.text.addElement(text.P(text=PROSE))
        if kind == "ods":
            document.spreadsheet.addElement(table.Table(name="Rows"))
        data = saved(document.write)
        write(kind, f"odfpy.{kind}", data)
        reordered(kind, f"odfpy.{kind}", data, ["reversed"])
    pdf = saved(lambda file: picture().save(file, "PDF"))
    write("pdf", "pillow.pdf", pdf)
    for junk, before in JUNK.items():
        write("pdf", f"after-{junk}.pdf", before + pdf)


JUNK = {
    # What mail programs, scanners, old Macs and servers put before a PDF. Readers look for its beginning in the first
    # 1024 bytes.
    "blank-lines": b"\r\n\r\n",
    "headers": b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 1234\r\n\r\n",
    "a-job": b"\x1b%-12345X@PJL JOB\r\n@PJL SET RESOLUTION=600\r\n@PJL ENTER LANGUAGE=PDF\r\n",
    "macbinary": b"\x00\x08document" + bytes(55) + b"PDF CARO" + bytes(55),
    "zeros": bytes(1000),
}


def _text_document() -> Any:
    document = docx.Document()
    document.add_heading("Letters", 0)
    document.add_paragraph(PROSE)
    return document


def _workbook() -> Any:
    workbook = openpyxl.Workbook()
    for row in ROWS:
        workbook.active.append(row)
    return workbook


def _presentation() -> Any:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[0])
    slide.shapes.title.text = "Letters"
    return presentation


def reordered(kind: str, name: str, data: bytes, orders: Sequence[str]) -> None:
    """The same zip file with its entries in other orders, and written to a pipe, as servers that stream do."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    by_name = sorted(entries, key=lambda each: each[0].filename.lower())
    in_order = {"reversed": entries[::-1], "by-name": by_name, "streamed": entries}
    for order in orders:
        file = _Pipe() if order == "streamed" else io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:  # type: ignore[call-overload]  # asks for no more than it has
            for entry, content in in_order[order]:
                archive.writestr(entry.filename, content, entry.compress_type)
        write(kind, f"{order}-{name}", file.getvalue())


class _Pipe:
    """What can be written to and does not say where it is."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        pass

    def getvalue(self) -> bytes:
        return bytes(self._written)


# Archives and programs

JAVA = 'public class Hello { public static void main(String[] a) { System.out.println("Hello"); } }'
MANIFEST = """\
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="org.example"><application/></manifest>
"""
ASSEMBLY = ".globl _start\n_start: mov $60, %eax\n xor %edi, %edi\n syscall\n"


def archives() -> None:
    """zipfile, tarfile, gzip and py7zr; the JDK's jar and Android's aapt."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "letters.txt").write_text(PROSE * 5, encoding="utf-8")
        (folder / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
        files = ["letters.txt", "table.csv"]
        for name, compression in (("deflated", zipfile.ZIP_DEFLATED), ("stored", zipfile.ZIP_STORED)):
            with zipfile.ZipFile(folder / "a.zip", "w", compression) as archive:
                for file in files:
                    archive.write(folder / file, file)
            write("zip", f"{name}.zip", (folder / "a.zip").read_bytes())
        reordered("zip", "zipfile.zip", (folder / "a.zip").read_bytes(), ["reversed", "streamed"])
        for name, form in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
            with tarfile.open(folder / "a.tar", "w", format=form) as tar:
                for file in files:
                    tar.add(folder / file, file)
            write("tar", f"{name}.tar", (folder / "a.tar").read_bytes())
        run("gzip", "--keep", "letters.txt", folder=folder)
        write("gzip", "letters.txt.gz", (folder / "letters.txt.gz").read_bytes())
        with tarfile.open(folder / "a.tgz", "w:gz") as tar:
            tar.add(folder / "letters.txt", "letters.txt")
        write("gzip", "tarfile.tgz", (folder / "a.tgz").read_bytes())
        with py7zr.SevenZipFile(folder / "a.7z", "w") as seven:
            seven.write(folder / "letters.txt", "letters.txt")
        write("7z", "py7zr.7z", (folder / "a.7z").read_bytes())

        (folder / "Hello.java").write_text(JAVA, encoding="utf-8")
        run("javac", "Hello.java", folder=folder)
        run("jar", "--create", "--main-class", "Hello", "--file", "a.jar", "Hello.class", folder=folder)
        write("jar", "jdk.jar", (folder / "a.jar").read_bytes())
        reordered("jar", "jdk.jar", (folder / "a.jar").read_bytes(), ["reversed", "by-name", "streamed"])
        (folder / "AndroidManifest.xml").write_text(MANIFEST, encoding="utf-8")
        run("aapt", "package", "-M", "AndroidManifest.xml", "-F", "a.apk", folder=folder)
        run("aapt", "add", "a.apk", "letters.txt", folder=folder)
        write("apk", "aapt.apk", (folder / "a.apk").read_bytes())
        reordered("apk", "aapt.apk", (folder / "a.apk").read_bytes(), ["reversed", "by-name", "streamed"])

        (folder / "a.s").write_text(ASSEMBLY, encoding="utf-8")
        run("as", "a.s", "-o", "a.o", folder=folder)
        for kind, name, options in (
            ("elf", "program", ("-s",)),
            ("elf", "library.so", ("-s", "-shared")),
            ("exe", "program.exe", ("-s", "-m", "i386pep", "-e", "_start")),
        ):
            run("ld", *options, "a.o", "-o", name, folder=folder)
            write(kind, name, (folder / name).read_bytes())


# Texts

ENCODINGS = {"utf-8": "utf-8", "utf-8-mark": "utf-8-sig", "utf-16": "utf-16", "utf-16-be": "utf-16-be"}


def texts() -> None:
    """What the standard library writes and what LibreOffice wrote, in the encodings that editors and Excel offer."""
    element = ElementTree.Element("letters")
    for row in ROWS:
        ElementTree.SubElement(element, "letter", city=row[1]).text = row[0]
    tree = ElementTree.ElementTree(element)
    write("xml", "elementtree.xml", saved(lambda file: tree.write(file, "utf-8", xml_declaration=True)))
    write("xml", "without-a-declaration.xml", saved(lambda file: tree.write(file, "utf-8", xml_declaration=False)))
    write("xml", "utf-16.xml", saved(lambda file: tree.write(file, "utf-16")))
    for kind, content in (
        ("plain", PROSE),
        ("json", json.dumps(NOTE, ensure_ascii=False, indent=2)),
        ("csv", _csv()),
        ("html", (FOLDER / "html" / "libreoffice-writer.html").read_text(encoding="utf-8")),
        ("svg", (FOLDER / "svg" / "libreoffice-impress.svg").read_text(encoding="utf-8", errors="ignore")),
    ):
        for name, encoding in ENCODINGS.items():
            mark = "\ufeff" if encoding == "utf-16-be" else ""
            write(kind, f"{name}.{kind}", (mark + content[:1200]).encode(encoding))
    write(
        "plain",
        "windows-1251.txt",
        "Так бывает и с письмами.\r\nНикто не знает, когда они придут.\r\n".encode("cp1251"),
    )
    write("plain", "shift-jis.txt", "手紙も同じです。\r\n".encode("shift_jis"))
    write("json", "compact.json", json.dumps([NOTE] * 3, separators=(",", ":")).encode())
    write("csv", "excel-german.csv", _csv(delimiter=";").encode("cp1252", errors="replace"))


def _csv(**options: Any) -> str:
    file = io.StringIO()
    csv.writer(file, **options).writerows(ROWS)
    return file.getvalue()


def versions() -> Iterable[str]:
    """The programs, and the libraries that wrote with them."""
    yield f"Python {platform.python_version()}: zipfile, tarfile, csv, json, xml.etree"
    for name in ("pillow", "pillow-heif", "py7zr", "openpyxl", "python-docx", "python-pptx", "odfpy"):
        yield f"{name} {version(name)}"
    help_text = subprocess.run(["heif-enc", "--help"], capture_output=True, text=True, check=False)
    yield (help_text.stdout + help_text.stderr).strip().partition("\n")[0].strip()
    for command in ("soffice --version", "ffmpeg -version", "jar --version", "aapt version",
                    "ld --version", "gzip --version"):  # fmt: skip
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        yield (done.stdout or done.stderr).strip().partition("\n")[0].strip()


def main() -> None:
    """Makes the folder anew."""
    random.seed(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for make in (pictures, media, documents, archives, texts):
        make()
    FOLDER.joinpath("made-with.txt").write_text("\n".join(versions()) + "\n", encoding="utf-8")
    sizes = [path.stat().st_size for path in FOLDER.glob("*/*")]
    print(f"{len(sizes)} samples, {sum(sizes)} bytes")


if __name__ == "__main__":
    main()
