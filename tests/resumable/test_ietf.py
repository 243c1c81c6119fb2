"""The IETF's draft by both drivers: its rules, one by one, and what is left behind. What real clients do with it is in
`test_ietf_clients`."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from tests.intake.receiving import left_in

from uploadkit.errors import ClientDisconnected, FileRefused, LedgerFailed
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.resumable.holding import Held
from uploadkit.resumable.protocol import Answer, Request
from uploadkit.resumable.serving import Server
from uploadkit.resumable.uploads import ResumableUploads
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import sample
from uploadkit.uploader import Uploader

PARTIAL = "application/partial-upload"
PROBLEMS = "https://iana.org/assignments/http-problem-types#"
PNG = sample("image/png", size=5000)
TEXT = b"Twelve bytes"

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})

VERSIONS = [None, 3, 4, 5, 6, 7, 8, 9]
"""What clients send of Upload-Draft-Interop-Version."""


@dataclass
class Talk:
    """Asks a server by one of the drivers, as a client of one interop version."""

    server: Server
    ledger: Ledger
    storage: DiskStorage
    is_async: bool
    version: int | None = None
    handled: list[Any] = field(default_factory=list)

    def __call__(
        self,
        method: str,
        upload: str = "",
        body: bytes | Iterable[bytes] = b"",
        *,
        length: int | None = -1,
        complete: bool | None = None,
        owner: str | None = None,
        **headers: object,
    ) -> Answer:
        """`length` is the Content-Length, None where there is none; `complete` is what is said of it, None for
        nothing."""
        names = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        if self.version is not None:
            names.setdefault("upload-draft-interop-version", str(self.version))
        if complete is not None and self.version == 3:
            names["upload-incomplete"] = "?0" if complete else "?1"
        elif complete is not None:
            names["upload-complete"] = "?1" if complete else "?0"
        chunks = [body] if isinstance(body, bytes) else body
        said = len(body) if isinstance(body, bytes) and length == -1 else None if length == -1 else length
        request = Request(method=method, path="/files/", upload=upload, headers=names, body_length=said, owner=owner)
        if not self.is_async:
            return self.server.respond(request, filter(None, chunks))

        async def arriving() -> AsyncIterator[bytes]:
            for chunk in chunks:
                if chunk:
                    yield chunk

        async def main() -> Answer:
            return await self.server.arespond(request, arriving())

        return asyncio.run(main())

    def create(self, **headers: Any) -> str:
        """An upload whose bytes come later; its id."""
        headers.setdefault("complete", False)
        answer = self("POST", **headers)
        assert answer.status == 201, answer
        return id_of(answer)

    def append(self, upload: str, offset: int, body: bytes | Iterable[bytes] = b"", **headers: Any) -> Answer:
        headers.setdefault("content_type", PARTIAL)
        return self("PATCH", upload, body, upload_offset=offset, **headers)

    def offset(self, upload: str) -> int:
        return int(self("HEAD", upload).headers["Upload-Offset"])

    def record(self, upload: str) -> UploadRecord:
        return self.ledger.get(upload)

    def expect_whole(self, upload: str, data: bytes) -> UploadRecord:
        """It is finished with these bytes, and they are all that is left."""
        record = self.record(upload)
        assert record.state is State.COMPLETED
        assert record.sha256 == hashlib.sha256(data).hexdigest()
        assert record.key is not None
        assert b"".join(self.storage.read(record.key)) == data
        assert left_in(self.storage) == [record.key]
        answer = self("HEAD", upload)
        assert answer.status == 204
        assert is_complete(answer, self.version) is True
        assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == (str(len(data)), str(len(data)))
        return record

    def expect_nothing(self, state: State = State.REJECTED) -> None:
        """No byte of any upload is left, and the records say why."""
        assert left_in(self.storage) == []
        assert {record.state for record in self.ledger.find(limit=10)} <= {state}


Opens = Callable[..., Talk]


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def open_talk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opens]:
    ledgers = []

    def opened(
        *,
        version: int | None = None,
        handler: Callable[[Any], Any] | None = None,
        rules: Mapping[str, Any] = NO_OPTIONS,
        fields: Iterable[Any] | None = None,
        origins: Iterable[str] = (),
        uploader: Mapping[str, Any] = NO_OPTIONS,
        **options: Any,
    ) -> Talk:
        path = tmp_path / "uploads.db"
        if not path.exists():
            path.write_bytes(_tables())
        ledger = Ledger(f"sqlite:///{path}")
        ledgers.append(ledger)
        storage = DiskStorage(tmp_path / "disk")
        upload = Uploader(storage, pipeline=Pipeline(ledger), **uploader)
        spec: Any = upload.single("file", **rules) if fields is None else upload.fields(*fields)
        handled: list[Any] = []
        uploads = ResumableUploads(spec, handler=handler or handled.append, wait_seconds=0.3, **options)
        return Talk(Server(uploads, allow_origins=origins), ledger, storage, request.param, version, handled)

    yield opened
    for ledger in ledgers:
        ledger.close()


@functools.cache
def _tables() -> bytes:
    """A database with the tables of a ledger and nothing in them: to make them takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/uploads.db")
        ledger.migrate()
        ledger.close()
        return Path(folder, "uploads.db").read_bytes()


