"""What a field takes, and which files it refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadkit.errors import FileRefused
from uploadkit.policy.accept import AUDIO, DOCUMENTS, IMAGES, VIDEOS, Accept, AcceptRule, foresee, resolve
from uploadkit.policy.media_types import ACTIVE, EXTENSIONS, OCTET_STREAM

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
DOCX = b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(16) + b"\x11\x00\x00\x00word/document.xml"
ZIP = b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(16) + b"\x05\x00\x00\x00a.txt"
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42"
WEBM = b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm" + bytes(40)
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
CSV = b"name,size\r\na.jpg,1\r\n"
COLUMN = b"name\r\nanna\r\n"
TEXT = b"just some words"
JSON = b'{"a": 1}'
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
HTML = b"<!DOCTYPE html><p>hi"
PHP = b"<?php system($_GET['c']);"
UNKNOWN = b"BLENDER-v300\x00\x01\x02"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)

DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("rule", "types"),
    [
        ("image/png", {"image/png"}),
        ("IMAGE/PNG", {"image/png"}),
        ("image/jpg", {"image/jpeg"}),
        (".pdf", {"application/pdf"}),
        (".PDF", {"application/pdf"}),
        (".jpeg", {"image/jpeg"}),
        (".mp4", {"video/mp4", "audio/mp4"}),
        (".svg", {"image/svg+xml"}),
        ("image/svg+xml", {"image/svg+xml"}),
        ("font/*", {"font/woff", "font/woff2", "font/ttf", "font/otf"}),
        (["image/png", ".pdf"], {"image/png", "application/pdf"}),
        (("image/png", ["image/gif"]), {"image/png", "image/gif"}),
        ({"image/png"}, {"image/png"}),
        ([Accept.of("image/png"), "image/gif"], {"image/png", "image/gif"}),
        ("application/octet-stream", {OCTET_STREAM}),
    ],
)
def test_a_rule_means_types(rule: AcceptRule, types: set[str]) -> None:
    """Media types, wildcards, extensions, groups and lists of them are ways to write a set of types."""
    assert Accept.of(rule) == Accept(frozenset(types))


def test_rules_may_be_given_side_by_side_or_as_a_list() -> None:
    """Both ways to write several are the same value."""
    assert Accept.of(IMAGES, ".pdf") == Accept.of([".pdf", IMAGES])
    assert Accept.of(IMAGES) == IMAGES
    assert hash(Accept.of("image/jpg")) == hash(Accept.of("image/jpeg"))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ([], "empty"),
        ("", "no media type"),
        ("!image/png", "name the types that are let in"),
        ("-image/*", "name the types that are let in"),
        (["image/*", "!image/png"], "name the types that are let in"),
        ("*/*", "leave accept out"),
        ("*", "leave accept out"),
        ("image", "no media type"),
        ("png", "no media type"),
        ("image/", "no media type"),
        ("image/p*", "no media type"),
        ("*/png", "no media type"),
        ("image/png; q=1", "no media type"),
        ("image/png, image/gif", "as a list"),
        ("image/*,.pdf", "as a list"),
        (".doesnotexist", "unknown extension"),
        (".", "unknown extension"),
        (".tar.gz", "unknown extension"),
        ("application/x-blender", "not a type that is recognised"),
        ("model/*", "means no type"),
    ],
)
def test_a_rule_that_would_never_work_is_refused_when_it_is_built(rule: AcceptRule, says: str) -> None:
    """A mistake is told to who makes it, with what to write instead, and never to the first sender."""
    with pytest.raises(ValueError, match=says):
        Accept.of(rule)


@pytest.mark.parametrize("rule", [None, 5, b"image/png", ["image/png", None], [5]])
def test_a_rule_of_another_type_is_a_type_error(rule: object) -> None:
    """Nothing is guessed from what is no text."""
    with pytest.raises(TypeError, match="accept takes media types"):
        Accept.of(rule)  # type: ignore[arg-type]  # on purpose


def test_what_a_browser_runs_is_in_no_wildcard_and_no_group() -> None:
    """SVG is no image and HTML no text, unless they are named."""
    wildcards = {media_type.partition("/")[0] + "/*" for media_type in EXTENSIONS}
    for accept in (IMAGES, DOCUMENTS, VIDEOS, AUDIO, *(Accept.of(wildcard) for wildcard in wildcards)):
        assert accept.types & (ACTIVE | {OCTET_STREAM}) == set()
    assert "image/svg+xml" in ACTIVE
    assert "text/html" in ACTIVE


LET_IN: dict[str, tuple[AcceptRule, bytes, str, str | None, str]] = {
    "curl, webp": (IMAGES, WEBP, "a.webp", OCTET_STREAM, "image/webp"),
    "curl, docx": (DOCUMENTS, DOCX, "a.docx", OCTET_STREAM, DOCX_TYPE),
    "curl, csv": (DOCUMENTS, CSV, "a.csv", OCTET_STREAM, "text/csv"),
    "curl, mp4": (VIDEOS, MP4, "a.mp4", OCTET_STREAM, "video/mp4"),
    "no statement": (IMAGES, JPEG, "a.jpg", None, "image/jpeg"),
    "an empty statement": (IMAGES, JPEG, "a.jpg", "", "image/jpeg"),
    "Chrome, csv": (".csv", CSV, "a.csv", "text/csv", "text/csv"),
    "Windows with Excel, csv": (".csv", CSV, "a.csv", "application/vnd.ms-excel", "text/csv"),
    "one column of csv": (".csv", COLUMN, "a.csv", "text/csv", "text/csv"),
    "csv without a name": ("text/csv", CSV, "", None, "text/csv"),
    "markdown": (DOCUMENTS, TEXT, "README.md", "text/markdown", "text/markdown"),
    "a log": ("text/plain", TEXT, "server.log", "text/x-log", "text/plain"),
    "a table that is called text": ("text/plain", CSV, "a.txt", "text/plain", "text/plain"),
    "json": ("application/json", JSON, "a.json", "application/json", "application/json"),
    "capitals": (IMAGES, JPEG, "DSC_0001.JPG", "image/jpeg", "image/jpeg"),
    "jpeg": (IMAGES, JPEG, "a.jpeg", "image/jpeg", "image/jpeg"),
    "jfif": (IMAGES, JPEG, "a.jfif", "image/jpeg", "image/jpeg"),
    "Internet Explorer": (IMAGES, JPEG, "a.jpg", "image/pjpeg", "image/jpeg"),
    "image/jpg": ("image/jpg", JPEG, "a.jpg", "image/jpg", "image/jpeg"),
    "no extension": (IMAGES, JPEG, "blob", "image/jpeg", "image/jpeg"),
    "no name": (IMAGES, PNG, "", "image/png", "image/png"),
    "a name that ends a sentence": (IMAGES, PNG, "Me and Mr. Smith", None, "image/png"),
    "a version": (IMAGES, PNG, "plan v1.2", None, "image/png"),
    "iPhone": (IMAGES, HEIC, "IMG_0001.HEIC", "image/heic", "image/heic"),
    "heif by name": ("image/heic", HEIC, "a.heif", "image/heif", "image/heic"),
    "a voice, recorded by Chrome": ("video/webm", WEBM, "blob", "audio/webm", "video/webm"),
    "a voice memo": (AUDIO, MP4, "a.m4a", "audio/x-m4a", "audio/mp4"),
    "an old Word document": (DOCUMENTS, OLE, "a.doc", "application/msword", "application/msword"),
    "zip, Windows": ("application/zip", ZIP, "a.zip", "application/x-zip-compressed", "application/zip"),
    "docx declared as zip": (DOCUMENTS, DOCX, "a.docx", "application/zip", DOCX_TYPE),
    "a path": (IMAGES, JPEG, "C:\\fakepath\\a.jpg", "image/jpeg", "image/jpeg"),
    "svg, named": ("image/svg+xml", SVG, "a.svg", "image/svg+xml", "image/svg+xml"),
    "svg, by its extension": ([IMAGES, ".svg"], SVG, "a.svg", "image/svg+xml", "image/svg+xml"),
    "html, named": ("text/html", HTML, "a.htm", "text/html", "text/html"),
    "a script, named": ("text/javascript", TEXT, "a.js", "application/javascript", "text/javascript"),
    "unknown": (OCTET_STREAM, UNKNOWN, "a.blend", "application/x-blender", OCTET_STREAM),
    "nothing": (OCTET_STREAM, b"", "a", None, OCTET_STREAM),
}


@pytest.mark.parametrize("name", LET_IN)
def test_a_file_that_agrees_with_itself_comes_in(name: str) -> None:
    """What browsers, phones and command lines really send is let in, and its type is what its bytes show."""
    rule, head, filename, declared, content_type = LET_IN[name]
    accept = Accept.of(rule)
    assert resolve(head, field="f", filename=filename, declared_type=declared, accept=accept) == content_type


REFUSED: dict[str, tuple[AcceptRule, bytes, str, str | None, str]] = {
    "text that is called a photo": (IMAGES, TEXT, "photo.jpg", "image/jpeg", "text/plain"),
    "a script that is called a photo": (IMAGES, PHP, "photo.jpg", "image/jpeg", "application/x-httpd-php"),
    "a photo that is called a script": (IMAGES, JPEG, "shell.php", "image/jpeg", "image/jpeg"),
    "a photo with an unknown extension": (IMAGES, JPEG, "photo.xyz", "image/jpeg", "image/jpeg"),
    "a png that is called jpg": (IMAGES, PNG, "photo.jpg", None, "image/png"),
    "a jpeg that is declared png": (IMAGES, JPEG, "photo.jpg", "image/png", "image/jpeg"),
    "a jpeg that is declared text": (IMAGES, JPEG, "photo", "text/html", "image/jpeg"),
    "a script behind a space": (IMAGES, JPEG, "shell.php ", "image/jpeg", "image/jpeg"),
    "a script behind a dot": (IMAGES, JPEG, "shell.php.", "image/jpeg", "image/jpeg"),
    "a script behind a wide space": (IMAGES, JPEG, "shell.php\u3000", "image/jpeg", "image/jpeg"),
    "a script behind invisible characters": (IMAGES, JPEG, "shell.php \u200b", "image/jpeg", "image/jpeg"),
    "a script behind a stream": (IMAGES, JPEG, "shell.php::$DATA", "image/jpeg", "image/jpeg"),
    "a script behind an encoded NUL": (IMAGES, JPEG, "shell.php%00", "image/jpeg", "image/jpeg"),
    "a photo of another type": ("image/png", JPEG, "a.jpg", "image/jpeg", "image/jpeg"),
    "svg under images": (IMAGES, SVG, "a.svg", "image/svg+xml", "image/svg+xml"),
    "svg under the wildcard": ("image/*", SVG, "a.svg", "image/svg+xml", "image/svg+xml"),
    "svg as text": ("text/plain", SVG, "a.txt", "text/plain", "image/svg+xml"),
    "html under the wildcard": ("text/*", HTML, "a.html", "text/html", "text/html"),
    "html as markdown": (".md", HTML, "a.md", "text/markdown", "text/html"),
    "text as html": ("text/html", TEXT, "a.html", "text/html", "text/plain"),
    "a script under the wildcard": ("text/*", TEXT, "a.js", "text/javascript", "text/plain"),
    "text as json": ("application/json", TEXT, "a.json", "application/json", "text/plain"),
    "a zip that is called docx": (DOCUMENTS, ZIP, "a.docx", None, "application/zip"),
    "a docx that is called zip": ([".docx", ".zip"], DOCX, "a.zip", None, DOCX_TYPE),
    "unknown under images": (IMAGES, UNKNOWN, "a.jpg", "image/jpeg", OCTET_STREAM),
    "unknown that is called jpg": (OCTET_STREAM, UNKNOWN, "a.jpg", None, OCTET_STREAM),
    "unknown that is declared jpg": (OCTET_STREAM, UNKNOWN, "a.blend", "image/jpeg", OCTET_STREAM),
    "nothing": (IMAGES, b"", "a.jpg", "image/jpeg", OCTET_STREAM),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_disagrees_is_refused_with_415(name: str) -> None:
    """Bytes, name and statement have to agree, and the error says what the bytes show."""
    rule, head, filename, declared, detected = REFUSED[name]
    with pytest.raises(FileRefused) as refused:
        resolve(head, field="photo", filename=filename, declared_type=declared, accept=Accept.of(rule))
    assert (refused.value.status, refused.value.filter, refused.value.field) == (415, "accept", "photo")
    assert refused.value.detected == detected


@pytest.mark.parametrize(
    ("head", "filename", "declared", "text"),
    [
        (TEXT, "a.jpg", None, "file 'photo' is text/plain, which the field does not accept"),
        (b"", "a.jpg", None, "file 'photo' is empty, which the field does not accept"),
        (JPEG, "a.php", None, "file 'photo' is image/jpeg, and its name ends in '.php'"),
        (JPEG, "a.jpg", "image/png", "file 'photo' is image/jpeg, and was declared as 'image/png'"),
    ],
)
def test_the_text_says_which_of_them_disagrees(head: bytes, filename: str, declared: str | None, text: str) -> None:
    """The sender can see what to mend."""
    with pytest.raises(FileRefused) as refused:
        resolve(head, field="photo", filename=filename, declared_type=declared, accept=IMAGES)
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("head", "filename", "content_type"),
    [
        (JPEG, "shell.php", "image/jpeg"),
        (TEXT, "photo.jpg", "text/plain"),
        (TEXT, "a.md", "text/markdown"),
        (TEXT, "a.csv", "text/csv"),
        (TEXT, "a.js", "text/plain"),
        (TEXT, "a.html", "text/plain"),
        (HTML, "a.txt", "text/html"),
        (PHP, "a.txt", "application/x-httpd-php"),
        (MP4, "a.m4a", "audio/mp4"),
        (b"", "a.jpg", OCTET_STREAM),
    ],
)
def test_without_accept_every_file_comes_in_under_the_type_of_its_bytes(
    head: bytes, filename: str, content_type: str
) -> None:
    """The client's word counts for nothing, and a name alone makes no text a script or a page."""
    assert resolve(head, field="f", filename=filename, declared_type="image/png") == content_type


