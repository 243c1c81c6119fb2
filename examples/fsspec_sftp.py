"""A storage on another machine, over SFTP, that talks to that machine alone."""

from __future__ import annotations

from typing import Any

import paramiko

from uploadkit import FsspecStorage


class OnlyThisHost(paramiko.MissingHostKeyPolicy):
    """Takes one host key, by what `ssh-keyscan files.example | ssh-keygen -lf -` says on a line you trust."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        if key.fingerprint != self.fingerprint:
            raise paramiko.SSHException(f"{hostname} has another host key: {key.fingerprint}")


def uploads_on(url: str, fingerprint: str, **login: Any) -> FsspecStorage:
    """`login` is what paramiko's `SSHClient.connect` takes: username, port, key_filename or password."""
    return FsspecStorage(
        url,
        options={"host_key_policy": OnlyThisHost(fingerprint), "allow_agent": False, "timeout": 10, **login},
        connections=8,
    )