@pytest.fixture
def talk(open_talk: Opens) -> Talk:
    return open_talk()


def id_of(answer: Answer) -> str:
    location = answer.headers["Location"]
    assert location.startswith("/files/")
    return location.removeprefix("/files/")


def is_complete(answer: Answer, version: int | None) -> bool | None:
    """What an answer says of it."""
    if version == 3:
        assert "Upload-Complete" not in answer.headers
        said = answer.headers.get("Upload-Incomplete")
        return None if said is None else said == "?0"
    assert "Upload-Incomplete" not in answer.headers
    said = answer.headers.get("Upload-Complete")
    return None if said is None else said == "?1"


def problem(answer: Answer) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    members: dict[str, Any] = json.loads(answer.body)
    assert members["status"] == answer.status
    return members


def cut_after(*chunks: bytes) -> Iterator[bytes]:
    """A body whose client goes away."""
    yield from chunks
    raise ClientDisconnected


def digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


# What all interop versions have in common


@pytest.fixture(params=VERSIONS, ids=lambda version: f"interop {version}")
def versioned(request: pytest.FixtureRequest, open_talk: Opens) -> Talk:
    return open_talk(version=request.param)


def test_one_request_brings_all_of_an_upload(versioned: Talk) -> None:
    """A plain upload that says that it could be resumed: it is finished, and the answer says so."""
    answer = versioned("POST", body=PNG, complete=True, content_type="image/png")
    assert answer.status == 201
    assert is_complete(answer, versioned.version) is True
    assert answer.headers["Upload-Offset"] == "5000"
    record = versioned.expect_whole(id_of(answer), PNG)
    assert record.content_type == "image/png"
    [file] = versioned.handled
    assert file.id == id_of(answer)


def test_the_careful_way(versioned: Talk) -> None:
    """A client that cannot be told 104 begins with nothing, and learns so where its upload is."""
    answer = versioned("POST", complete=False, upload_length=5000)
    assert answer.status == 201
    assert is_complete(answer, versioned.version) is False
    assert answer.headers["Upload-Offset"] == "0"
    upload = id_of(answer)

    answer = versioned.append(upload, 0, PNG[:3000], complete=False)
    assert answer.status == (201 if (versioned.version or 8) < 7 else 204)
    assert is_complete(answer, versioned.version) is False
    assert answer.headers["Upload-Offset"] == "3000"

    answer = versioned("HEAD", upload)
    assert answer.status == 204
    assert is_complete(answer, versioned.version) is False
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("3000", "5000")
    assert answer.headers["Cache-Control"] == "no-store"

    answer = versioned.append(upload, 3000, PNG[3000:], complete=True)
    assert answer.status == 201
    assert is_complete(answer, versioned.version) is True
    assert answer.headers["Upload-Offset"] == "5000"
    versioned.expect_whole(upload, PNG)


def test_limits_are_told_by_the_words_of_the_version(open_talk: Opens) -> None:
    """`expires` became `max-age` with interop version 7."""
    for version in VERSIONS:
        talk = open_talk(version=version, rules={"max_size": 9000, "min_size": 10}, expires_seconds=600)
        age = "expires" if version is not None and version < 7 else "max-age"
        limits = f"max-size=9000, min-size=10, {age}="
        assert talk("OPTIONS").headers["Upload-Limit"] == f"{limits}600"
        answer = talk("POST", complete=False)
        for each in (answer, talk("HEAD", id_of(answer))):
            told = each.headers["Upload-Limit"]
            assert told.startswith(limits)
            assert 500 < int(told.removeprefix(limits)) <= 600


@pytest.mark.parametrize("version", [3, 4, 5])
def test_older_drafts_have_no_type_of_what_is_appended(open_talk: Opens, version: int) -> None:
    """application/partial-upload came with interop version 6."""
    talk = open_talk(version=version)
    upload = talk.create()
    assert talk("PATCH", upload, PNG, complete=True, upload_offset=0).status == 201
    talk.expect_whole(upload, PNG)


# Creation


def test_what_says_no_word_of_the_draft_is_no_upload_of_it(talk: Talk) -> None:
    """A plain POST is answered as tus answers it: with the version that it speaks."""
    answer = talk("POST", body=PNG)
    assert answer.status == 412
    assert answer.headers["Tus-Version"] == "1.0.0"
    talk.expect_nothing()


