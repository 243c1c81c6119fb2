"""Who takes uploads: the floor of each server, uploadkit under each of its adapters, and its peers.

A contestant's name is its server and its application. `+digest` is uploadkit with a SHA-256 of every file, which is
its default and is switched off elsewhere since no peer makes one; `+tuned` is a process whose allocator was tuned. A
contestant that cannot run here is listed with the reason, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from .servers import AIOHTTP, GRANIAN, GUNICORN, NODE, UVICORN, Kind, version

DIGEST, TUNED = "+digest", "+tuned"


class Role(Enum):
    """A floor stores whole bodies; all others have to store files and to read text values."""

    FLOOR = "floor"
    OURS = "uploadkit"
    PEER = "peer"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """`application` is a module and a name in it, from `bench` on."""

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

    @property
    def versions(self) -> dict[str, str | None]:
        """Of all that it runs on. None where something is not installed."""
        return {**self.server.versions(), **{name: version(name) for name in self.distributions}}

    def command(self, port: int) -> list[str]:
        """What starts its server."""
        return self.server.command(self.application, port)

    def missing(self) -> str | None:
        """Why it cannot run here; None where it can."""
        for name, found in self.versions.items():
            if found is None:
                return f"not installed: {name}"
        return None


def contestants() -> tuple[Contestant, ...]:
    """All of them, in the order of the report."""
    return tuple(_every())


def _every() -> Iterator[Contestant]:
    yield from _floors(UVICORN, "end_to_end.floor:asgi")
    yield from _ours(UVICORN, "asgi")
    yield from _ours(UVICORN, "starlette", "starlette")
    yield from _ours(UVICORN, "fastapi", "fastapi")
    yield from _ours(UVICORN, "django_asgi", "django")
    yield _peer(UVICORN, "starlette-form", "end_to_end.peers.starlette_form:app", "starlette", "python-multipart")
    yield _peer(
        UVICORN, "streaming-form-data", "end_to_end.peers.starlette_streaming:app", "starlette", "streaming-form-data"
    )
    yield _peer(UVICORN, "fastapi", "end_to_end.peers.fastapi:app", "fastapi", "python-multipart")
    yield _peer(UVICORN, "django", "end_to_end.peers.django:asgi", "django")

    yield from _floors(GRANIAN, "end_to_end.floor:asgi")
    yield from _ours(GRANIAN, "asgi")
    yield _peer(GRANIAN, "fastapi", "end_to_end.peers.fastapi:app", "fastapi", "python-multipart")

    yield from _floors(GUNICORN, "end_to_end.floor:wsgi")
    yield from _ours(GUNICORN, "wsgi")
    yield from _ours(GUNICORN, "flask", "flask")
    yield from _ours(GUNICORN, "django_wsgi", "django")
    yield _peer(GUNICORN, "flask", "end_to_end.peers.flask:app", "flask")
    yield _peer(GUNICORN, "django", "end_to_end.peers.django:wsgi", "django")

    yield _peer(AIOHTTP, "multipart", "end_to_end.peers.aiohttp")
    yield _peer(NODE, "express-multer", "end_to_end/peers/express_multer.js")


def _floors(server: Kind, application: str) -> Iterator[Contestant]:
    plain = Contestant(server=server, called="floor", role=Role.FLOOR, application=application)
    yield plain
    yield replace(plain, tuned=True)


def _ours(server: Kind, module: str, *distributions: str) -> Iterator[Contestant]:
    plain = Contestant(
        server=server,
        called=f"uploadkit-{module.partition('_')[0]}",
        role=Role.OURS,
        application=f"end_to_end.ours.{module}:app",
        distributions=distributions,
    )
    yield plain
    yield replace(plain, digest=True)
    yield replace(plain, tuned=True)


def _peer(server: Kind, called: str, application: str, *distributions: str) -> Contestant:
    return Contestant(
        server=server, called=called, role=Role.PEER, application=application, distributions=distributions
    )
