"""Receives uploads in processes that are made to be killed: one is forked for each line on stdin, within milliseconds.

Each child says its id and its port on one line, receives forms until it is killed, and answers each that is stored
with one byte. A connection brings a Content-Type, a line feed, and a form up to its end.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from threading import Thread

from uploadkit.errors import UploadError
from uploadkit.intake.asynchronous import areceive
from uploadkit.intake.blocking import receive
from uploadkit.intake.spec import Spec
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

STORED = b"+"

READ_SIZE = 1 << 16


def fork_receivers(disk: DiskStorage, driver: str) -> None:
    """Forks one for each line, when the one before has been killed."""
    spec = Uploader(disk).any()
    serve = serve_in_threads if driver == "blocking" else serve_in_a_loop
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                print(os.getpid(), listener.getsockname()[1], flush=True)  # noqa: T201
                serve(spec, listener)
        os.waitpid(child, 0)


def serve_in_threads(spec: Spec[Submission], listener: socket.socket) -> None:
    """Each connection in a thread of its own."""
    while True:
        connection, _ = listener.accept()
        Thread(target=serve_one, args=(spec, connection)).start()


def serve_one(spec: Spec[Submission], connection: socket.socket) -> None:
    """One upload."""

    def chunks() -> Iterator[bytes]:
        while chunk := stream.read1(READ_SIZE):
            yield chunk

    with connection, connection.makefile("rb") as stream, suppress(UploadError, OSError):
        receive(spec, stream.readline().decode().strip(), chunks())
        connection.sendall(STORED)


def serve_in_a_loop(spec: Spec[Submission], listener: socket.socket) -> None:
    """Each connection in a task of one event loop."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            while chunk := await reader.read(READ_SIZE):
                yield chunk

        with suppress(UploadError, OSError):
            await areceive(spec, (await reader.readline()).decode().strip(), chunks())
            writer.write(STORED)
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(serve_one, sock=listener) as server:
            await server.serve_forever()

    asyncio.run(serve())