HEADS = [JPEG, PNG, WEBP, PDF, DOCX, ZIP, MP4, WEBM, CSV, TEXT, JSON, SVG, HTML, PHP, UNKNOWN, OLE, b""]
ITEMS = [
    *EXTENSIONS,
    *(extension for extensions in EXTENSIONS.values() for extension in extensions),
    "image/*",
    "text/*",
]


@given(
    items=st.lists(st.sampled_from(ITEMS), min_size=1, max_size=3),
    head=st.sampled_from(HEADS) | st.binary(max_size=40),
    filename=st.text(max_size=10) | st.sampled_from(["a" + item for item in ITEMS if item.startswith(".")]),
    declared=st.none() | st.sampled_from(sorted(EXTENSIONS)) | st.text(max_size=80),
)
def test_a_file_is_let_in_under_an_accepted_type_or_refused(
    items: list[str], head: bytes, filename: str, declared: str | None
) -> None:
    """There is no third way out, whatever the client sends, and the error's text is short."""
    accept = Accept.of(items)
    try:
        content_type = resolve(head, field=filename, filename=filename, declared_type=declared, accept=accept)
    except FileRefused as error:
        refused = error
    else:
        assert accept.admits(content_type)
        assert content_type == resolve(head, field="", filename=filename, accept=accept)
        return
    assert refused.status == 415
    assert refused.detected is not None
    assert len(str(refused)) <= 200


