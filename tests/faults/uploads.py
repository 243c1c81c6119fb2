"""Many uploads at once that are stopped half way, each on a connection of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from tests.adapters.servers import Server, eventually

from uploadkit.testing import Client, FormBuilder, NoAnswer, request, request_head

SIZE = 1_200_000
"""More than either driver holds back before it writes, so that half of it and all of it are on the disk."""

_SAME = os.urandom(SIZE)


class Upload:
    """One file, that no other upload sends too. `status` is that of its answer, None where there was none."""

    def __init__(self, server: Server, number: int) -> None:
        data = b"%06d" % number + _SAME
        form = FormBuilder(boundary=f"boundary-{number}").file("f", data, filename=f"{number}.bin")
        self.digest = hashlib.sha256(data).hexdigest()
        self.status: int | None = None
        self._body = form.body
        self._client = Client(server.port)
        self._client.send(request_head(f"{server.kind.prefix}/any", form.content_type, length=len(self._body)))

    def send_most(self) -> None:
        """All but the last few bytes: nothing may be visible yet."""
        self._client.send(self._body[:-8])

    def finish(self) -> None:
        """Sends the rest and takes the answer, if there is one."""
        with contextlib.suppress(ConnectionError, NoAnswer):
            self._client.send(self._body[-8:])
            self.status = self._client.answer().status

    def close(self) -> None:
        self._client.close()


def begin(server: Server, count: int) -> list[Upload]:
    """That many uploads, whose files are all open in the storage."""
    uploads = [Upload(server, number) for number in range(count)]
    for upload in uploads:
        upload.send_most()
    eventually(lambda: len(server.open_files()) == count)
    assert len(server.open_files()) == count
    return uploads


def begin_in_a_filter(server: Server) -> Client:
    """A form whose first file is staged and whose second waits for a filter that never answers."""
    form = FormBuilder().file("first", b"x" * 10_000, filename="1").file("second", b"x" * 10_000, filename="2")
    client = Client(server.port)
    client.send(request("/waits", form))
    eventually(lambda: len(server.open_files()) == 1)
    assert len(server.open_files()) == 1
    return client


def finish(uploads: list[Upload], call: Callable[[], None] = lambda: None, *, after: int = 1) -> None:
    """Ends all of them at once. `call` is called when so many are answered, or know that they are not."""
    ended = count(1)

    def end(upload: Upload) -> None:
        upload.finish()
        if next(ended) == after:
            call()

    with ThreadPoolExecutor(len(uploads)) as threads:
        list(threads.map(end, uploads))
