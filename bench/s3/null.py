"""An S3 that costs nothing: it reads what is sent, counts it, and answers. `python -m bench.s3.null PORT [MIB]`.

It serves on this port until it is ended, and with a second word takes no more than so many MiB a second from all
together, as at the other end of a line. Nothing is kept but sizes. The kernel drops the bytes of a body (MSG_TRUNC)
without copying them to anybody: what is measured against it is the price of who sends. It knows no credentials, no
conditions and one bucket.
"""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

_BLOCK = 2**18
_ETAG = b'ETag: "00000000000000000000000000000000"\r\n'
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class Bucket:
    """Sizes by key, and of parts by upload and number."""

    objects: dict[str, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    uploads: dict[str, dict[str, int]] = field(default_factory=dict)


class Line:
    """Of so many MiB a second; of any speed where that is 0."""

    def __init__(self, speed: int) -> None:
        self._speed = speed * 2**20
        self._lock = threading.Lock()
        self._free_at = 0.0

    def carry(self, size: int) -> None:
        """Waits as long as the line takes for what is before it, and for this."""
        if self._speed:
            with self._lock:
                self._free_at = max(self._free_at, time.monotonic()) + size / self._speed
                until = self._free_at
            time.sleep(max(0, until - time.monotonic()))


@dataclass
class _Request:
    method: str
    key: str
    query: dict[str, str]
    size: int


def main() -> None:
    """The process itself."""
    bucket, line = Bucket(), Line(int(sys.argv[2]) if sys.argv[2:] else 0)
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, bucket, line), daemon=True).start()


def _serve(connection: socket.socket, bucket: Bucket, line: Line) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    dropped = bytearray(_BLOCK)
    with connection:
        try:
            while (request := _read(connection, dropped, line)) is not None:
                connection.sendall(_answer(request, bucket))
        except (ConnectionError, ValueError) as error:
            print(f"null: {error}", file=sys.stderr)


def _read(connection: socket.socket, dropped: bytearray, line: Line) -> _Request | None:
    """The next request, whose body is gone. None where the client has closed the connection."""
    begun = b""
    while b"\r\n\r\n" not in begun:
        data = connection.recv(65536)
        if not data:
            return None
        begun += data
    head, _, body = begun.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if "transfer-encoding" in headers:
        raise ValueError(f"{method} {target} has no length")
    if headers.get("expect", "").lower() == "100-continue" and not body:
        connection.sendall(_CONTINUE)
    length = int(headers.get("content-length", "0"))
    left = length - len(body)
    if left < 0:
        raise ValueError("a request before the answer to the last one")
    while left:
        count = connection.recv_into(dropped, min(left, _BLOCK), socket.MSG_TRUNC)
        if not count:
            raise ConnectionError(f"the body of {method} {target} ends {left} bytes early")
        left -= count
        line.carry(count)
    address = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
    _, _, key = unquote(address.path).removeprefix("/").partition("/")
    return _Request(method, key, query, int(headers.get("x-amz-decoded-content-length", length)))


def _answer(request: _Request, bucket: Bucket) -> bytes:
    match request.method:
        case "PUT" if "uploadId" in request.query:
            bucket.uploads[request.query["uploadId"]][request.query["partNumber"]] = request.size
            return _response(200, extra=_ETAG)
        case "PUT" if request.key:
            bucket.objects[request.key] = request.size
            return _response(200, extra=_ETAG)
        case "PUT":
            return _response(200)  # the bucket itself
        case "POST" if "uploads" in request.query:
            upload = str(next(bucket.numbers))
            bucket.uploads[upload] = {}
            return _xml("InitiateMultipartUploadResult", f"<Key>{request.key}</Key><UploadId>{upload}</UploadId>")
        case "POST" if "uploadId" in request.query:
            bucket.objects[request.key] = sum(bucket.uploads.pop(request.query["uploadId"]).values())
            return _xml("CompleteMultipartUploadResult", f"<Key>{request.key}</Key><ETag>&quot;0-1&quot;</ETag>")
        case "GET" if "uploads" in request.query:
            return _xml("ListMultipartUploadsResult", "".join(map(_listed_upload, bucket.uploads)))
        case "GET" if not request.key:
            return _xml("ListBucketResult", "".join(_listed(*each) for each in bucket.objects.items()))
        case "HEAD" if request.key in bucket.objects:
            return _response(200, extra=_ETAG, length=bucket.objects[request.key])
        case "HEAD":
            return _response(404)
        case "DELETE":
            bucket.objects.pop(request.key, None)
            bucket.uploads.pop(request.query.get("uploadId", ""), None)
            return _response(204)
    return _response(501)


def _listed(key: str, size: int) -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"


def _listed_upload(upload: str) -> str:
    return f"<Upload><Key>unknown</Key><UploadId>{upload}</UploadId></Upload>"


def _xml(name: str, content: str) -> bytes:
    body = f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'.encode()
    return _response(200, extra=b"Content-Type: application/xml\r\n", length=len(body)) + body


def _response(status: int, *, extra: bytes = b"", length: int = 0) -> bytes:
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n" % (status, extra, length)


if __name__ == "__main__":
    main()