HEADS = [JPEG, PNG, WEBP, PDF, DOCX, ZIP, MP4, WEBM, HEIC, CSV, COLUMN, TEXT, JSON, SVG, HTML, PHP, UNKNOWN, OLE, b""]


@given(
    accept=st.sets(st.sampled_from(sorted(EXTENSIONS)), min_size=1, max_size=4).map(lambda types: Accept.of(*types)),
    extension=st.sampled_from(["", ".mystery", *sorted({each for kinds in EXTENSIONS.values() for each in kinds})]),
    declared=st.none()
    | st.sampled_from(["", "x", OCTET_STREAM, "image/x-png", "video/x-matroska", *sorted(EXTENSIONS)]),
)
def test_what_is_foreseen_comes_true(accept: Accept, extension: str, declared: str | None) -> None:
    """A file that is refused before its first byte would have been refused with whatever bytes it has."""
    said: dict[str, Any] = {
        "field": "f",
        "filename": f"a{extension}",
        "declared_type": declared,
        "accept": accept,
    }
    if refusal(lambda: foresee(**said)) is not None:
        for head in HEADS:
            assert refusal(partial(resolve, head, **said)) is not None


def refusal(judge: Callable[[], object]) -> FileRefused | None:
    """What a judge says against a file; None where it lets it in."""
    try:
        judge()
    except FileRefused as refused:
        return refused
    return None