@pytest.mark.parametrize("value", ["1", "true", "?2", "", '"?1"', "?1 ?1", "?1, ?1"])
def test_a_completeness_that_is_no_boolean_is_none(talk: Talk, value: str) -> None:
    """Other values make the field one that is not there."""
    answer = talk("POST", body=PNG, upload_complete=value)
    assert answer.status == 400
    assert problem(answer)["code"] == "malformed_upload"
    talk.expect_nothing()


@pytest.mark.parametrize("value", ["?1", " ?1 ", "?1;later=2"])
def test_parameters_of_a_field_are_ignored(talk: Talk, value: str) -> None:
    """An item of structured fields may have parameters that nobody has defined."""
    assert talk("POST", body=PNG, upload_complete=value).status == 201


def test_a_first_part_comes_with_the_creation(talk: Talk) -> None:
    """Content of a request that is not complete is the beginning of the upload."""
    answer = talk("POST", body=PNG[:100], complete=False, upload_length=5000)
    assert (answer.status, answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == (201, "100", "?0")
    assert talk.append(id_of(answer), 100, PNG[100:], complete=True).status == 201
    talk.expect_whole(id_of(answer), PNG)


def test_the_last_request_of_an_unknown_length_ends_the_upload(talk: Talk) -> None:
    """Neither Upload-Length nor Content-Length: the end of the body is that of the upload."""
    answer = talk("POST", body=[PNG[:2000], PNG[2000:]], complete=True)
    assert answer.status == 201
    talk.expect_whole(id_of(answer), PNG)

    upload = talk.create()
    assert "Upload-Length" not in talk("HEAD", upload).headers
    assert talk.append(upload, 0, [PNG[:4200]], complete=False).status == 204
    assert talk.record(upload).state is State.RECEIVING


@pytest.mark.parametrize("first", [0, 10, 4500])
def test_a_streamed_upload_ends_with_its_last_request(talk: Talk, first: int) -> None:
    """However much has come before: the first bytes are judged in another way than the rest."""
    upload = talk.create()
    assert talk.append(upload, 0, [PNG[:first]], complete=False).status == 204
    assert talk.append(upload, first, [PNG[first:]], complete=True).status == 201
    talk.expect_whole(upload, PNG)


def test_an_empty_upload(talk: Talk) -> None:
    """Complete and without content."""
    answer = talk("POST", complete=True)
    assert answer.status == 201
    talk.expect_whole(id_of(answer), b"")


def test_an_empty_upload_of_unknown_length(talk: Talk) -> None:
    """A request without a body may have no Content-Length: HTTP/2 needs none."""
    answer = talk("POST", complete=True, length=None)
    assert answer.status == 201
    talk.expect_whole(id_of(answer), b"")


def test_an_empty_upload_in_two_requests(talk: Talk) -> None:
    """The length alone completes nothing."""
    upload = talk.create(upload_length=0)
    assert talk("HEAD", upload).headers["Upload-Complete"] == "?0"
    assert talk.append(upload, 0, complete=True).status == 201
    talk.expect_whole(upload, b"")


def test_an_empty_file_of_tus_js_client_is_complete_when_it_is_created(open_talk: Opens) -> None:
    """It says that there is more to come, and sends nothing more: by the older drafts it is told that all is there."""
    talk = open_talk(version=6)
    answer = talk("POST", complete=False, upload_length=0)
    assert (answer.status, answer.headers["Upload-Complete"]) == (201, "?1")
    talk.expect_whole(id_of(answer), b"")


def test_two_lengths_that_do_not_agree(talk: Talk) -> None:
    """Content-Length of a request that brings all, and Upload-Length."""
    answer = talk("POST", body=PNG, complete=True, upload_length=4999)
    assert answer.status == 400
    assert problem(answer)["type"] == f"{PROBLEMS}inconsistent-upload-length"
    talk.expect_nothing()


@pytest.mark.parametrize("value", ["-1", "1.5", "1e3", "many", "9999999999999999"])
def test_a_length_that_is_no_number_is_none(talk: Talk, value: str) -> None:
    """Other values make the field one that is not there."""
    upload = talk.create(upload_length=value)
    assert "Upload-Length" not in talk("HEAD", upload).headers


def test_a_length_beyond_the_limit_is_refused_before_a_byte(open_talk: Opens) -> None:
    """413 with Upload-Limit, from both indicators of a length."""
    talk = open_talk(rules={"max_size": 4000})
    too_long: list[dict[str, Any]] = [{"complete": True, "body": PNG}, {"complete": False, "upload_length": 5000}]
    for headers in too_long:
        answer = talk("POST", **headers)
        assert answer.status == 413
        assert answer.headers["Upload-Limit"].startswith("max-size=4000,")
        assert problem(answer)["code"] == "limit_exceeded"
        assert "Upload-Complete" not in answer.headers
    assert talk.ledger.find(limit=10) == []


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('inline; filename="cat.png"', "cat.png"),
        ("attachment; filename=cat.png", "cat.png"),
        ("inline; filename=\"cat.png\"; filename*=UTF-8''k%C3%A4tzchen.png", "kätzchen.png"),
        ("inline; filename*=UTF-8''k%C3%A4tzchen.png; filename=\"cat.png\"", "kätzchen.png"),
        ('inline; filename="kätzchen.png"'.encode().decode("latin-1"), "kätzchen.png"),
        ("inline; filename*=iso-8859-1'en'k%E4tzchen.png", "kätzchen.png"),
        ('inline; filename="/etc/cat.png"', "/etc/cat.png"),
    ],
)
def test_the_name_is_that_of_the_content_disposition(talk: Talk, disposition: str, name: str) -> None:
    """RFC 6266, and RFC 8187 for what is not ASCII."""
    answer = talk("POST", body=PNG, complete=True, content_disposition=disposition)
    assert answer.status == 201
    [file] = talk.handled
    assert file.client_filename == name
    assert talk.record(id_of(answer)).filename == name.rpartition("/")[2]


