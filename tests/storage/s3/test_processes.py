"""Processes that end, are killed or fork in the middle of an upload, and sweeps of what they have left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.storage.kinds import get, put, staged
from tests.storage.processes import in_a_fork
from tests.storage.s3.places import PART_SIZE, Place
from tests.storage.s3.proxy import Fault, Proxy
from tests.storage.s3.server import BUCKET

from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import S3Storage

INFO = ObjectInfo()

PART = b"x" * PART_SIZE

SCRIPT = f"""
import json, os, signal, sys, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs behind it
from uploadkit.storage import event_loop
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import S3Storage
storage = S3Storage(sys.argv[1], options=json.loads(sys.argv[2]), part_size={PART_SIZE})
def upload(key):
    sink = storage.open(key, ObjectInfo())
    sink.write(bytes({PART_SIZE} + 1))
    return sink
def end_as_a_child():
    warnings.simplefilter("ignore", ResourceWarning)  # of the copies that it has of its parent's connections
    sys.exit()
sink, staged = upload("writing"), upload("staged").stage()
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def uploading(place: Place, ending: str, options: dict[str, Any] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process with two uploads, of which one is staged. It goes on with `ending` when it is told a line."""
    command = [sys.executable, "-c", SCRIPT + ending, place.url, json.dumps(options or place.options())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert place.uploads() == ["staged", "writing"]
            yield process
        finally:
            process.kill()


ENDINGS = {
    "an exception": ("raise LookupError('as it should')", "LookupError: as it should"),
    "its end, after that of a child": ("os.waitpid(child, 0) if (child := os.fork()) else end_as_a_child()", ""),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_that_ends_leaves_nothing(place: Place, ending: str) -> None:
    """What it has under way is aborted, and it says nothing of it."""
    code, says = ENDINGS[ending]
    with uploading(place, code) as process:
        _, errors = process.communicate("\n", timeout=20)
    assert (errors.splitlines() or [""])[-1] == says
    assert "nclosed" not in errors
    assert not place.left()
    assert not place.keys()


def test_a_process_that_ends_can_still_look_up_a_name(place: Place) -> None:
    """It has no connection to S3 any more, and Python begins no thread by then."""
    options = place.options(connector_args={"use_dns_cache": False, "keepalive_timeout": 0.001})
    options["endpoint_url"] = options["endpoint_url"].replace("127.0.0.1", "localhost")
    with uploading(place, "", options) as process:
        _, errors = process.communicate("\n", timeout=20)
    assert errors == ""
    assert not place.left()


def test_an_interrupted_process_leaves_nothing(place: Place) -> None:
    """Ctrl-C, in the middle of a write that waits for S3."""
    with uploading(place, "while True: sink.write(bytes(2**20))") as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert not place.left()
    assert not place.keys()


def test_a_fork_that_ends_leaves_the_uploads_of_its_parent(place: Place) -> None:
    """The child ends as a process does, with all that is registered for that; the parent's uploads go on."""
    ending = """
child = os.fork()
if child == 0:
    end_as_a_child()
os.waitpid(child, 0)
staged.commit()
sink.stage().commit()
"""
    with uploading(place, ending) as process:
        _, errors = process.communicate("\n", timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert place.keys() == ["staged", "writing"]
    assert len(place.get("writing")) == len(place.get("staged")) == PART_SIZE + 1
    assert not place.left()


def test_a_process_ends_although_s3_is_silent(place: Place, proxy: Proxy) -> None:
    """It waits for a while and no longer; the sweep removes what it could not."""
    proxy.fail("AbortMultipartUpload", Fault.SILENT)
    with uploading(place, "event_loop.EXIT_SECONDS = 0.5", place.options(proxy)) as process:
        begun = time.monotonic()
        process.communicate("\n", timeout=20)
    assert time.monotonic() - begun < 10
    assert process.returncode == 0
    assert place.uploads() == ["staged", "writing"]
    assert place.storage(stale_seconds=0.001).sweep() == 2
    assert not place.left()


def test_a_process_that_is_killed_leaves_nothing_that_is_seen(place: Place) -> None:
    """kill -9: its uploads stay open until a sweep finds that they are old enough."""
    with uploading(place, "") as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not place.keys()
    assert place.uploads() == ["staged", "writing"]
    assert place.storage().sweep() == 0
    assert place.uploads() == ["staged", "writing"]
    assert place.storage(stale_seconds=0.001).sweep() == 2
    assert not place.left()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_has_connections_of_its_own(place: Place) -> None:
    """A worker that is forked in the middle of an upload: it stores, reads and sweeps, and the upload goes on."""
    storage = place.storage()
    sink = storage.open("parent", INFO)
    sink.write(PART)

    def work() -> str:
        return f"swept {storage.sweep()}, {put(storage, 'child', PART + b'!')}, {len(get(storage, 'child'))}"

    assert in_a_fork(work) == f"swept 0, child, {PART_SIZE + 1}"
    sink.write(PART)
    sink.stage().commit()
    assert place.get("parent") == PART + PART
    assert place.keys() == ["child", "parent"]
    assert not place.left()


# Sweeps


def test_a_sweep_takes_neither_its_own_uploads_nor_those_of_others_that_are_fresh(place: Place) -> None:
    """However old: what a storage has under way it knows. What another has is told by its age."""
    impatient, other = place.storage(stale_seconds=0.001), place.storage()
    own, theirs = impatient.open("own", INFO), other.open("theirs", INFO)
    for sink in (own, theirs):
        sink.write(PART)
    held = staged(impatient, "staged", PART + b"1")
    assert other.sweep() == 0
    assert impatient.sweep() == 1
    assert place.uploads() == ["own", "staged"]
    own.stage().commit()
    held.commit()
    with pytest.raises(StorageFailed, match="the upload was removed") as raised:
        theirs.stage().commit()
    assert not raised.value.retryable
    theirs.discard()
    assert place.keys() == ["own", "staged"]
    assert not place.left()


def test_a_sweep_stays_below_its_prefix(place: Place) -> None:
    """Neither the uploads of a prefix that begins alike nor those above it, and no object, are its own."""
    client, beside = place.server.client, f"{place.prefix}-beside/key"
    uploads = {key: client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"] for key in (beside, "key")}
    put(place.storage(), "object")
    put(place.storage(), "staging/object")
    assert place.storage(stale_seconds=0.001).sweep() == 0
    for key, upload in uploads.items():  # raises where it is not there
        client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
    assert place.keys() == ["object", "staging/object"]


def test_a_sweep_takes_what_clients_have_sent_and_nobody_has_finished(place: Place) -> None:
    """Direct uploads lie in `.staging/` until somebody has looked at them."""
    key = f"{place.prefix}/.staging/upload"
    place.server.client.put_object(Bucket=BUCKET, Key=key, Body=b"from a client")
    assert place.storage().sweep() == 0
    assert place.left() == [".staging/upload"]
    eventually_stale = S3Storage(place.url, options=place.options(), stale_seconds=0.001)
    assert eventually_stale.sweep() == 1
    eventually_stale.close()
    assert not place.keys()


@pytest.mark.soak
def test_many_uploads_are_swept(place: Place) -> None:
    """More than S3 names in one answer."""
    client = place.server.client
    for number in range(1010):
        client.create_multipart_upload(Bucket=BUCKET, Key=f"{place.prefix}/{number}")
    assert place.storage(stale_seconds=0.001).sweep() == 1010
    assert not place.left()
