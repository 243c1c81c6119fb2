"""A storage in memory that clients may send to, and that keeps the rules which a form was signed with; and a pipeline
over it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from uploadkit.errors import ObjectMissing
from uploadkit.policy.accept import IMAGES
from uploadkit.processing.owned import Owned
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import Quota, UploadRecord
from uploadkit.resumable.direct import DirectUploads
from uploadkit.storage.contract import Buffer, ObjectInfo, SignedPost, StoredObject, StoredPart
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader


class ClientRefused(Exception):
    """The storage itself takes no such thing from a client."""


@dataclass(eq=False)
class Bucket(MemoryStorage):
    """`sent` is what clients sent and nobody has judged, by the names of uploads; `infos` what was said of objects."""

    name: str = "bucket"
    sent: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    infos: dict[str, ObjectInfo] = field(default_factory=dict)
    before_commit: Callable[[], object] | None = None
    may_block = True

    def __post_init__(self) -> None:
        super().__init__(self.name)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return (self.stat(key) for key in self.objects if key.startswith(prefix))

    # What clients do

    def post(self, url: str, fields: Mapping[str, str], data: bytes) -> None:
        """A form, as it was signed."""
        assert url == "https://bucket/"
        if not int(fields["min"]) <= len(data) <= int(fields["max"]):
            raise ClientRefused(f"{len(data)} bytes are not {fields['min']} to {fields['max']}")
        self.sent[fields["key"]] = data

    def put(self, url: str, data: bytes) -> None:
        """A part, to a signed address."""
        _, upload, number, _ = url.removeprefix("https://bucket/").split("/")
        self.parts[upload][int(number)] = data

    # What the application does

    def sign_post(
        self, upload: str, info: ObjectInfo, *, min_size: int, max_size: int, expires_seconds: int
    ) -> SignedPost:
        said = {"key": upload, "type": info.content_type, "min": min_size, "max": max_size, "for": expires_seconds}
        return SignedPost(url="https://bucket/", fields={name: str(value) for name, value in said.items()})

    def begin_parts(self, upload: str, info: ObjectInfo) -> str:
        self.parts[upload] = {}
        return f"parts of {upload}"

    def sign_part(self, upload: str, parts_id: str, number: int, *, expires_seconds: int) -> str:
        assert parts_id == f"parts of {upload}"
        return f"https://bucket/parts/{upload}/{number}/{expires_seconds}"

    def list_parts(self, upload: str, parts_id: str) -> Sequence[StoredPart]:
        assert parts_id == f"parts of {upload}"
        if upload not in self.parts:
            raise ObjectMissing("no such upload", storage=self.name)
        parts = sorted(self.parts[upload].items())
        return [StoredPart(number=number, size=len(data), etag=str(hash(data))) for number, data in parts]

    def complete_parts(self, upload: str, parts_id: str, parts: Sequence[StoredPart]) -> None:
        assert parts == self.list_parts(upload, parts_id)
        sent = self.parts.pop(upload)
        self.sent[upload] = b"".join(sent[part.number] for part in parts)

    def abort_parts(self, upload: str, parts_id: str) -> None:
        assert parts_id == f"parts of {upload}"
        self.parts.pop(upload, None)

    def abandon(self, upload: str, parts_id: str | None) -> None:
        self.parts.pop(upload, None)
        self.sent.pop(upload, None)

    def arrived(self, upload: str) -> Arrived:
        if upload not in self.sent:
            raise ObjectMissing("no such object", storage=self.name)
        return Arrived(self, upload, self.sent[upload])


class Arrived:
    """Bytes that nobody can change any more."""

    def __init__(self, bucket: Bucket, upload: str, data: bytes) -> None:
        self._bucket = bucket
        self._upload = upload
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self._data)

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        if self._bucket.before_commit is not None:
            self._bucket.before_commit()
        sink = self._bucket.open(key, info)
        sink.write(self._data)
        staged = sink.stage()
        try:
            stored = staged.commit()
        except BaseException:
            staged.discard()
            raise
        self._bucket.infos[key] = info
        self.discard()
        return stored

    def discard(self) -> None:
        self._bucket.sent.pop(self._upload, None)


class Seen:
    """A check that keeps what it saw, and refuses what has a word in it."""

    def __init__(self, word: bytes = b"virus") -> None:
        self.word = word
        self.blocks: list[bytes] = []
        self.ended = 0

    def begin(self, file: object) -> Seen:
        self.blocks.clear()
        return self

    def feed(self, data: Buffer) -> None:
        self.blocks.append(bytes(data))

    def end(self) -> None:
        self.ended += 1
        if self.word in b"".join(self.blocks):
            from uploadkit.errors import FileRefused

            raise FileRefused("it has a virus", filter="seen")


@dataclass(eq=False)
class Place:
    """A bucket, a ledger, and a pipeline over both, which has a step that counts."""

    pipeline: Pipeline
    bucket: Bucket
    done: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return self.pipeline.ledger

    def direct(self, *, owner: str | None = "ann", quota: Quota | None = None, size: int = 0, **rules: Any) -> Any:
        """Those of an owner. Images, where no other rule is given."""
        wanted: dict[str, Any] = rules or {"accept": IMAGES}
        spec = Uploader(self.bucket, pipeline=self.pipeline).single("photo", **wanted)
        if owner is not None:
            register = Owned(self.pipeline, owner=owner, quota=quota, expected_size=size)
            spec = replace(spec, register=register)
        return DirectUploads(spec, digest=True)

    def send(self, direct: DirectUploads, data: bytes, name: str = "me.png", **said: Any) -> str:
        """A file, as a client sends it that says how large it is; returns the token."""
        form = direct.begin(name, None, len(data), **said)
        self.bucket.post(form.url, form.fields, data)
        return form.token

    def record(self, upload: str) -> UploadRecord:
        return self.ledger.get(upload)

    def left(self) -> dict[str, object]:
        """What is somewhere, but for records and what they name."""
        named = {record.key for record in self.ledger.find()}
        found = {
            "orphans": [key for key in self.bucket.objects if key not in named],
            "sent": list(self.bucket.sent),
            "parts": list(self.bucket.parts),
            "rows": [record.id for record in self.ledger.find(resumable=True)],
        }
        return {name: each for name, each in found.items() if each}
