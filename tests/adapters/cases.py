"""The requests of the parity test and what has to come out of each, without a word about servers.

An outcome is said twice: by hand in the tables here, and by `reference`, the blocking driver in this process.
"""

from __future__ import annotations

import base64
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.adapters.apps.routes import LIMITED, handled, specs

from uploadkit.errors import UploadError
from uploadkit.intake.blocking import kept_if_handled, receive_form
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True)
class Case:
    """A request to a route and its outcome: the status, and of the problem what is worth saying by hand."""

    name: str
    route: str
    content_type: str | None
    body: bytes
    status: int
    problem: dict[str, object]


def case(name: str, route: str, form: FormBuilder, status: int = 200, **problem: object) -> Case:
    """A form as a browser sends it."""
    return Case(name, route, form.content_type, form.body, status, problem)


def raw(
    name: str, route: str, body: bytes, status: int = 200, *, content_type: str | None = "", **problem: object
) -> Case:
    """A body that no browser sends."""
    if content_type == "":
        content_type = "multipart/form-data; boundary=the-boundary"
    return Case(name, route, content_type, body, status, problem)


def part(header: bytes, data: bytes = b"value") -> bytes:
    """The body of a form with one part, which has this header."""
    return b"--the-boundary\r\n%b\r\n\r\n%b\r\n--the-boundary--\r\n" % (header, data)


def one(name: str = "f", data: bytes = b"data", filename: str = "data.bin") -> FormBuilder:
    """A form with one file."""
    return FormBuilder().file(name, data, filename=filename)


def files(name: str, *data: bytes) -> FormBuilder:
    """A form with a few files in one field."""
    form = FormBuilder()
    for number, each in enumerate(data):
        form.file(name, each, filename=f"{number}.bin")
    return form


def avatar(data: bytes = PNG, filename: str = "me.png", content_type: str = "image/png") -> FormBuilder:
    """A form with a picture, or with what is said to be one."""
    return FormBuilder().file("avatar", data, filename=filename, content_type=content_type)


def document(data: bytes, filename: str) -> FormBuilder:
    """A form with a document, or with what is said to be one."""
    return FormBuilder().file("document", data, filename=filename)


