"""`kill -9` and SIGTERM in the middle of many uploads, and a process that clears away beside live ones."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from tests.adapters.servers import KINDS, eventually, running
from tests.faults.uploads import begin, begin_in_a_filter, finish
from tests.soak import scaled
from tests.storage.kinds import DISKS

from uploadkit.testing import FormBuilder

SERVERS = ["asgi", "wsgi"]

EACH_ONCE = [("asgi", "nameless"), ("wsgi", "named")]
"""Every server, and every staging: all pairs of them are killed in the long runs, many times."""


@pytest.mark.parametrize(("kind", "staging"), EACH_ONCE)
def test_a_killed_server_leaves_no_part_of_a_file(kind: str, staging: str, tmp_path: Path) -> None:
    """Fifty uploads, killed at the first answer: what has a name is whole, what was promised is there, and the first
    upload of the next process clears the rest away."""
    kill_and_start_again(kind, staging, tmp_path, after=[1])


@pytest.mark.soak
@pytest.mark.parametrize("staging", DISKS)
@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_may_be_killed_at_any_time(kind: str, staging: str, tmp_path: Path) -> None:
    """Twenty times, after a number of answers by chance."""
    chance = random.Random(20)
    kill_and_start_again(kind, staging, tmp_path, after=[chance.randrange(1, 40) for _ in range(scaled(20))])


def kill_and_start_again(kind: str, staging: str, folder: Path, *, after: list[int]) -> None:
    """Kills one server after another, each after so many answers. Ten of the uploads never end, so that there is
    something to clear away."""
    stored: Counter[str] = Counter()
    for answered in [*after, None]:
        with running(KINDS[kind], folder, staging=staging) as server:
            server.warm_up(clear=False)
            assert not server.staged()
            assert Counter(server.files().values()) >= stored
            assert len(server.files()) == stored.total() + 1
            server.clear()
            if answered is None:
                return
            uploads = begin(server, 50)
            assert not server.files()
            finish(uploads[:40], server.kill, after=answered)
            for upload in uploads:
                upload.close()

        stored = Counter(server.files().values())
        assert stored <= Counter(upload.digest for upload in uploads[:40]), "a file that is not whole, or there twice"
        assert stored >= Counter(upload.digest for upload in uploads if upload.status == 200), "a promise was broken"
        assert len(server.staged()) >= (10 if staging == "named" else 0)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_second_process_that_clears_away_harms_no_live_upload(kind: str, tmp_path: Path) -> None:
    """Twenty uploads of one process are under way when another starts in the same folder and sweeps it."""
    with running(KINDS[kind], tmp_path, staging="named") as server:
        server.warm_up()
        uploads = begin(server, 20)
        dead = server.root / ".staging" / "of-a-dead-process"
        dead.write_bytes(b"half")
        with running(KINDS[kind], tmp_path, staging="named") as other:
            assert other.post("any", FormBuilder().text("only", "text")).status == 200
            assert len(server.staged()) == 21, "nothing is swept before the first file"
            assert other.post("any", FormBuilder().file("f", b"first", filename="first")).status == 200
        assert not dead.exists()
        assert len(server.staged()) == 20
        finish(uploads)
        assert [upload.status for upload in uploads] == [200] * 20
        assert Counter(server.files().values()) >= Counter(upload.digest for upload in uploads)
        for upload in uploads:
            upload.close()
        server.settle()
        server.clear()


PATIENCE = {"asgi": ["--timeout-graceful-shutdown"], "wsgi": ["--graceful-timeout"]}
"""The option that says for how many seconds a server that is asked to end waits for what is under way."""


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_asked_to_end_finishes_what_is_under_way(kind: str, tmp_path: Path) -> None:
    """SIGTERM with twenty uploads in flight, whose clients go on: each is answered and stored, then the server ends."""
    with running(KINDS[kind], tmp_path, *PATIENCE[kind], "10") as server:
        server.warm_up()
        uploads = begin(server, 20)
        server.process.terminate()
        eventually(
            lambda: any(line.rstrip().endswith(("Shutting down", "Handling signal: term")) for line in server.log)
        )
        finish(uploads)
        for upload in uploads:
            upload.close()
        assert server.process.wait(15) is not None
    assert [upload.status for upload in uploads] == [200] * 20
    assert Counter(server.files().values()) == Counter(upload.digest for upload in uploads)


@pytest.mark.soak
@pytest.mark.parametrize("staging", DISKS)
@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_asked_to_end_keeps_its_promises(kind: str, staging: str, tmp_path: Path) -> None:
    """SIGTERM at a moment by chance, with twenty uploads in flight of which ten never end: it waits for them a second
    and no longer. Nothing is there in part, and what was answered is there."""
    chance = random.Random(15)
    for number in range(scaled(10)):
        with running(KINDS[kind], tmp_path / str(number), *PATIENCE[kind], "1", staging=staging) as server:
            server.warm_up()
            uploads = begin(server, 20)
            finish(uploads[:10], server.process.terminate, after=chance.randrange(1, 11))
            assert server.process.wait(15) is not None
            for upload in uploads:
                upload.close()
        stored = Counter(server.files().values())
        assert stored <= Counter(upload.digest for upload in uploads[:10]), "a file that is not whole, or there twice"
        assert stored >= Counter(upload.digest for upload in uploads if upload.status == 200), "a promise was broken"
        DISKS[staging](server.root).sweep()
        assert not server.staged()


@pytest.mark.parametrize("form", ["in the middle of a file", "in a filter"])
def test_a_server_that_is_asked_to_end_publishes_no_part_of_an_upload(form: str, tmp_path: Path) -> None:
    """SIGTERM, and no patience for what is under way: uvicorn cancels it and would not wait for it. The application
    does, when its lifespan ends: `capacity.aclose`. Nothing is left for the next process to sweep."""
    with running(KINDS["starlette"], tmp_path, "--timeout-graceful-shutdown", "0", staging="named") as server:
        server.warm_up()
        uploads = begin(server, 3) if form == "in the middle of a file" else [begin_in_a_filter(server)]
        assert server.staged()
        server.process.terminate()
        assert server.process.wait(10) is not None
        for upload in uploads:
            upload.close()
    assert not server.files()
    assert not server.staged()
