"""A disk that is full, a file that may not grow, descriptors that have run out: 503, nothing left, and on it goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.adapters.servers import Server, ServerOf
from tests.small_disk import small_disk

from uploadkit.testing import FormBuilder

if sys.platform != "linux":
    pytest.skip("the limits of another process can be set on Linux only", allow_module_level=True)

import resource


@pytest.fixture(
    params=[(kind, staging) for kind in ("asgi", "wsgi") for staging in ("nameless", "named")], ids=", ".join
)
def server(request: pytest.FixtureRequest, servers: ServerOf) -> Iterator[Server]:
    """A server, which has settled and still works after the test."""
    server = servers(*request.param)
    try:
        yield server
        server.settle()
        assert server.post("any", form(b"small")).status == 200
        server.settle()
    finally:
        server.clear()


def form(*files: bytes) -> FormBuilder:
    """A form with these files."""
    builder = FormBuilder()
    for number, data in enumerate(files):
        builder.file("f", data, filename=f"{number}.bin")
    return builder


@pytest.mark.needs("tmpfs")
def test_a_full_disk_is_503_and_leaves_nothing(server: Server) -> None:
    """The second file of the form does not fit; the first is not kept either, and the next upload finds all room."""
    with small_disk(server.root, "size=2m"):
        room = os.statvfs(server.root).f_bfree
        expect_failure(server, form(b"small", os.urandom(3 << 20)))
        assert os.statvfs(server.root).f_bfree >= room - 1  # the staging folder itself
        assert server.post("any", form(os.urandom(1 << 20))).status == 200


def test_a_file_that_may_not_grow_is_503_and_leaves_nothing(server: Server) -> None:
    """A limit of the process for the size of a file (EFBIG), as a container may set it."""
    with limited(server, resource.RLIMIT_FSIZE, 1 << 20):
        expect_failure(server, form(b"small", os.urandom(3 << 20)))


def test_descriptors_that_have_run_out_are_503_and_leave_nothing(server: Server) -> None:
    """All files of a form are open until they are published; here only some of them can be (EMFILE)."""
    with limited(server, resource.RLIMIT_NOFILE, server.highest_descriptor() + 10):
        expect_failure(server, form(*[b"small"] * 30))


def expect_failure(server: Server, form: FormBuilder) -> None:
    """The form is answered 503, and nothing of it is left."""
    answer = server.post("any", form)
    assert (answer.status, answer.content_type) == (503, "application/problem+json")
    assert answer.json["code"] == "storage_failed"
    assert str(server.root) not in answer.json["detail"]
    server.settle()
    assert not server.files()


@contextmanager
def limited(server: Server, limit: int, value: int) -> Iterator[None]:
    """A limit of the server's processes."""
    before = {pid: resource.prlimit(pid, limit) for pid in server.pids}
    try:
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, limit, (value, hard))
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, limit, limits)