@pytest.mark.parametrize("disposition", ['inline; filename="a"; filename="b"', 'inline; filename="a', "inline; =x"])
def test_a_name_that_cannot_be_read_is_refused(talk: Talk, disposition: str) -> None:
    """What is ambiguous is not repaired."""
    answer = talk("POST", body=PNG, complete=True, content_disposition=disposition)
    assert (answer.status, problem(answer)["code"]) == (400, "malformed_upload")
    talk.expect_nothing()


def test_the_declared_type_is_the_content_type(open_talk: Opens) -> None:
    """It is a claim: where it is none that is accepted, no byte is looked at."""
    talk = open_talk(rules={"accept": IMAGES})
    answer = talk("POST", body=PNG, complete=True, content_type="text/plain", content_disposition="inline")
    assert (answer.status, problem(answer)["code"]) == (415, "file_refused")
    assert talk("POST", body=PNG, complete=True, content_type="image/png").status == 201
    assert talk("POST", body=PNG, complete=True, content_type=PARTIAL).status == 201
    assert [file.declared_type for file in talk.handled] == ["image/png", None]


def test_a_coded_file_is_not_taken(talk: Talk) -> None:
    """What is stored would not be what its name says."""
    answer = talk("POST", body=PNG, complete=True, content_encoding="gzip")
    assert answer.status == 415
    assert talk("POST", body=PNG, complete=True, content_encoding="identity").status == 201


def test_text_values_come_as_metadata_of_tus(open_talk: Opens) -> None:
    """No word of the draft brings a form's other fields."""
    talk = open_talk(fields=[Text("title", required=True), File("file")])
    answer = talk("POST", body=PNG, complete=True)
    assert problem(answer)["code"] == "field_missing"
    metadata = f"title {base64.b64encode(b'Cats').decode()},filename {base64.b64encode(b'cat.png').decode()}"
    answer = talk("POST", body=PNG, complete=True, upload_metadata=metadata)
    assert answer.status == 201
    [submission] = talk.handled
    assert submission.fields["title"] == "Cats"
    assert talk.record(id_of(answer)).filename == "cat.png"


def test_other_methods_than_the_drafts(talk: Talk) -> None:
    """405, with those that there are."""
    upload = talk.create()
    answer = talk("PUT", body=PNG, complete=True)
    assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST")
    answer = talk("GET", upload, upload_draft_interop_version=8)
    assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, HEAD, OPTIONS, PATCH")


# Offset


def test_nobody_knows_an_upload_that_is_not_there(talk: Talk) -> None:
    """404, without a body where there may be none."""
    for method in ("HEAD", "DELETE"):
        answer = talk(method, "3b0f")
        assert answer.status == 404
    assert talk("HEAD", "3b0f").body == b""
    assert talk("HEAD", "3b0f").headers["Cache-Control"] == "no-store"
    assert talk.append("3b0f", 0, PNG, complete=True).status == 404


def test_nobody_else_sees_or_changes_an_upload(talk: Talk) -> None:
    """Another owner's is not told apart from what is not there."""
    upload = id_of(talk("POST", complete=False, owner="ann"))
    for owner in ("bob", None):
        assert talk("HEAD", upload, owner=owner).status == 404
        assert talk.append(upload, 0, PNG, complete=True, owner=owner).status == 404
        assert talk("DELETE", upload, owner=owner).status == 404
    assert talk("HEAD", upload, owner="ann").status == 204


# Append


