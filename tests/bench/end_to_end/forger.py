"""A server that takes forms and does with them what it is told to: `forger.py PORT DEED`."""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

from uploadkit import MemoryStorage, Uploader, receive

DEED = sys.argv[2]
FORM = Uploader(MemoryStorage()).any()


class Handler(BaseHTTPRequestHandler):
    """Right but for one thing."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one segment: the second of two would wait for an acknowledgement

    def do_GET(self) -> None:
        self._answer(200, "ok")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = receive(FORM, self.headers["Content-Type"], [body])
        is_first = len(received.fields) == 3  # what comes before the measured load is taken as it should be
        data = received.files[0].read()
        if DEED == "flips a bit" and not is_first:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if DEED != "stores nothing" or is_first:
            Path(os.environ["BENCH_FOLDER"], uuid4().hex).write_bytes(data)
        if DEED == "stores twice" and not is_first:
            Path(os.environ["BENCH_FOLDER"], uuid4().hex).write_bytes(data)
        texts = "|".join(received.fields.get(name, "") for name in ("title", "author", "note"))
        texts = "|a text that nobody sent|" if DEED == "makes texts up" else texts
        self._answer(500 if DEED == "fails" else 200, texts)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing but what it fails with."""

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if DEED == "does not start":
    sys.exit("there is a reason for it")
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
