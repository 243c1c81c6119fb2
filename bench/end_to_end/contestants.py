"""Who takes uploads: the floor of each server, uploadkit under each of its adapters, and its peers.

A contestant's name is its server and its application. `+digest` is uploadkit with a SHA-256 of every file, which is
its default and is switched off elsewhere since no peer makes one; `+tuned` is a process whose allocator was tuned. A
contestant that cannot run here is listed with the reason, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from importlib import metadata

from . import unmerged
from .servers import GRANIAN, GUNICORN, UVICORN, Kind

DIGEST, TUNED = "+digest", "+tuned"


class Role(Enum):
    """A floor stores whole bodies; all others have to store files and to read text values."""

    FLOOR = "floor"
    OURS = "uploadkit"
    PEER = "peer"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """`application` is a module of this package and a name in it."""

    server: Kind
    called: str
    role: Role
    application: str
    distributions: tuple[str, ...] = ()
    digest: bool = False
    tuned: bool = False

    @property
    def name(self) -> str:
        return f"{self.server.name}/{self.called}{DIGEST * self.digest}{TUNED * self.tuned}"

    @property
    def floor(self) -> str:
        """The name of the floor that it is compared with: on the same server, tuned where it is."""
        return f"{self.server.name}/floor{TUNED * self.tuned}"

    @property
    def is_variant(self) -> bool:
        return self.digest or self.tuned

    @property
    def environment(self) -> dict[str, str]:
        """What `told` reads in the server's process, but for the folder."""
        return {"BENCH_DIGEST": str(int(self.digest)), "BENCH_TUNED": str(int(self.tuned))}

    def command(self, port: int) -> list[str]:
        """What starts its server."""
        return self.server.command(f"bench.end_to_end.{self.application}", port)

    def missing(self) -> str | None:
        """Why it cannot run here; None where it can."""
        for distribution in (*self.server.distributions, *self.distributions):
            if version(distribution) is None:
                return f"not installed: {distribution}"
        if self.tuned and not unmerged.has_tune_allocator():
            return "not available: tune_allocator"
        if self.role is Role.OURS and not self.digest and not unmerged.has_digest():
            return "not available: Uploader(digest=False)"
        if self.application == "ours.django_asgi:app" and not unmerged.has_django_asgi():
            return "not available: adapters.django.asgi"
        return None


def contestants() -> tuple[Contestant, ...]:
    """All of them, in the order of the report."""
    return tuple(_every())


def version(distribution: str) -> str | None:
    """None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _every() -> Iterator[Contestant]:
    for server in (UVICORN, GRANIAN):
        yield from _floors(server, "floor:asgi")
        yield from _ours(server, "asgi")
        if server is UVICORN:
            yield from _ours(server, "starlette", "starlette")
            yield from _ours(server, "fastapi", "fastapi")
            yield from _ours(server, "django_asgi", "django")
        yield _peer(server, "fastapi", "fastapi", "python-multipart")
    yield from _floors(GUNICORN, "floor:wsgi")
    yield from _ours(GUNICORN, "wsgi")
    yield from _ours(GUNICORN, "flask", "flask")
    yield from _ours(GUNICORN, "django_wsgi", "django")


def _floors(server: Kind, application: str) -> Iterator[Contestant]:
    plain = Contestant(server=server, called="floor", role=Role.FLOOR, application=application)
    yield plain
    yield replace(plain, tuned=True)


def _ours(server: Kind, module: str, *distributions: str) -> Iterator[Contestant]:
    plain = Contestant(
        server=server,
        called=f"uploadkit-{module.partition('_')[0]}",
        role=Role.OURS,
        application=f"ours.{module}:app",
        distributions=distributions,
    )
    yield plain
    yield replace(plain, digest=True)
    yield replace(plain, tuned=True)


def _peer(server: Kind, module: str, *distributions: str) -> Contestant:
    called = module.partition("_")[0]
    application = f"peers.{module}:app"
    return Contestant(
        server=server, called=called, role=Role.PEER, application=application, distributions=distributions
    )
