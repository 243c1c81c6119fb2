"""The examples of one upload, under real servers, asked by curl as a user asks them, and by a client that fails.

All answer the same, whatever the framework: what is stored is the file that was sent, byte by byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.adapters.servers import Server, ServerOf

from uploadkit.testing import Client, FormBuilder, request_head

EXAMPLES = (
    "examples/flask_app.py",
    "examples/starlette_forms.py",
    "examples/fastapi_app.py",
    "examples/django_app.py",
    "examples/django_app.py, asgi",
)

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def picture(kind: str) -> bytes:
    """Noise, which no format makes small."""
    image = Image.frombytes("RGB", (320, 240), os.urandom(320 * 240 * 3))
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def document() -> bytes:
    """What a Word document has in its first bytes, and a little more."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("_rels/.rels", "<Relationships/>")
        archive.writestr("word/document.xml", "<w:document/>")
    return stream.getvalue()


@dataclass(frozen=True)
class Sample:
    filename: str
    content_type: str
    make: Callable[[], bytes]


SAMPLES = [
    Sample("photo.jpg", "image/jpeg", lambda: picture("JPEG")),
    Sample("photo.webp", "image/webp", lambda: picture("WebP")),
    Sample("letter.docx", DOCX, document),
    Sample("numbers.csv", "text/csv", lambda: b"year,uploads\r\n2024,1\r\n2025,12\r\n"),
]


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, servers: ServerOf) -> Iterator[Server]:
    """A server that runs an example, and has settled and is cleared after the test."""
    server = servers(request.param)
    try:
        yield server
        server.settle()
    finally:
        server.clear()


def curl(server: Server, path: Path, *options: str) -> tuple[int, dict[str, Any], int]:
    """The status, the JSON and how many bytes were sent, after `curl -F avatar=@path`."""
    report = "\n%{http_code} %{size_upload}"
    url = f"http://127.0.0.1:{server.port}/profile"
    command = ["curl", "-sS", "--max-time", "20", "-F", f"avatar=@{path}", "-w", report, *options, url]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    body, _, facts = ended.stdout.rpartition("\n")
    status, sent = facts.split()
    return int(status), json.loads(body), int(sent)


@pytest.mark.needs("curl")
@pytest.mark.parametrize("coding", [(), ("-H", "Transfer-Encoding: chunked")], ids=["with a length", "chunked"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.filename)
def test_what_curl_sends_is_stored_whole(
    example: Server, sample: Sample, coding: tuple[str, ...], tmp_path: Path
) -> None:
    """The same bytes and the same answer from every example; curl declares only the first of the four."""
    path = tmp_path / sample.filename
    path.write_bytes(sample.make())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    status, answer, _ = curl(example, path, *coding)
    assert status == 200, answer
    assert answer == {
        "filename": sample.filename,
        "content_type": sample.content_type,
        "size": path.stat().st_size,
        "sha256": digest,
    }
    [(name, stored)] = example.files().items()
    assert stored == digest
    assert name.endswith(path.suffix)


@pytest.mark.needs("curl")
def test_a_text_in_a_pictures_clothes_is_refused(example: Server, tmp_path: Path) -> None:
    """curl declares image/jpeg, as the name says; the bytes say something else."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"just text\n" * 1000)
    status, answer, _ = curl(example, path)
    assert (status, answer["code"], answer["detected"]) == (415, "file_refused", "text/plain")
    assert not example.files()


@pytest.mark.needs("curl")
@pytest.mark.parametrize(
    "options",
    [(), ("-H", "Expect:"), ("-H", "Transfer-Encoding: chunked")],
    ids=["with permission", "without permission", "chunked"],
)
def test_curl_sees_the_413_before_it_has_sent_a_file_that_is_too_large(
    example: Server, options: tuple[str, ...], tmp_path: Path
) -> None:
    """64 MiB where 5 MB are taken: curl sees the answer, not a reset, and stops long before the end."""
    path = tmp_path / "photo.png"
    path.write_bytes(picture("PNG"))
    os.truncate(path, 64 << 20)
    status, answer, sent = curl(example, path, *options)
    assert (status, answer["limit"], answer["allowed"]) == (413, "file_size", 5_000_000)
    assert sent < 48 << 20
    assert not example.files()


def test_a_body_that_is_cut_at_any_byte_stores_nothing(example: Server) -> None:
    """Every byte of a small form: the Content-Length is that of what is sent, so only the form tells."""
    form = FormBuilder(boundary="x").file(
        "avatar", b"\xff\xd8\xff\xe0\r\n--", filename="a.jpg", content_type="image/jpeg"
    )
    whole = form.body.removesuffix(b"\r\n")  # what follows the last boundary is no part of the form
    with Client(example.port) as client:
        for size in range(len(whole)):
            client.send(request_head("/profile", form.content_type, length=size) + whole[:size])
            answer = client.answer()
            assert (answer.status, answer.json["code"]) == (400, "truncated_form"), size
            assert not example.files(), size
        client.send(request_head("/profile", form.content_type, length=len(whole)) + whole)
        assert client.answer().status == 200