def test_another_offset_is_a_conflict(versioned: Talk) -> None:
    """409, the offset that would be right, and the draft's own problem; nothing is appended."""
    upload = versioned.create(body=PNG[:100])
    answer = versioned.append(upload, 99, PNG[99:], complete=True)
    assert answer.status == 409
    assert answer.headers["Upload-Offset"] == "100"
    members = problem(answer)
    assert members["type"] == f"{PROBLEMS}mismatching-upload-offset"
    assert (members["expected-offset"], members["provided-offset"]) == (100, 99)
    assert versioned.offset(upload) == 100
    assert versioned.append(upload, 100, PNG[100:], complete=True).status == 201
    versioned.expect_whole(upload, PNG)


@pytest.mark.parametrize("offset", [None, "x", "-1", "1.0"])
def test_a_patch_says_where_it_begins(talk: Talk, offset: str | None) -> None:
    """An offset that cannot be read is none."""
    upload = talk.create()
    headers: dict[str, Any] = {} if offset is None else {"upload_offset": offset}
    answer = talk("PATCH", upload, PNG, content_type=PARTIAL, complete=True, **headers)
    assert (answer.status, problem(answer)["code"]) == (400, "malformed_upload")
    assert talk.offset(upload) == 0


def test_a_patch_says_whether_it_is_the_last(talk: Talk) -> None:
    """A client that has forgotten it would wait for an end that never comes."""
    upload = talk.create()
    answer = talk.append(upload, 0, PNG)
    assert (answer.status, problem(answer)["code"]) == (400, "malformed_upload")
    assert talk.offset(upload) == 0


@pytest.mark.parametrize("length", [0, None])
def test_older_drafts_end_with_their_length(open_talk: Opens, length: int | None) -> None:
    """tus-js-client says no more than the length when a stream has ended with its last chunk."""
    talk = open_talk(version=6)
    upload = talk.create()
    assert talk.append(upload, 0, PNG).headers["Upload-Complete"] == "?0"
    answer = talk.append(upload, 5000, length=length, upload_length=5000)
    assert (answer.status, answer.headers["Upload-Complete"]) == (201, "?1")
    talk.expect_whole(upload, PNG)


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "application/offset+octet-stream"])
def test_what_is_appended_has_a_type_of_its_own(talk: Talk, kind: str | None) -> None:
    """415, with the one that there is."""
    upload = talk.create()
    headers: dict[str, Any] = {} if kind is None else {"content_type": kind}
    answer = talk("PATCH", upload, PNG, complete=True, upload_offset=0, **headers)
    assert (answer.status, answer.headers["Accept-Patch"]) == (415, PARTIAL)
    assert talk.offset(upload) == 0


def test_all_bytes_are_not_the_end(talk: Talk) -> None:
    """An upload is complete when its client says so, and not when it has its length."""
    upload = talk.create(upload_length=5000)
    answer = talk.append(upload, 0, PNG, complete=False)
    assert (answer.status, answer.headers["Upload-Complete"], answer.headers["Upload-Offset"]) == (204, "?0", "5000")
    answer = talk("HEAD", upload)
    assert (answer.headers["Upload-Complete"], answer.headers["Upload-Offset"]) == ("?0", "5000")
    assert talk.handled == []
    answer = talk.append(upload, 5000, complete=True)
    assert (answer.status, answer.headers["Upload-Complete"]) == (201, "?1")
    assert len(talk.handled) == 1
    talk.expect_whole(upload, PNG)


@pytest.mark.parametrize("size", [10, 4200])
def test_what_came_before_a_cut_is_kept(talk: Talk, size: int) -> None:
    """The client goes away in the middle of its last request: that is not its end."""
    upload = talk.create()
    with pytest.raises(ClientDisconnected):
        talk.append(upload, 0, cut_after(PNG[:size]), complete=True, length=5000)
    answer = talk("HEAD", upload)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == (str(size), "?0")
    assert answer.headers["Upload-Length"] == "5000"
    assert talk.append(upload, size, PNG[size:], complete=True).status == 201
    talk.expect_whole(upload, PNG)


@pytest.mark.parametrize("size", [10, 4200])
def test_a_cut_of_a_stream_is_no_end(talk: Talk, size: int) -> None:
    """Nobody knows its length: all that came may be all, but its client has not said so."""
    upload = talk.create()
    with pytest.raises(ClientDisconnected):
        talk.append(upload, 0, cut_after(PNG[:size]), complete=True)
    assert talk("HEAD", upload).headers["Upload-Complete"] == "?0"
    assert talk.append(upload, size, PNG[size:], complete=True).status == 201
    talk.expect_whole(upload, PNG)


def test_a_cut_after_the_last_byte(talk: Talk) -> None:
    """All that was promised has come: the next question finds it complete."""
    upload = talk.create()
    with pytest.raises(ClientDisconnected):
        talk.append(upload, 0, cut_after(PNG), complete=True, length=5000)
    answer = talk("HEAD", upload)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == ("5000", "?1")
    talk.expect_whole(upload, PNG)