def zipped(*names: str) -> bytes:
    """A zip archive of these entries, which say nothing. The first is longer than what is read before it is judged."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in zip(names, (bytes(20_000), *[b"?"] * len(names)), strict=False):
            archive.writestr(name, data)
    return held.getvalue()


def texts(*items: tuple[str, str]) -> FormBuilder:
    """A form of text values."""
    form = FormBuilder()
    for name, value in items:
        form.text(name, value)
    return form


URLENCODED = "application/x-www-form-urlencoded"
NAMED = b'Content-Disposition: form-data; name="a"'
HALF_A_DELIMITER = b"\r\n--the-boundar\r\n-"
LARGE = os.urandom(3 << 20)

PICTURE_FIRST = zipped("word/media/photo.jpg", "[Content_Types].xml", "word/document.xml")
NO_ENTRY = b"PK\5\6" + bytes(18)
ZIP = "application/zip"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

PICTURE = case("a picture", "single", avatar())
MIXED = case(
    "files and texts in their order",
    "fields",
    texts(("title", "Holiday"))
    .file("avatar", PNG, filename="me.png", content_type="image/png")
    .file("gallery", HALF_A_DELIMITER, filename="a.txt")
    .text("tag", "é"),
)

GOOD = [
    PICTURE,
    MIXED,
    case("a picture that is declared as nothing", "single", avatar(PNG, "me", "application/octet-stream")),
    case("a picture of exactly the size", "single", avatar(PNG.ljust(1_000_000, b"\0"))),
    case("a document whose first entry tells nothing", "documents", document(PICTURE_FIRST, "a.docx")),
    case("no file in an optional field", "optional", texts(("title", "none"))),
    case("nothing chosen in an optional field", "optional", one("avatar", b"", "")),
    case("an empty array", "array", FormBuilder()),
    case("a full array", "array", files("photos", b"1", b"2", b"3")),
    case("texts alone", "none", texts(("a", "1"), ("b", ""), ("a", "2\r\n3"))),
    case("texts of every script", "none", texts(("имя", "日本 \N{SNOWMAN} \0"))),
    raw("texts in a URL's coding", "none", b"a=1&b=&a=2%C3%A9+x", content_type=URLENCODED),
    case("an empty file", "any", one(data=b"")),
    case("a file of 300 KiB", "any", one(data=LARGE[: 300 << 10])),
    case("a file of 3 MiB", "any", one(data=LARGE)),
    case("the same file twice, and another", "any", files("f", b"1", b"1").file("g", b"2", filename="0.bin")),
    case("a name that would leave the folder", "any", one(filename="../../../etc/passwd")),
    case("a name in another script", "any", one(filename="отчёт 2026.pdf")),
    raw("a preamble and an epilogue", "any", b"before\r\n" + part(NAMED) + b"after"),
    raw("a form without a part", "any", b"--the-boundary--\r\n"),
]

MALFORMED = [
    raw("no boundary", "any", part(NAMED), 400, content_type="multipart/form-data", code="malformed_form"),
    raw("another boundary", "any", part(NAMED).replace(b"the-", b"an-"), 400, code="truncated_form"),
    raw("an empty body", "any", b"", 400, code="truncated_form"),
    raw("no end", "any", part(NAMED)[:-4], 400, code="truncated_form"),
    raw("a part without a name", "any", part(b"Content-Disposition: form-data"), 400, code="malformed_form"),
    raw("a header with a bare line feed", "any", part(NAMED + b"\nX: y"), 400, code="malformed_form"),
    raw("a text that is not in its charset", "any", part(NAMED, b"\xff"), 400, code="malformed_form"),
    raw("a URL's coding that is cut", "none", b"a=%C3", 400, content_type=URLENCODED, code="malformed_form"),
    raw("no form", "any", b"{}", 415, content_type="application/json", code="unsupported_media_type"),
    raw("no type at all", "any", b"a=1", 415, content_type=None, code="unsupported_media_type"),
    raw(
        "a transfer encoding",
        "any",
        part(NAMED + b"\r\nContent-Transfer-Encoding: base64"),
        415,
        code="unsupported_media_type",
    ),
]

REFUSED = [
    case(
        "a text in a picture's clothes",
        "single",
        avatar(b"just text", "photo.jpg", "image/jpeg"),
        415,
        code="file_refused",
        field="avatar",
        filter="accept",
        detected="text/plain",
    ),
    case("a picture with another's extension", "single", avatar(PNG, "me.gif"), 415, detected="image/png"),
    case("a picture declared as another", "single", avatar(PNG, "me.png", "image/gif"), 415, code="file_refused"),
    case("a script as a picture", "single", avatar(b"<svg/>", "me.svg", "image/svg+xml"), 415, filter="accept"),
    case("an archive behind a picture", "single", avatar(PNG + zipped("a.class")), 415, detected="image/png"),
    case("an archive behind a picture, all in the head", "single", avatar(PNG + NO_ENTRY), 415, detected="image/png"),
    case("a script behind a picture", "single", avatar(PNG + bytes(20_000) + b"<script >"), 415, filter="accept"),
    case("a document in an archive's clothes", "documents", document(PICTURE_FIRST, "a.zip"), 415, detected=WORD),
    case("an archive in a document's clothes", "documents", document(zipped("a", "b"), "a.docx"), 415, detected=ZIP),
    case("a file that a filter refuses", "filter", one("file", b"secret plans"), 422, filter="no_secrets"),
    case("a good file, then one where none is taken", "fields", avatar().file("x", b"", filename="x"), 422, field="x"),
    case("a file where none is taken", "none", one(), 422, code="unexpected_field", field="f"),
    case("a file in another field", "single", one("photo", PNG), 422, code="unexpected_field", field="photo"),
    case("no file where one is needed", "single", FormBuilder(), 422, code="field_missing", field="avatar"),
    case("nothing chosen where a file is needed", "single", one("avatar", b"", ""), 422, code="field_missing"),
    case("no text where one is needed", "fields", avatar(), 422, code="field_missing", field="title"),
    case("a text that is too long", "fields", texts(("title", "eleven char")), 422, code="field_refused"),
    case("a text too often", "fields", texts(*[("tag", "x")] * 3), 413, limit="max_count", allowed=2, field="tag"),
    case("a file too often", "array", files("photos", *[b"x"] * 4), 413, limit="max_count", allowed=3, seen=4),
    case(
        "a picture of a byte too much",
        "single",
        avatar(PNG.ljust(1_000_001, b"\0")),
        413,
        code="limit_exceeded",
        limit="max_size",
        allowed=1_000_000,
        field="avatar",
    ),
    case("a file that is too small", "optional", one("avatar", b"123456789"), 422, filter="min_size"),
]

TYPED = [
    case("a typed form", "form", files("photos", b"1", b"2").text("title", "Holiday").text("age", "30")),
    case(
        "a typed form with its picture",
        "form",
        texts(("title", "Holiday"), ("age", "30"))
        .file("avatar", PNG, filename="me.png")
        .file("photos", b"1", filename="1.bin"),
    ),
    raw("a typed form in a URL's coding", "form", b"title=Holiday&age=30", content_type=URLENCODED),
    case(
        "a typed form with an error in every field",
        "form",
        texts(("title", "x"))
        .file("avatar", b"text", filename="me.png")
        .file("photos", LARGE, filename="1.bin")
        .text("age", "old")
        .file("other", b"x", filename="x.bin"),
        422,
        code="invalid_form",
        detail="the form has 4 errors, in 'avatar', 'other', 'title', 'age'",
    ),
    case(
        "a typed form whose picture is too large, behind a large file",
        "form",
        files("photos", LARGE)
        .file("avatar", PNG.ljust(1001, b"\0"), filename="me.png")
        .text("title", "Holiday")
        .text("age", "30"),
        413,
        code="invalid_form",
        field="avatar",
        detail="the file in field 'avatar' has more than 1000 bytes",
    ),
    case("a typed form without what it needs", "form", files("photos", LARGE), 422, code="invalid_form"),
    case("a typed form of one value twice", "form", texts(("title", "a"), ("title", "b")), 422, code="invalid_form"),
]

HANDLED = [
    case("a handler that raises", "raises", one(), 500),
    case("a handler that takes its files back", "rejects", files("f", b"1", b"2"), 409),
]


def limited(name: str, *, over: int) -> Case:
    """A request that reaches this limit exactly, or passes it by one, and comes near no other."""
    size = LIMITED[name] + over
    title, route = f"{name}, {'one over' if over else 'reached'}", f"limit/{name}"
    outcome: dict[str, Any] = {"status": 413, "limit": name, "allowed": LIMITED[name]} if over else {"status": 200}
    built = _built(name, size)
    return raw(title, route, built, **outcome) if isinstance(built, bytes) else case(title, route, built, **outcome)


def _built(name: str, size: int) -> FormBuilder | bytes:
    wide = "é" * (size // 2) + "x" * (size % 2)  # as many bytes, half as many characters
    forms: dict[str, Callable[[], FormBuilder | bytes]] = {
        "body_size": lambda: one(data=b"x" * (size - len(one(data=b"").body))),
        "file_size": lambda: one(data=b"x" * size),
        "files_size": lambda: files("f", b"x" * 90, b"x" * (size - 90)),
        "files": lambda: files("f", *[b"x"] * size),
        "fields": lambda: texts(*[("t", "x")] * size),
        "parts": lambda: _unchosen(size),
        "field_size": lambda: texts(("t", "x" * size)),
        "fields_size": lambda: texts(("t", "x" * 40), ("u", "x" * (size - 40))),
        "field_name_size": lambda: texts((wide, "x")),
        "filename_size": lambda: one(filename=wide),
        "header_count": lambda: part(b"\r\n".join([NAMED, *[b"X: y"] * (size - 1)])),
        "header_size": lambda: part((NAMED + b"\r\nX: ").ljust(size - len(b"\r\n"), b"y")),
        "preamble_size": lambda: b"x" * size + b"\r\n" + part(NAMED),
        "epilogue_size": lambda: part(NAMED) + b"x" * (size - len(b"\r\n")),
    }
    return forms[name]()


def _unchosen(count: int) -> FormBuilder:
    form = FormBuilder()
    for _ in range(count):
        form.file("f", b"", filename="")
    return form


CASES = [
    *GOOD,
    *MALFORMED,
    *REFUSED,
    *TYPED,
    *HANDLED,
    *(limited(name, over=over) for name in LIMITED for over in (0, 1)),
]


def reference(case: Case) -> tuple[int, dict[str, Any]]:
    """The status and the JSON that come out of a case by the blocking driver: no server, no framework."""
    spec = specs(MemoryStorage())[case.route]
    try:
        received = receive_form(spec, case.content_type, [case.body], content_length=len(case.body))
        with kept_if_handled(spec, received.submission):
            return handled(case.route, received.given)
    except UploadError as error:
        return error.status, error.problem()
    except RuntimeError:
        return 500, {}
