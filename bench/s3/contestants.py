"""Who sends to S3: uploadkit behind a server, the usual way behind the same one, and clients that have all in memory.

They stand in a ring: uploadkit has at its sides the two that it is compared with. It makes a SHA-256 of every file, as
it does where nobody says otherwise; no other does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..end_to_end.servers import GUNICORN, UVICORN, Kind, version

FROM_MEMORY = "memory/boto3"


class Role(Enum):
    """`MEMORY` has no server: it is the client of S3 alone."""

    OURS = "uploadkit"
    USUAL = "the usual way"
    MEMORY = "from memory"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """`application` is a module and a name in it, from `bench` on; without a server a whole name of a module.

    `rivals` are the names of those that it is compared with.
    """

    name: str
    role: Role
    application: str
    server: Kind | None = None
    distributions: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, str | None]:
        """Of all that it runs on. None where something is not installed."""
        served = self.server.versions() if self.server is not None else {}
        return {**served, **{name: version(name) for name in self.distributions}}

    def missing(self) -> str | None:
        """Why it cannot run here; None where it can."""
        for name, found in self.versions.items():
            if found is None:
                return f"not installed: {name}"
        return None


def contestants() -> tuple[Contestant, ...]:
    """All of them, in the order of the ring."""
    return (
        _usual("fastapi", UVICORN, "python-multipart"),
        _ours("fastapi", UVICORN),
        _memory("boto3", "boto3"),
        _ours("flask", GUNICORN),
        _usual("flask", GUNICORN),
        _memory("obstore", "obstore"),
        _memory("uploadkit", "s3fs"),
    )


def _ours(framework: str, server: Kind) -> Contestant:
    return Contestant(
        name=f"{framework}/uploadkit",
        role=Role.OURS,
        application=f"s3.ours.{framework}:app",
        server=server,
        distributions=(framework, "s3fs"),
        rivals=(FROM_MEMORY, f"{framework}/usual"),
    )


def _usual(framework: str, server: Kind, *distributions: str) -> Contestant:
    return Contestant(
        name=f"{framework}/usual",
        role=Role.USUAL,
        application=f"s3.usual.{framework}:app",
        server=server,
        distributions=(framework, "boto3", *distributions),
    )


def _memory(module: str, distribution: str) -> Contestant:
    return Contestant(
        name=f"memory/{module}",
        role=Role.MEMORY,
        application=f"{__package__}.memory.{module}",
        distributions=(distribution,),
    )