@pytest.mark.parametrize("complete", [True, False])
def test_lengths_of_several_requests_agree(talk: Talk, complete: bool) -> None:
    """Another Upload-Length, or a last request that ends elsewhere, is inconsistent."""
    upload = talk.create(upload_length=5000)
    headers: dict[str, Any] = {"body": PNG[:4999]} if complete else {"body": PNG, "upload_length": 5001}
    answer = talk.append(upload, 0, complete=complete, **headers)
    assert answer.status == 400
    assert problem(answer)["type"] == f"{PROBLEMS}inconsistent-upload-length"
    assert talk.offset(upload) == 0


@pytest.mark.parametrize("size", [10, 4999])
def test_a_stream_that_ends_before_its_length_is_inconsistent(talk: Talk, size: int) -> None:
    """What has come is kept: the client may send the rest."""
    upload = talk.create(upload_length=5000)
    answer = talk.append(upload, 0, [PNG[:size]], complete=True)
    assert answer.status == 400
    assert problem(answer)["type"] == f"{PROBLEMS}inconsistent-upload-length"
    assert talk.offset(upload) == size
    assert talk.append(upload, size, PNG[size:], complete=True).status == 201
    talk.expect_whole(upload, PNG)


def test_more_than_the_length_is_refused_before_a_byte(talk: Talk) -> None:
    """Content-Length says it: nothing is taken, and nothing is lost."""
    upload = talk.create(upload_length=4000)
    answer = talk.append(upload, 0, PNG, complete=False)
    assert answer.status == 400
    assert problem(answer)["type"] == f"{PROBLEMS}inconsistent-upload-length"
    assert talk.offset(upload) == 0


@pytest.mark.parametrize("chunks", [[PNG], [PNG[:3000], PNG[3000:]]])
def test_more_than_the_length_ends_an_upload(talk: Talk, chunks: list[bytes]) -> None:
    """Where no Content-Length has said so before: no further interaction with it."""
    upload = talk.create(upload_length=4000)
    answer = talk.append(upload, 0, chunks, complete=False)
    assert answer.status == 400
    assert problem(answer)["type"] == f"{PROBLEMS}inconsistent-upload-length"
    assert talk("HEAD", upload).status == 410
    talk.expect_nothing(State.DELETED)


