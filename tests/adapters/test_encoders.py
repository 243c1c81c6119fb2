"""Forms as the clients that users test with write them: the encoders of werkzeug, Django, httpx and requests."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import closing

import httpx
import httpx2
import pytest
import requests
import tests.adapters.django_project  # noqa: F401  Django's encoder asks the settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from werkzeug.test import EnvironBuilder

from uploadkit.errors import MalformedForm
from uploadkit.intake.blocking import receive
from uploadkit.policy.filenames import safe_filename
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import sample
from uploadkit.uploader import Uploader

Texts = dict[str, str | list[str]]
Files = Sequence[tuple[str, str, bytes, str]]
"""Field, file name, data and type."""

Sent = tuple[str | None, bytes]
"""A Content-Type and a body."""

Encoder = Callable[[Texts, Files], Sent]

URL = "http://127.0.0.1/"


def by_httpx(texts: Texts, files: Files) -> Sent:
    parts = [(field, (name, data, kind)) for field, name, data, kind in files]
    request = httpx.Request("POST", URL, data=texts, files=parts)
    return request.headers.get("Content-Type"), request.read()


def by_httpx2(texts: Texts, files: Files) -> Sent:
    parts = [(field, (name, data, kind)) for field, name, data, kind in files]
    request = httpx2.Request("POST", URL, data=texts, files=parts)
    return request.headers.get("Content-Type"), request.read()


def by_requests(texts: Texts, files: Files) -> Sent:
    parts = [(field, (name, data, kind)) for field, name, data, kind in files]
    request = requests.Request("POST", URL, data=texts, files=parts).prepare()
    body = request.body.encode() if isinstance(request.body, str) else request.body
    assert isinstance(body, bytes)
    return str(request.headers["Content-Type"]), body


def by_werkzeug(texts: Texts, files: Files) -> Sent:
    data: dict[str, object] = {**texts}
    for field, name, content, kind in files:
        data.setdefault(field, []).append((io.BytesIO(content), name, kind))  # type: ignore[attr-defined]
    with closing(EnvironBuilder(method="POST", data=data)) as request:
        environ = request.get_environ()
        return environ["CONTENT_TYPE"], environ["wsgi.input"].read()


def by_django(texts: Texts, files: Files) -> Sent:
    data: dict[str, object] = {**texts}
    for field, name, content, kind in files:
        data.setdefault(field, []).append(SimpleUploadedFile(name, content, kind))  # type: ignore[attr-defined]
    return MULTIPART_CONTENT, encode_multipart(BOUNDARY, data)


ENCODERS = [by_httpx, by_httpx2, by_requests, by_werkzeug, by_django]
ENCODES_TEXT_ALONE = [by_httpx, by_httpx2, by_requests, by_werkzeug]  # as application/x-www-form-urlencoded

ESCAPES_NO_QUOTES = [by_werkzeug, by_django]

each_encoder = pytest.mark.parametrize("encode", ENCODERS)

PNG = sample("image/png", size="70 kB")


@each_encoder
def test_texts_and_files_are_taken(encode: Encoder) -> None:
    """Repeated names, no byte more and none less, names and types as they were given."""
    content_type, body = encode(
        {"title": 'Größe \u2603 & "x"\r\n', "tag": ["sea", "sky"], "empty": ""},
        [
            ("photos", "résumé \u2603.png", PNG, "image/png"),
            ("photos", "b.png", sample("image/png"), "image/png"),
            ("table", "a;b.csv", sample("text/csv"), "text/csv"),
            ("nothing", "nothing.bin", b"", "application/octet-stream"),
            ("lines", "lines.bin", b"\r\n--\r\n\r\n", "application/octet-stream"),
        ],
    )
    form = receive(Uploader(MemoryStorage()).any(), content_type, [body])
    assert [(file.field, file.client_filename, file.declared_type, file.read()) for file in form.files] == [
        ("photos", "résumé \u2603.png", "image/png", PNG),
        ("photos", "b.png", "image/png", sample("image/png")),
        ("table", "a;b.csv", "text/csv", sample("text/csv")),
        ("nothing", "nothing.bin", "application/octet-stream", b""),
        ("lines", "lines.bin", "application/octet-stream", b"\r\n--\r\n\r\n"),
    ]
    assert sorted(form.fields.multi_items()) == [
        ("empty", ""), ("tag", "sea"), ("tag", "sky"), ("title", "Größe \u2603 & \"x\"\r\n"),
    ]  # fmt: skip


@each_encoder
@pytest.mark.parametrize("name", ["back\\slash.png", "per%20cent.png", "%22.png"])
def test_a_name_with_marks_in_it_is_safe(encode: Encoder, name: str) -> None:
    """Clients escape in ways of their own; what is shown is safe, and the file is all there."""
    content_type, body = encode({}, [("photo", name, PNG, "image/png")])
    photo = receive(Uploader(MemoryStorage()).single("photo"), content_type, [body])
    assert photo.read() == PNG
    assert photo.filename == safe_filename(photo.client_filename)


@each_encoder
def test_a_quote_in_a_name_is_safe(encode: Encoder) -> None:
    """Two test clients write it as it is, which no browser does: that is refused, and never half a name."""
    content_type, body = encode({}, [("photo", 'say "x".png', PNG, "image/png")])
    spec = Uploader(MemoryStorage()).single("photo")
    if encode in ESCAPES_NO_QUOTES:
        with pytest.raises(MalformedForm):
            receive(spec, content_type, [body])
    else:
        photo = receive(spec, content_type, [body])
        assert (photo.client_filename, photo.filename) == ('say "x".png', "say _x_.png")


@pytest.mark.parametrize("encode", ENCODES_TEXT_ALONE)
def test_a_form_without_files_is_taken(encode: Encoder) -> None:
    """These clients send it as application/x-www-form-urlencoded."""
    content_type, body = encode({"title": "Größe & 1+1=2", "tag": ["sea", "sky"]}, [])
    form = receive(Uploader(MemoryStorage()).none(), content_type, [body])
    assert (content_type or "").startswith("application/x-www-form-urlencoded")
    assert form.fields.multi_items() == (("title", "Größe & 1+1=2"), ("tag", "sea"), ("tag", "sky"))
