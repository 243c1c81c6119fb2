"""`kill -9` of a bare process that receives uploads, which takes so little that it can be done by the hundred."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, pairwise
from pathlib import Path

import pytest
from tests.faults.receiver import STORED
from tests.soak import scaled
from tests.storage.kinds import DISKS
from tests.storage.processes import Child

from uploadkit.testing import Client, FormBuilder, leftovers

_SAME = os.urandom(600_000)


class Upload:
    """A form with two files that no other has, in pieces."""

    def __init__(self, client: Client, number: int, chance: random.Random) -> None:
        files = [b"%06d-%d" % (number, each) + _SAME[: chance.choice([0, 20_000, 600_000])] for each in range(2)]
        form = FormBuilder(boundary="b")
        for data in files:
            form.file("f", data, filename="f.bin")
        sent = form.content_type.encode() + b"\n" + form.body
        cuts = sorted(chance.randrange(len(sent)) for _ in range(6))
        self.client = client
        self.digests = {hashlib.sha256(data).hexdigest() for data in files}
        self.pieces = [sent[start:end] for start, end in pairwise([0, *cuts, len(sent)])]

    def send_piece(self) -> None:
        """The next one; the end behind the last."""
        self.client.send(self.pieces.pop(0))
        if not self.pieces:
            self.client.end()

    def is_promised(self) -> bool:
        """Whether the process said that it is stored, when it has said all."""
        with suppress(ConnectionError):
            return self.client.socket.recv(1) == STORED
        return False


@pytest.mark.soak
@pytest.mark.parametrize("staging", DISKS)
@pytest.mark.parametrize("driver", ["blocking", "async"])
def test_a_process_may_be_killed_at_any_moment(
    driver: str, staging: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """More than a hundred times, while six uploads arrive piece by piece: no file is visible in part, and none is
    missing of an upload that was answered. What is left in staging goes with the next process."""
    chance, numbers, disk = random.Random(105), count(), DISKS[staging](tmp_path)
    kills = {"all stored": 0, "some": 0, "none": 0}
    left = 0
    with Child(
        f"from tests.faults.receiver import fork_receivers; fork_receivers(disk, {driver!r})", staging, tmp_path
    ) as forks:
        for _ in range(scaled(105)):
            with ExitStack() as clients:
                with receiver(forks) as port:
                    uploads = [Upload(clients.enter_context(Client(port)), next(numbers), chance) for _ in range(6)]
                    send_some(uploads, chance)
                promised = [upload for upload in uploads if upload.is_promised()]
            stored = taken(tmp_path)
            assert stored <= {digest for upload in uploads for digest in upload.digests}, "a file that is not whole"
            assert all(upload.digests <= stored for upload in promised), "a promise was broken"
            kills["all stored" if len(stored) == 12 else "some" if stored else "none"] += 1
            left += len(leftovers(disk))

        with receiver(forks) as port, Client(port) as client:
            upload = Upload(client, next(numbers), chance)
            while upload.pieces:
                upload.send_piece()
            assert upload.is_promised()
            assert leftovers(disk) == []
    record_property("figure", f"{driver}, {staging}: killed with {kills}, {left} files left in staging")


@contextmanager
def receiver(forks: Child) -> Iterator[int]:
    """The port of a new process, which is killed at the end."""
    forks.say("")
    process, port = map(int, forks.line().split())
    try:
        yield port
    finally:
        os.kill(process, signal.SIGKILL)


def send_some(uploads: list[Upload], chance: random.Random) -> None:
    """Pieces of all uploads in any order and then a moment, or all pieces and up to an answer, with others to come."""
    turns = [upload for upload in uploads for _ in upload.pieces]
    chance.shuffle(turns)
    in_part = chance.random() < 0.5
    for upload in turns[: chance.randrange(1, len(turns)) if in_part else None]:
        upload.send_piece()
    chance.choice(uploads).client.wait(chance.uniform(0, 0.02) if in_part else 5)


def taken(root: Path) -> set[str]:
    """The SHA-256 of every file under a final name; they are removed."""
    digests = set()
    for path in root.glob("[!.]*"):
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        path.unlink()
    return digests