def test_more_than_the_length_ends_an_upload_before_anybody_else_has_it(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else somebody might finish it in between, and what is finished would go."""
    upload, release, states = talk.create(upload_length=4000), Held.release, []

    def let_go(held: Held, **changes: Any) -> None:
        states.append(talk.ledger.get(held.hold.upload).state)
        release(held, **changes)

    monkeypatch.setattr(Held, "release", let_go)
    assert talk.append(upload, 0, [PNG], complete=False).status == 400
    assert states == [State.DELETED]


def test_more_than_the_limit_ends_an_upload(open_talk: Opens) -> None:
    """Of an upload of unknown length: 413, with what the limit is."""
    talk = open_talk(rules={"max_size": 4000})
    upload = talk.create()
    answer = talk.append(upload, 0, [PNG], complete=False)
    assert (answer.status, problem(answer)["limit"]) == (413, "max_size")
    assert "max-size=4000" in answer.headers["Upload-Limit"]
    assert talk("HEAD", upload).status == 410
    talk.expect_nothing()


def test_too_few_bytes_are_refused_when_they_are_all(open_talk: Opens) -> None:
    """As in a form: nothing is left."""
    talk = open_talk(rules={"min_size": 6000})
    for first in (10, 4200):
        upload = talk.create()
        assert talk.append(upload, 0, [PNG[:first]], complete=False).status == 204
        answer = talk.append(upload, first, [PNG[first:]], complete=True)
        assert problem(answer)["filter"] == "min_size"
        assert answer.headers["Upload-Complete"] == "?1"
    talk.expect_nothing()


# What is complete


def test_nothing_is_appended_to_a_complete_upload(versioned: Talk) -> None:
    """Some bytes are an inconsistent length, none are the draft's own problem; both change nothing."""
    upload = id_of(versioned("POST", body=PNG, complete=True))
    answer = versioned.append(upload, 5000, b"more", complete=True)
    assert (answer.status, problem(answer)["type"]) == (400, f"{PROBLEMS}inconsistent-upload-length")
    answer = versioned.append(upload, 5000, b"more", complete=False)
    assert (answer.status, problem(answer)["type"]) == (400, f"{PROBLEMS}inconsistent-upload-length")
    answer = versioned.append(upload, 5000, [b"more"], complete=False)
    assert (answer.status, problem(answer)["type"]) == (400, f"{PROBLEMS}completed-upload")
    answer = versioned.append(upload, 5000, complete=True)
    assert (answer.status, problem(answer)["type"]) == (400, f"{PROBLEMS}completed-upload")
    assert is_complete(answer, versioned.version) is None
    assert len(versioned.handled) == 1
    versioned.expect_whole(upload, PNG)


def test_the_final_answer_is_the_applications(open_talk: Opens) -> None:
    """Of the first request, when that brings all, and of a later one alike."""

    def handler(file: Any) -> Answer:
        body = json.dumps({"id": file.id}).encode()
        return Answer(status=200, headers={"Content-Type": "application/json", "Upload-Complete": "?0"}, body=body)

    talk = open_talk(handler=handler)
    answer = talk("POST", body=PNG, complete=True)
    first = id_of(answer)
    assert (answer.status, json.loads(answer.body)) == (200, {"id": first})
    upload = talk.create()
    later = talk.append(upload, 0, PNG, complete=True)
    assert (later.status, json.loads(later.body)) == (200, {"id": upload})
    assert dict(answer.headers) == {
        "Content-Type": "application/json",
        "Location": f"/files/{first}",
        "Upload-Complete": "?1",
        "Upload-Offset": "5000",
    }
    assert dict(later.headers) == {**answer.headers, "Location": f"/files/{upload}"}


def test_the_applications_location_is_not_replaced(open_talk: Opens) -> None:
    """That of a final answer is of what was made of the upload."""
    talk = open_talk(handler=lambda file: Answer(status=303, headers={"Location": f"/videos/{file.id}"}))
    answer = talk("POST", body=PNG, complete=True)
    assert (answer.status, answer.headers["Upload-Complete"]) == (303, "?1")
    assert answer.headers["Location"].startswith("/videos/")


def test_headers_of_the_application_are_joined_however_they_are_spelled(open_talk: Opens) -> None:
    """Each is there once, and where an answer ends the application does not say."""
    own = {"location": "/library/1", "content-length": "7", "TRANSFER-ENCODING": "chunked", "upload-complete": "?0"}
    talk = open_talk(handler=lambda file: Answer(status=303, headers=own))
    answer = talk("POST", body=PNG, complete=True)
    assert answer.whole_headers() == {
        "location": "/library/1",
        "Upload-Complete": "?1",
        "Upload-Offset": "5000",
        "Content-Length": "0",
    }


def test_an_answer_that_was_lost_is_asked_for_by_head(open_talk: Opens) -> None:
    """It says that all is there, each time; and the application is asked once."""
    talk = open_talk()
    upload = id_of(talk("POST", body=PNG, complete=True))
    for _ in range(2):
        answer = talk("HEAD", upload)
        assert (answer.status, answer.headers["Upload-Complete"]) == (204, "?1")
        assert "Upload-Limit" not in answer.headers
    assert len(talk.handled) == 1


def test_a_refused_file_is_the_final_answer(open_talk: Opens) -> None:
    """The whole was sent, and resuming would mend nothing: the answer says so."""
    talk = open_talk(rules={"accept": IMAGES})
    upload = talk.create()
    answer = talk.append(upload, 0, TEXT, complete=True)
    assert (answer.status, problem(answer)["code"]) == (415, "file_refused")
    assert answer.headers["Upload-Complete"] == "?1"
    assert talk("HEAD", upload).status == 410
    talk.expect_nothing()


def test_a_file_is_refused_by_its_first_bytes(open_talk: Opens) -> None:
    """The rest is not taken; and since there should have been more, this was no final answer."""
    talk = open_talk(rules={"accept": IMAGES})
    upload = talk.create(upload_length=10**6)
    answer = talk.append(upload, 0, b"no picture " * 1000, complete=False)
    assert (answer.status, problem(answer)["code"]) == (415, "file_refused")
    assert "Upload-Complete" not in answer.headers
    talk.expect_nothing()


def test_what_the_application_refuses_leaves_nothing(open_talk: Opens) -> None:
    """Its error is the final answer."""

    def handler(file: Any) -> None:
        raise FileRefused("no cats today", field="file", filter="cats")

    talk = open_talk(handler=handler)
    answer = talk("POST", body=PNG, complete=True)
    assert (problem(answer)["detail"], answer.headers["Upload-Complete"]) == ("no cats today", "?1")
    talk.expect_nothing()


def test_a_service_that_fails_lets_the_client_come_back(open_talk: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """5xx without Upload-Complete: nothing is lost, and the next question finishes the upload."""
    talk = open_talk()
    upload = talk.create()
    pipeline = talk.server.uploads.pipeline

    def failing(*_: object, **__: object) -> None:
        raise LedgerFailed("the ledger does not answer")

    with monkeypatch.context() as patch:
        for name in ("accept", "aaccept"):
            patch.setattr(pipeline, name, failing)
        answer = talk.append(upload, 0, [PNG], complete=True)
    assert (answer.status, "Upload-Complete" in answer.headers) == (503, False)
    assert talk("HEAD", upload).headers["Upload-Complete"] == "?1"
    talk.expect_whole(upload, PNG)


# Cancellation


def test_a_cancelled_upload_is_gone(talk: Talk) -> None:
    """204, and nothing is left; a second time there is nothing to cancel."""
    upload = talk.create(body=PNG[:100])
    assert talk("DELETE", upload).status == 204
    assert talk("HEAD", upload).status == 410
    assert talk("DELETE", upload).status == 410
    assert talk.append(upload, 100, PNG[100:], complete=True).status == 410
    talk.expect_nothing(State.DELETED)


# Digests


def test_content_that_is_another_is_not_appended(talk: Talk) -> None:
    """Content-Digest is of one request: the next one may bring the right bytes."""
    upload = talk.create()
    answer = talk.append(upload, 0, PNG, complete=True, content_digest=digest(TEXT))
    assert (answer.status, problem(answer)["code"]) == (400, "checksum_mismatch")
    assert talk.offset(upload) == 0
    assert talk.append(upload, 0, PNG, complete=True, content_digest=digest(PNG)).status == 201
    talk.expect_whole(upload, PNG)


@pytest.mark.parametrize("digests", [True, False])
def test_a_file_that_is_another_is_refused(open_talk: Opens, digests: bool) -> None:
    """Repr-Digest is of all of it, also where nobody else wants its digest."""
    talk = open_talk(uploader={"digest": digests})
    upload = talk.create(repr_digest=digest(TEXT))
    assert talk.append(upload, 0, PNG[:2000], complete=False).status == 204
    answer = talk.append(upload, 2000, PNG[2000:], complete=True)
    assert (answer.status, problem(answer)["code"]) == (400, "checksum_mismatch")
    assert talk("HEAD", upload).status == 410
    assert talk.handled == []
    talk.expect_nothing()
    answer = talk("POST", body=PNG, complete=True, repr_digest=digest(PNG))
    talk.expect_whole(id_of(answer), PNG)


@pytest.mark.parametrize("value", ["sha-512=:AAAA:", "sha-256=AAAA", "sha-256=:AAAA:", "nonsense", "sha-256=:=:"])
def test_a_digest_that_nobody_can_check_is_not_checked(talk: Talk, value: str) -> None:
    """RFC 9530 lets a receiver ignore any of them."""
    assert talk("POST", body=PNG, complete=True, repr_digest=value, content_digest=value).status == 201


# Both protocols at one address


def test_options_tell_of_both(open_talk: Opens) -> None:
    """A client says nothing of its protocol there."""
    talk = open_talk(rules={"max_size": 9000})
    answer = talk("OPTIONS")
    assert answer.status == 204
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Upload-Limit"].startswith("max-size=9000, max-age=")
    assert PARTIAL in answer.headers["Accept-Patch"].split(", ")


def test_tus_and_the_draft_go_on_with_each_others_uploads(talk: Talk) -> None:
    """Each by its own headers, at the same address."""
    tus: dict[str, Any] = {"tus_resumable": "1.0.0"}
    answer = talk("POST", **tus, upload_length=5000)
    upload = id_of(answer)
    assert talk("HEAD", upload, **tus).status == 200
    assert talk("HEAD", upload).status == 204
    octets = "application/offset+octet-stream"
    assert talk("PATCH", upload, PNG[:100], **tus, upload_offset=0, content_type=octets).status == 204
    assert talk.append(upload, 100, PNG[100:], complete=True).status == 201
    talk.expect_whole(upload, PNG)
    answer = talk("HEAD", upload, **tus)
    assert (answer.status, answer.headers["Upload-Offset"]) == (200, "5000")

    upload = talk.create(upload_length=5000)
    assert talk("PATCH", upload, PNG[:100], **tus, upload_offset=0, content_type=octets).status == 204
    assert talk.append(upload, 100, PNG[100:], complete=True).status == 201


def test_who_speaks_tus_is_not_taken_for_another(talk: Talk) -> None:
    """Its header decides, whatever else stands there."""
    answer = talk("POST", tus_resumable="1.0.0", complete=True, upload_length=5000)
    assert (answer.status, answer.headers["Tus-Resumable"]) == (201, "1.0.0")
    assert "Upload-Complete" not in answer.headers
    answer = talk("PATCH", id_of(answer), PNG, upload_offset=0, content_type="application/offset+octet-stream")
    assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")


def test_pages_of_other_origins_may_speak_it(open_talk: Opens) -> None:
    """A preflight allows its headers, and its answers can be read."""
    talk = open_talk(origins=["https://example.org"])
    answer = talk("OPTIONS", origin="https://example.org", access_control_request_method="PATCH")
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Upload-Complete", "Upload-Draft-Interop-Version", "Content-Disposition"} <= {*allowed}
    answer = talk("POST", complete=False, origin="https://example.org")
    assert {"Upload-Complete", "Upload-Limit"} <= {*answer.headers["Access-Control-Expose-Headers"].split(", ")}
