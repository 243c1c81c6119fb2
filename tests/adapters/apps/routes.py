"""The routes that every application of the parity test offers, and what their handlers answer.

Knows no framework. A server keeps its files in `uploads` below its working folder, staged as `UPLOADKIT_STAGING`
says: `nameless`, where the file system can do that, or `named`. Its garbage is `kept` where `UPLOADKIT_GARBAGE` says
so: what waits for the collector then stays for ever.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field
from tests.storage.kinds import DISKS

from uploadkit.errors import LedgerFailed
from uploadkit.intake.plan import OnProgress
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import DOCUMENTS, IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

LIMITED: dict[str, int] = {
    "body_size": 1000,
    "file_size": 100,
    "files_size": 150,
    "files": 2,
    "fields": 2,
    "parts": 3,
    "field_size": 50,
    "fields_size": 75,
    "field_name_size": 20,
    "filename_size": 20,
    "header_count": 3,
    "header_size": 200,
    "preamble_size": 50,
    "epilogue_size": 50,
}
"""Every one of `Limits`, each small in a route of its own: `limit/files` takes two files."""


class Profile(BaseModel):
    """A typed form with two text fields, an optional file and a list."""

    title: str = Field(min_length=3)
    age: int
    avatar: Annotated[UploadedFile, File(accept=IMAGES, max_size=1000)] | None = None
    photos: list[UploadedFile]


class LoggedRegister:
    """A register that writes what it is told into `register.log`. It accepts no file of the name `unaccepted.bin`."""

    def __init__(self, log: str) -> None:
        self.log = Path(log)

    def write(self, line: str) -> None:
        """One line, whoever else writes."""
        with self.log.open("a") as log:
            log.write(f"{line}\n")

    def knows(self, storage: Storage) -> None: ...

    def begin(self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str) -> None:
        self.write(f"begin {file.filename}")

    def accept(self, files: Sequence[UploadedFile]) -> None:
        self.write(" ".join(["accept", *(file.filename for file in files)]))
        if any(file.filename == "unaccepted.bin" for file in files):
            raise LedgerFailed("not this one")

    async def aaccept(self, files: Sequence[UploadedFile]) -> None:
        self.accept(files)

    def refuse(self, uploads: Sequence[str], error: BaseException) -> None:
        self.write(f"refuse {len(uploads)} for {type(error).__name__}")

    def delete(self, file: UploadedFile) -> None:
        self.write(f"delete {file.filename}")
        file.storage.delete(file.key)


REGISTER = LoggedRegister("register.log")


def server_storage() -> DiskStorage:
    """The storage of a server's process."""
    if os.environ.get("UPLOADKIT_GARBAGE") == "kept":
        gc.disable()
    return DISKS[os.environ.get("UPLOADKIT_STAGING", "nameless")]("uploads")


def specs(storage: Storage) -> dict[str, Spec[Any]]:
    """The spec of each route."""
    upload = Uploader(storage)
    routes: dict[str, Spec[Any]] = {
        "single": upload.single("avatar", accept=IMAGES, max_size="1 MB"),
        "documents": upload.single("document", accept=[DOCUMENTS, "application/zip"]),
        "optional": upload.single("avatar", required=False, min_size=10),
        "array": upload.array("photos", max_count=3),
        "fields": upload.fields(
            File("avatar", required=True),
            File("gallery", max_count=2),
            Text("title", required=True, max_length=10),
            Text("tag", max_count=2),
        ),
        "form": upload.form(Profile),
        "none": upload.none(),
        "any": upload.any(),
        "filter": upload.single("file", filter=no_secrets),
        "raises": upload.any(),
        "rejects": upload.any(),
        "slow": Uploader(storage, limits=Limits(idle_seconds=2, min_rate=1024)).any(),
        "impatient": Uploader(storage, limits=Limits(idle_seconds=0.2)).any(),
        "progress": upload.any(),
        "registered": Uploader(storage, pipeline=REGISTER, limits=Limits(files=3)).any(),
    }
    for name, limit in LIMITED.items():
        routes[f"limit/{name}"] = Uploader(storage, limits=Limits(**{name: limit})).any()
    return routes


_progress: list[tuple[int, int | None]] = []


def watched(route: str) -> Callable[[Any], OnProgress | None] | None:
    """The `progress` of a route: that of "progress" is remembered, and answered by its handler."""
    if route != "progress":
        return None

    def begin(request: object) -> OnProgress:
        _progress.clear()
        return lambda received, expected: _progress.append((received, expected))

    return begin


def no_secrets(file: IncomingFile) -> bool:
    """Refuses what says that it is secret."""
    return not file.head.startswith(b"secret")


def handled(route: str, received: Any) -> tuple[int, dict[str, Any]]:
    """What the handler of a route answers: a status and JSON."""
    if route == "raises":
        raise RuntimeError("the handler raises, as it should")
    if route == "rejects":
        received.discard()
        return 409, {"rejected": True}
    if route == "progress":
        return 200, {"progress": _progress}
    if route == "registered":
        REGISTER.write("handler")
        if received.fields.get("do") == "raise":
            raise RuntimeError("the handler raises, as it should")
    return 200, shown(received)


async def ahandled(route: str, received: Any) -> tuple[int, dict[str, Any]]:
    """The async twin of `handled`."""
    if route == "rejects":
        await received.adiscard()
    return handled(route, received)


def shown(received: Submission | Profile | UploadedFile | list[UploadedFile] | None) -> dict[str, Any]:
    """What a handler was given, as JSON that does not depend on the framework, the server or chance."""
    if isinstance(received, Profile):
        avatar = [received.avatar] if received.avatar else []
        return shown([*avatar, *received.photos]) | {"title": received.title, "age": received.age}
    if isinstance(received, Submission):
        files, fields = list(received.files), received.fields.multi_items()
    else:
        files, fields = [received] if isinstance(received, UploadedFile) else received or [], ()
    facts = ("field", "filename", "client_filename", "content_type", "declared_type", "size", "digest")
    return {
        "files": [{fact: getattr(file, fact) for fact in facts} for file in files],
        "fields": [list(item) for item in fields],
    }