@pytest.mark.parametrize(
    ("name", "declared", "text"),
    [
        ("a.exe", None, "file 'f' has a name that ends in '.exe', which the field does not accept"),
        ("a", "text/html", "file 'f' is declared as 'text/html', which the field does not accept"),
        ("a.png", "image/jpeg", "declared as 'image/jpeg', which the field does not accept for a name that ends in"),
    ],
)
def test_a_refusal_beforehand_says_what_was_said(name: str, declared: str | None, text: str) -> None:
    """The name or the declared type: there are no bytes yet."""
    refused = refusal(lambda: foresee(field="f", filename=name, declared_type=declared, accept=IMAGES))
    assert refused is not None
    assert text in str(refused)
    assert (refused.status, refused.filter, refused.field) == (415, "accept", "f")


def test_nothing_is_foreseen_of_what_may_still_be_one_of_the_types() -> None:
    """Aliases, no type, no extension, and a field that takes everything."""
    foresee(field="f", filename="a.JPG", declared_type="image/pjpeg", accept=IMAGES)
    foresee(field="f", filename="a", declared_type=None, accept=IMAGES)
    foresee(field="f", filename="a.m4a", declared_type="audio/x-m4a", accept=AUDIO)
    foresee(field="f", filename="a.exe", declared_type="text/html")
