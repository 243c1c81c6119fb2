"""An S3 server that a test has for itself on 127.0.0.1, and a client that looks at it from outside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

KEY, SECRET, BUCKET, REGION = "admin", "secret-key-for-tests", "bucket", "us-east-1"
"""What every server of the tests knows."""

# botocore describes S3 in files, which every session of it finds and reads anew in 0.2 s. A storage has a session of
# its own, and the tests have a thousand storages: here all sessions of a process have one reader of these files.
botocore.session.create_loader = cache(botocore.session.create_loader)


@dataclass(eq=False)
class S3Server:
    """`url` is its endpoint. It has one bucket, which its tests share: each has a prefix of its own."""

    name: str
    url: str
    key: str = KEY
    secret: str = SECRET
    bucket: str = BUCKET

    @cached_property
    def client(self) -> Any:
        """One for who looks at the server as it is. Whoever ends the server closes it."""
        return self.connect()

    def connect(self, url: str | None = None, **config: Any) -> Any:
        """Another client of boto3, which tries once; `url` is a proxy's. `config` is botocore's."""
        return boto3.client(
            "s3",
            endpoint_url=url or self.url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name=REGION,
            config=Config(**{"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 20} | config),
        )

    def options(self, url: str | None = None, **config: Any) -> dict[str, Any]:
        """What s3fs needs to reach it; `url` is a proxy's. `config` is botocore's."""
        return {
            "key": self.key,
            "secret": self.secret,
            "endpoint_url": url or self.url,
            # There is no certificate to be verified here, and to read those of the authorities takes 50 ms.
            "client_kwargs": {"region_name": REGION, "verify": False},
            "config_kwargs": config,
        }


def environment(folder: Path) -> dict[str, str]:
    """Of a server's process: nothing in it is from the home of whoever runs the tests."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
