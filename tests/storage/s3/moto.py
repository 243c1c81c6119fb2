"""moto, which plays S3 in memory, as a server on a port of 127.0.0.1 that it chooses itself.

In a process of its own: its threads would stand among those of a test that looks for what is left behind.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.storage.s3.server import BUCKET, S3Server, environment

READY_SECONDS = 30

SMALL_PARTS = {"S3_UPLOAD_PART_MIN_SIZE": "1", "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "16777216"}
"""It takes parts of any size, and keeps them in memory."""

PROGRAM = """
import threading
from moto import server
from moto.s3.responses import S3Response

lock, respond = threading.Lock(), S3Response._key_response

def respond_as_s3(self, request, full_url):
    if "If-None-Match" not in request.headers:
        return respond(self, request, full_url)
    with lock:
        return respond(self, request, full_url)

S3Response._key_response = respond_as_s3
server.main()
"""
"""What S3 does under a condition is one step. moto looks and then stores: two in a hundred races had two winners."""

_listening = re.compile(r"http://127\.0\.0\.1:\d+").search


@contextmanager
def moto_server(folder: Path, *, open_calls: int | None = None) -> Iterator[S3Server]:
    """One with an empty bucket. It is ended by its own process's id.

    After `open_calls` it asks for credentials that it knows and for a policy that allows the call; None: never.
    """
    folder.mkdir(exist_ok=True)
    guarded = {} if open_calls is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(open_calls)}
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "-H", "127.0.0.1", "-p", "0"],
            env=environment(folder) | SMALL_PARTS | guarded,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        server = S3Server("moto", _url(process, folder / "out"))
        server.client.create_bucket(Bucket=BUCKET)
        yield server
        server.client.close()
    finally:
        process.kill()  # it has nothing to put away
        process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + READY_SECONDS
    while not (found := _listening(log.read_text())):
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"moto does not listen: {log.read_text()[-2000:]}")
        time.sleep(0.02)
    return found[0]
