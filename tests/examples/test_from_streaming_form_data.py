"""The way over from streaming-form-data on Flask's own server: what every step does with the same requests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
from tests.adapters.servers import Kind, Server, running

from uploadkit.testing import FormBuilder, exchange, request_head

pytest.importorskip("streaming_form_data", reason="it has no wheel for this Python")

from streaming_form_data import StreamingFormDataParser, targets

SEEN = pytest.mark.skipif(
    metadata.version("streaming-form-data") != "2.1.0", reason="the guide says what was seen with 2.1.0"
)
WAY_OVER = Kind(
    module="flask",
    options=("--app", "from_streaming_form_data", "run", "--port", "0"),
    adapter="flask",
    route="one-target",
)
PICTURE = b"\x89PNG\r\n\x1a\n" + os.urandom(200_000)
TEXT = b"just text\n" * 100
BOUNDARY = "a-boundary"


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(WAY_OVER, tmp_path_factory.mktemp("way-over")) as server:
        server.warm_up()
        yield server


@pytest.fixture
def server(running_server: Server) -> Iterator[Server]:
    """The server, without files from the test before."""
    yield running_server
    running_server.clear()


def form(data: bytes = PICTURE) -> FormBuilder:
    """The form that every route takes."""
    return FormBuilder(boundary=BOUNDARY).text("name", "Ada").file("avatar", data, filename="me.png")


def sent(server: Server, route: str, data: bytes) -> tuple[int, list[str]]:
    """The status that a body is answered with, and the digests of what is stored."""
    head = request_head(f"/{route}", form().content_type, length=len(data))
    status = exchange(server.port, head + data).status
    return status, list(server.files().values())


STEPS = ["one-target", "every-target", "after"]


@pytest.mark.parametrize("route", ["before", *STEPS])
def test_every_step_takes_a_good_form(server: Server, route: str) -> None:
    """The same bytes are stored, and the same names are answered."""
    body = form().body
    head = request_head(f"/{route}", form().content_type, length=len(body))
    answer = exchange(server.port, head + body)
    assert (answer.status, answer.json) == (200, {"name": "Ada", "filename": "me.png"})
    assert list(server.files().values()) == [hashlib.sha256(PICTURE).hexdigest()]


BAD = {
    "a text in a picture's clothes": (form(TEXT).body, 415),
    "a body that was cut in the picture": (form().body[:100_000], 400),
    "a picture that is too large": (form(PICTURE.ljust(5_000_001, b"\0")).body, 413),
    "text after the last boundary": (form().body + b"text after the last boundary", {"after": 200}),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("route", STEPS)
def test_a_bad_form_leaves_nothing_from_the_first_step_on(server: Server, route: str, name: str) -> None:
    """What the parser does not see is refused; our own parser reads that form."""
    body, outcome = BAD[name]
    status = outcome.get(route, 400) if isinstance(outcome, dict) else outcome
    stored = [hashlib.sha256(PICTURE).hexdigest()] if status == 200 else []
    assert sent(server, route, body) == (status, stored)
    server.settle()


@SEEN
@pytest.mark.parametrize("name", BAD)
def test_before_it_is_stored_as_it_came(server: Server, name: str) -> None:
    """The defects that the guide names: each of these bodies leaves a file that is no picture, or not the whole one."""
    _, stored = sent(server, "before", BAD[name][0])
    assert len(stored) == 1
    assert stored != [hashlib.sha256(PICTURE).hexdigest()]


@SEEN
def test_their_parser_gives_files_the_names_that_the_guide_says() -> None:
    """The type of the part before as a name or as a type, and a path without its separators."""
    two = FormBuilder().file("f", b"1", filename="1", content_type="text/plain")
    two.file("f", b"2", filename="2", content_type="text/html")
    many = targets.MultipleTargets(targets.ValueTarget)
    parse(two, many)
    assert [target.multipart_filename for target in many.targets] == ["1", "text/plain"]

    one = targets.ValueTarget()
    parse(two.file("f", b"3", filename="C:\\new\\x.png", content_type=None), one)
    assert (one.multipart_filename, one.multipart_content_type) == ("C:newx.png", "text/html")


def parse(form: FormBuilder, target: Any) -> None:
    """The form through their parser into one of their targets."""
    parser = StreamingFormDataParser(headers={"Content-Type": form.content_type})
    parser.register("f", target)
    parser.data_received(form.body)
