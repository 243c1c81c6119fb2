"""Reading from servers that speak S3 in their own way: what was not asked for is never taken for the object."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from uploadkit.errors import StorageFailed
from uploadkit.storage.s3 import S3Storage

OBJECT = bytes(range(100))


class _NoRanges(BaseHTTPRequestHandler):
    """Gives all of an object whatever is asked."""

    protocol_version = "HTTP/1.1"
    has_etag = True

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(OBJECT)))
        if self.has_etag:
            self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(OBJECT)

    def log_message(self, format: str, *args: object) -> None:
        """It is quiet."""


class _NoETag(_NoRanges):
    """Does not say which object it was, as the gateway of JuiceFS unless it is told to keep ETags."""

    has_etag = False


@pytest.fixture(params=[_NoRanges, _NoETag])
def kind(request: pytest.FixtureRequest) -> type[_NoRanges]:
    """Of server."""
    kind: type[_NoRanges] = request.param
    return kind


@pytest.fixture
def storage(kind: type[_NoRanges]) -> Iterator[S3Storage]:
    """On a server of the kind."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    storage = S3Storage("s3://bucket", options={"key": "k", "secret": "s", "endpoint_url": url})
    yield storage
    storage.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("kind", [_NoRanges], indirect=True)
def test_a_server_without_ranges_is_read_from_the_start_alone(storage: S3Storage) -> None:
    """All of it is what was asked then; elsewhere it would be the wrong bytes."""
    assert b"".join(storage.read("key")) == OBJECT
    with pytest.raises(StorageFailed, match="it gave another range than was asked"):
        storage.read("key", 10)
    with pytest.raises(StorageFailed, match="it gave another range than was asked"):
        storage.read("key", 0, 10)


@pytest.mark.parametrize("kind", [_NoETag], indirect=True)
def test_a_server_without_etags_is_not_read(storage: S3Storage) -> None:
    """Nobody could say whether the next range is of the same object."""
    with pytest.raises(StorageFailed, match="its server gives no ETag"):
        storage.read("key")
