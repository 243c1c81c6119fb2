"""Direct uploads over a bucket in memory: what is refused before a byte, what when it has arrived, and what is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.resumable.bucket import Bucket, ClientRefused, Seen
from tests.resumable.conftest import Finish

from uploadkit.errors import (
    FileRefused,
    LimitExceeded,
    ObjectExists,
    ObjectMissing,
    SenderError,
    StorageFailed,
    TokenRefused,
    UploadError,
)
from uploadkit.intake.blocking import receive
from uploadkit.policy.accept import IMAGES, VIDEOS
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.resumable.direct import MAX_PARTS, MIN_PART_SIZE, DirectUploads
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, sample
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

SECRET = "nobody else knows this one"
PNG = sample("image/png")
MP4 = sample("video/mp4", size=3000)


class Clock:
    """A time that a test moves."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def direct_to(bucket: Bucket, *, limits: Limits | None = None, digest: bool = False, **rules: Any) -> DirectUploads:
    """Of images, where no other rule is given."""
    rules = rules or {"accept": IMAGES, "max_size": "1 MB", "min_size": 4}
    upload = Uploader(bucket, limits=limits or Limits())
    return DirectUploads(upload.single("photo", **rules), secret=SECRET, digest=digest)


def send(bucket: Bucket, direct: DirectUploads, data: bytes, name: str = "me.png", kind: str | None = None) -> str:
    """A file, as a client sends it that says how large it is; returns the token."""
    form = direct.begin(name, kind, len(data))
    bucket.post(form.url, form.fields, data)
    return form.token


def send_parts(bucket: Bucket, direct: DirectUploads, *parts: bytes, size: int | None = None) -> str:
    """A file in parts; returns the token."""
    begun = direct.begin_parts("me.mp4", "video/mp4", size)
    for number, part in enumerate(parts, 1):
        bucket.put(direct.sign_part(begun.token, number), part)
    return begun.token


def refused(call: Callable[[], object], kind: type[UploadError] = SenderError) -> str:
    """The code of an error, with which nothing was made."""
    with pytest.raises(kind) as raised:
        call()
    return raised.value.code


# What arrives


def test_a_file_that_a_client_has_sent_is_an_upload_when_it_was_judged(bucket: Bucket, finish: Finish) -> None:
    """Under a key of the library's, with the type that its bytes show, and nothing is left beside it."""
    direct = direct_to(bucket)
    token = send(bucket, direct, PNG, "résumé/../Ich.PNG", "image/x-png")
    assert bucket.objects == {}
    file = finish(direct, token)
    assert (file.field, file.size, file.content_type) == ("photo", len(PNG), "image/png")
    assert (file.filename, file.client_filename, file.declared_type) == ("Ich.PNG", "résumé/../Ich.PNG", "image/x-png")
    assert (file.read(), file.storage, file.sha256) == (PNG, bucket, None)
    assert file.key.endswith(".png")
    assert file.id not in file.key
    assert bucket.infos == {file.key: ObjectInfo(content_type="image/png", filename="Ich.PNG", max_size=len(PNG))}
    assert (bucket.objects, bucket.sent) == ({file.key: PNG}, {})


def test_a_file_in_parts_is_completed_and_then_judged(bucket: Bucket, finish: Finish) -> None:
    """A client may ask which parts have arrived; to complete twice is no error."""
    direct = direct_to(bucket, accept=VIDEOS, max_size="20 MB")
    data = sample("video/mp4", size=MIN_PART_SIZE + 1)
    begun = direct.begin_parts("me.mp4", "video/mp4", len(data))
    bucket.put(direct.sign_part(begun.token, 1), data[:MIN_PART_SIZE])
    assert [(part.number, part.size) for part in direct.list_parts(begun.token)] == [(1, MIN_PART_SIZE)]
    bucket.put(direct.sign_part(begun.token, 2), data[MIN_PART_SIZE:])
    assert refused(lambda: direct.finish(begun.token), ObjectMissing) == "object_missing"
    direct.complete(begun.token)
    direct.complete(begun.token)
    file = finish(direct, begun.token)
    assert (file.id, file.content_type, file.read()) == (begun.id, "video/mp4", data)
    assert (bucket.sent, bucket.parts) == ({}, {})


def test_the_async_twins_do_the_same(bucket: Bucket) -> None:
    """Each of them, in a thread."""
    direct = direct_to(bucket, accept=VIDEOS)

    async def main() -> UploadedFile:
        form = await direct.abegin("me.mp4", "video/mp4", 3)
        assert form.fields["max"] == "3"
        gone = await direct.abegin_parts("me.mp4")
        await direct.aabort(gone.token)
        begun = await direct.abegin_parts("me.mp4", None, len(MP4))
        bucket.put(await direct.asign_part(begun.token, 1), MP4)
        assert len(await direct.alist_parts(begun.token)) == 1
        await direct.acomplete(begun.token)
        return await direct.afinish(begun.token)

    assert asyncio.run(main()).read() == MP4
    assert bucket.parts == {}


# What is refused before a byte


@pytest.mark.parametrize(
    ("name", "kind", "size", "code"),
    [
        ("me.exe", None, 9, "file_refused"),
        ("me.png", "text/html", 9, "file_refused"),
        ("me.png", "image/jpeg", 9, "file_refused"),
        ("me.png", "image/png", 1_000_001, "limit_exceeded"),
        ("me.png", "image/png", 3, "file_refused"),
        ("me.png", "image/png", -1, "malformed_form"),
        ("me.png", "image/png", True, "malformed_form"),
        ("me.png", "image/png", "9", "malformed_form"),
        ("me.png", 7, 9, "malformed_form"),
        (None, None, 9, "malformed_form"),
        ("x" * 1025, None, 9, "limit_exceeded"),
        ("me.png", "image/" + "x" * 9000, 9, "limit_exceeded"),
    ],
)
def test_what_can_be_known_before_a_byte_is_refused_before_it(
    bucket: Bucket, name: Any, kind: Any, size: Any, code: str
) -> None:
    """By what the client says: its name, type and size. It gets no form and no token."""
    direct = direct_to(bucket)
    assert refused(lambda: direct.begin(name, kind, size)) == code
    assert refused(lambda: direct.begin_parts(name, kind, size)) == code
    assert bucket.parts == {}


@pytest.mark.parametrize("size", [4, 1_000_000, None])
def test_a_limit_that_is_exactly_reached_is_fine(bucket: Bucket, size: int | None) -> None:
    """And where no size is said, the form takes what the field does."""
    form = direct_to(bucket).begin("me.png", "image/png", size)
    bounds = (size or 4, size or 1_000_000)
    assert (int(form.fields["min"]), int(form.fields["max"])) == bounds


def test_the_limits_of_the_uploader_hold_where_the_field_says_nothing(bucket: Bucket) -> None:
    """`file_size`, and of `Limits` no other: the body of a direct upload is no form of ours."""
    direct = direct_to(bucket, accept=IMAGES, limits=Limits(file_size=300, body_size=200, files_size=100))
    with pytest.raises(LimitExceeded) as raised:
        direct.begin("me.png", None, 301)
    assert (raised.value.limit, raised.value.allowed, raised.value.seen) == ("file_size", 300, 301)
    assert direct.begin("me.png").fields["max"] == "300"
    boundless = direct_to(bucket, accept=IMAGES, limits=Limits(file_size=None))
    assert boundless.begin("me.png").fields["max"] == str(5 * 2**40)


@pytest.mark.parametrize(
    ("rules", "kind", "signed"),
    [
        ({"accept": IMAGES}, "image/PJPEG; q=1", "image/jpeg"),
        ({"accept": IMAGES}, "application/octet-stream", "application/octet-stream"),
        ({"accept": IMAGES}, None, "application/octet-stream"),
        ({"max_size": 9}, "text/html", "application/octet-stream"),
    ],
)
def test_a_form_is_signed_for_no_type_that_the_field_would_not_accept(
    bucket: Bucket, rules: dict[str, Any], kind: str | None, signed: str
) -> None:
    """What is not judged yet lies in the storage under that type."""
    assert direct_to(bucket, **rules).begin("me.jpg", kind).fields["type"] == signed


def test_a_name_has_what_no_form_could_bring_taken_out(bucket: Bucket) -> None:
    """JSON can bring controls and surrogates."""
    direct = direct_to(bucket)
    file = direct.finish(send(bucket, direct, PNG, "a\r\n\0b\ud800.png"))
    assert file.client_filename == "a\ufffd\ufffd\ufffdb\ufffd.png"
    assert file.filename.encode()


# What is refused when it has arrived


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (sample("image/jpeg"), "me.png", None),
        (sample("image/jpeg"), "me", "image/png"),
        (b"<html><script>", "me.png", "image/png"),
        (sample("application/pdf"), "me", None),
        (sample("image/png", size=200_000) + b"<script >", "me.png", None),
        (sample("image/png", size=200_000) + sample("application/zip"), "me.png", None),
        (PNG + sample("application/zip"), "me.png", None),
    ],
)
def test_a_file_that_lies_about_its_type_is_removed_and_is_no_upload(
    bucket: Bucket, finish: Finish, data: bytes, name: str, kind: str | None
) -> None:
    """As in a form: the bytes decide."""
    direct = direct_to(bucket)
    token = send(bucket, direct, data, name, kind)
    with pytest.raises(FileRefused) as raised:
        finish(direct, token)
    assert (raised.value.filter, raised.value.status, raised.value.field) == ("accept", 415, "photo")
    assert (bucket.objects, bucket.sent) == ({}, {})


@pytest.mark.parametrize(
    ("size", "sent", "code"),
    [
        (100, 101, "limit_exceeded"),
        (100, 99, "truncated_form"),
        (None, 1_000_001, "limit_exceeded"),
        (None, 3, "file_refused"),
    ],
)
def test_a_storage_that_looks_at_no_size_is_looked_after(
    bucket: Bucket, finish: Finish, size: int | None, sent: int, code: str
) -> None:
    """What it took beyond what was signed is refused here."""
    direct = direct_to(bucket)
    form = direct.begin("me.png", None, size)
    bucket.sent[form.fields["key"]] = (PNG + bytes(1_000_001))[:sent]
    assert refused(lambda: finish(direct, form.token)) == code
    assert (bucket.objects, bucket.sent) == ({}, {})


def test_the_storage_itself_refuses_another_size(bucket: Bucket) -> None:
    """By what is signed into the form."""
    form = direct_to(bucket).begin("me.png", None, 100)
    for size in (99, 101):
        with pytest.raises(ClientRefused):
            bucket.post(form.url, form.fields, bytes(size))


@pytest.mark.parametrize(
    ("parts", "size", "code"),
    [
        ([], 100, "truncated_form"),
        ([b"x" * 99], 100, "truncated_form"),
        ([b"x" * 101], 100, "limit_exceeded"),
        ([b"x" * 6_000_000, b"x"], 6_000_000, "limit_exceeded"),
        ([b"x" * 15_000_000, b"x" * 5_000_001], None, "limit_exceeded"),
        ([b"xxx"], None, "file_refused"),
        ([], None, "truncated_form"),
    ],
)
def test_parts_of_the_wrong_size_are_aborted_before_they_are_one_object(
    bucket: Bucket, parts: list[bytes], size: int | None, code: str
) -> None:
    """Whatever sizes each of them has: their sum is bounded."""
    direct = direct_to(bucket, accept=VIDEOS, max_size="20 MB", min_size=4)
    token = send_parts(bucket, direct, *parts, size=size)
    assert refused(lambda: direct.complete(token)) == code
    assert (bucket.objects, bucket.sent, bucket.parts) == ({}, {}, {})
    assert refused(lambda: direct.complete(token), ObjectMissing) == "object_missing"


def test_an_upload_has_no_more_parts_than_its_size_can_have(bucket: Bucket) -> None:
    """Since all of them but the last have at least 5 MiB."""
    direct = direct_to(bucket, accept=VIDEOS, max_size="20 MiB")
    for size, most in [(None, 4), (MIN_PART_SIZE, 1), (MIN_PART_SIZE + 1, 2), (0, 1)]:
        token = direct.begin_parts("me.mp4", None, size).token
        assert direct.sign_part(token, most)
        with pytest.raises(LimitExceeded) as raised:
            direct.sign_part(token, most + 1)
        assert raised.value.seen >= raised.value.allowed
    endless = direct_to(bucket, accept=VIDEOS, limits=Limits(file_size=None))
    token = endless.begin_parts("me.mp4").token
    assert endless.sign_part(token, MAX_PARTS)
    assert refused(lambda: endless.sign_part(token, MAX_PARTS + 1)) == "limit_exceeded"
    for number in (0, -1, True, "1", 1.5):
        assert refused(lambda number=number: endless.sign_part(token, number)) == "malformed_form"  # type: ignore[misc]


def test_an_upload_in_parts_is_given_up(bucket: Bucket) -> None:
    """Nothing is left of it; to abort twice is no error."""
    direct = direct_to(bucket, accept=VIDEOS)
    token = send_parts(bucket, direct, MP4)
    direct.abort(token)
    direct.abort(token)
    assert bucket.parts == {}
    assert refused(lambda: direct.list_parts(token), ObjectMissing) == "object_missing"


# The user's own


def test_a_filter_judges_what_has_arrived(bucket: Bucket, finish: Finish) -> None:
    """It sees what it sees of a form, and who it refuses leaves nothing."""
    seen: list[IncomingFile] = []

    def no_bobs(file: IncomingFile) -> bool:
        seen.append(file)
        return "bob" not in file.filename

    direct = direct_to(bucket, accept=IMAGES, filter=no_bobs)
    assert finish(direct, send(bucket, direct, PNG, "ann.png")).id == seen[0].id
    assert (seen[0].head, seen[0].content_type, seen[0].fields) == (PNG, "image/png", ())
    token = send(bucket, direct, PNG, "bob.png")
    with pytest.raises(FileRefused) as raised:
        finish(direct, token)
    assert raised.value.filter == "no_bobs"
    assert (len(bucket.objects), bucket.sent) == (1, {})


def test_an_async_filter_needs_afinish(bucket: Bucket) -> None:
    """As everywhere: a blocking driver could not await it. What has arrived is still there."""

    async def agrees(file: IncomingFile) -> bool:
        await asyncio.sleep(0)
        return True

    async def named(file: IncomingFile) -> str:
        return f"own/{file.filename}"

    direct = direct_to(bucket, accept=IMAGES, filter=agrees, filename=named)
    token = send(bucket, direct, PNG)
    with pytest.raises(TypeError, match="needs an async application"):
        direct.finish(token)
    assert asyncio.run(direct.afinish(token)).key == "own/me.png"


def test_a_key_that_is_proposed_and_taken_is_not_replaced(bucket: Bucket, finish: Finish) -> None:
    """The second file is refused as in a form, and removed."""
    direct = direct_to(bucket, accept=IMAGES, filename=lambda file: file.filename)
    assert finish(direct, send(bucket, direct, PNG)).key == "me.png"
    token = send(bucket, direct, PNG + b"2")
    assert refused(lambda: finish(direct, token), ObjectExists) == "object_exists"
    assert (bucket.objects, bucket.sent) == ({"me.png": PNG}, {})


def test_checks_read_what_has_arrived_whole(bucket: Bucket, finish: Finish) -> None:
    """Those of the passing bytes, and those of a staged file; a digest is made on the way."""
    seen, staged = Seen(), []

    class Whole:
        def examine(self, file: IncomingFile, opened: BinaryIO) -> None:
            staged.append((file.filename, opened.read(), opened.seek(1), opened.read(3)))

    data = PNG + bytes(3_000_000)
    direct = direct_to(bucket, accept=IMAGES, check=[seen, Whole()])
    file = finish(direct, send(bucket, direct, data))
    assert (b"".join(seen.blocks), seen.ended, file.digest) == (data, 1, hashlib.sha256(data).hexdigest())
    assert staged == [("me.png", data, 1, b"PNG")]
    assert max(map(len, seen.blocks)) <= 2**20

    token = send(bucket, direct, PNG + b"virus")
    with pytest.raises(FileRefused) as raised:
        finish(direct, token)
    assert raised.value.filter == "seen"
    assert (len(staged), list(bucket.objects), bucket.sent) == (1, [file.key], {})


def test_a_digest_is_made_where_it_is_wanted(bucket: Bucket, finish: Finish) -> None:
    """For it alone all of the file would be read back."""
    wanted = direct_to(bucket, accept=IMAGES, digest=True)
    assert finish(wanted, send(bucket, wanted, PNG)).digest == hashlib.sha256(PNG).hexdigest()


def test_what_a_callable_of_the_user_raises_leaves_nothing(bucket: Bucket, finish: Finish) -> None:
    """An error of the application is one, and the file is no upload."""

    def broken(file: IncomingFile) -> bool:
        raise LookupError("a mistake")

    direct = direct_to(bucket, accept=IMAGES, filter=broken)
    token = send(bucket, direct, PNG)
    with pytest.raises(LookupError, match="a mistake"):
        finish(direct, token)
    assert (bucket.objects, bucket.sent) == ({}, {})


# Tokens


def test_a_token_is_good_for_its_time(bucket: Bucket, clock: Clock) -> None:
    """And not a second longer; addresses of parts end with it."""
    spec = Uploader(bucket).single("photo", accept=IMAGES)
    direct = DirectUploads(spec, secret=SECRET, expires_seconds=100, clock=clock)
    form, begun = direct.begin("me.png", None, len(PNG)), direct.begin_parts("me.png")
    assert form.fields["for"] == "100"
    bucket.post(form.url, form.fields, PNG)
    clock.now += 99
    assert direct.sign_part(begun.token, 1).endswith("/1")
    clock.now += 1
    for use in (
        direct.finish,
        direct.complete,
        direct.list_parts,
        direct.abort,
        lambda token: direct.sign_part(token, 1),
    ):
        for token in (form.token, begun.token):
            with pytest.raises(TokenRefused) as raised:
                use(token)
            assert (raised.value.reason, raised.value.status) == ("expired", 403)
    assert raised.value.problem()["reason"] == "expired"
    assert bucket.objects == {}


def test_a_token_that_was_changed_anywhere_is_none(bucket: Bucket) -> None:
    """In whatever character, and whatever is put in its place."""
    direct = direct_to(bucket)
    token = send(bucket, direct, PNG)
    forged = [
        token[:at] + other + token[at + 1 :] for at in range(len(token)) for other in "A0.é" if token[at] != other
    ]
    forged += [token[:at] for at in range(len(token))] + [token + "=", f"{token}.{token}", "", "...", "\ud800.x"]
    for wrong in [*forged, None, 7, b"x"]:
        with pytest.raises(TokenRefused) as raised:
            direct.finish(wrong)  # type: ignore[arg-type]  # it comes from JSON
        assert raised.value.reason == "invalid"
    assert direct.finish(token).read() == PNG


def test_what_a_token_says_cannot_be_said_by_anybody_else(bucket: Bucket) -> None:
    """Not with the signature of another one, and not with another secret."""
    direct, other = direct_to(bucket), send(bucket, direct_to(bucket), PNG)
    token = send(bucket, direct, PNG)
    payload, _, signature = token.rpartition(".")
    claim = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claim[6] = 10**12
    larger = urlsafe_b64encode(json.dumps(claim, separators=(",", ":")).encode()).decode().rstrip("=")
    for forged in (f"{larger}.{signature}", f"{payload}.{other.rpartition('.')[2]}"):
        assert refused(lambda forged=forged: direct.finish(forged)) == "token_refused"  # type: ignore[misc]
    stranger = DirectUploads(Uploader(bucket).single("photo", accept=IMAGES), secret=SECRET + "!")
    assert refused(lambda: stranger.finish(token)) == "token_refused"


def test_a_token_is_of_one_field_and_one_storage(bucket: Bucket) -> None:
    """Where another field with the same secret takes more, it takes none of its files."""
    token = send(bucket, direct_to(bucket), PNG)
    anything = DirectUploads(Uploader(bucket).single("anything"), secret=SECRET)
    elsewhere = DirectUploads(Uploader(Bucket(name="other")).single("photo"), secret=SECRET)
    for other in (anything, elsewhere):
        assert refused(lambda other=other: other.finish(token)) == "token_refused"  # type: ignore[misc]


def test_the_token_of_a_form_is_none_of_parts(bucket: Bucket) -> None:
    """It names no upload in parts."""
    direct = direct_to(bucket)
    token = send(bucket, direct, PNG)
    for use in (direct.complete, direct.list_parts, direct.abort, lambda token: direct.sign_part(token, 1)):
        assert refused(lambda use=use: use(token)) == "token_refused"  # type: ignore[misc]


# Once


def test_an_upload_is_finished_once(bucket: Bucket, finish: Finish) -> None:
    """The second time it is told so, also where the client has sent its form again, with another type too."""
    direct = direct_to(bucket)
    form = direct.begin("me", None, None)
    bucket.post(form.url, form.fields, PNG)
    file = finish(direct, form.token)
    for again in (None, PNG, sample("image/jpeg")):
        if again is not None:
            bucket.post(form.url, form.fields, again)
        with pytest.raises(ObjectExists) as raised:
            finish(direct, form.token)
        assert (str(raised.value), raised.value.status) == ("the upload is finished already", 409)
    assert bucket.objects == {file.key: PNG}


def test_nothing_that_has_arrived_is_told_apart_from_what_is_finished(bucket: Bucket, finish: Finish) -> None:
    """404 and not 409."""
    direct = direct_to(bucket)
    form = direct.begin("me.png")
    with pytest.raises(ObjectMissing) as raised:
        finish(direct, form.token)
    assert (str(raised.value), raised.value.status) == (
        "nothing has arrived of this upload, or nothing is left of it",
        404,
    )


def test_of_two_that_finish_at_once_one_succeeds(bucket: Bucket) -> None:
    """There is one object, and the other one is told that it is finished."""
    direct = direct_to(bucket)
    token = send(bucket, direct, PNG)
    both = threading.Barrier(2)
    bucket.before_commit = both.wait  # neither sees what the other has done before it commits
    ends: list[object] = []

    def end() -> None:
        try:
            ends.append(direct.finish(token))
        except UploadError as error:
            ends.append(error)

    threads = [threading.Thread(target=end) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [file] = [end for end in ends if isinstance(end, UploadedFile)]
    [error] = [end for end in ends if end is not file]
    assert isinstance(error, ObjectExists)
    assert (bucket.objects, bucket.sent) == ({file.key: PNG}, {})


def test_bytes_that_come_while_the_others_are_judged_are_not_published(bucket: Bucket, finish: Finish) -> None:
    """What was judged is."""
    direct = direct_to(bucket)
    form = direct.begin("me.png", None, None)
    bucket.post(form.url, form.fields, PNG)
    bucket.before_commit = lambda: bucket.post(form.url, form.fields, b"<script>")
    file = finish(direct, form.token)
    assert bucket.objects == {file.key: PNG}


def test_after_a_failure_of_the_storage_it_may_be_finished_again(bucket: Bucket, finish: Finish) -> None:
    """What has arrived is still there."""

    def fail() -> None:
        bucket.before_commit = None
        raise StorageFailed("the storage could not copy", storage="bucket", retryable=True)

    direct = direct_to(bucket)
    token = send(bucket, direct, PNG)
    bucket.before_commit = fail
    assert refused(lambda: finish(direct, token), StorageFailed) == "storage_failed"
    assert list(bucket.sent.values()) == [PNG]
    assert finish(direct, token).read() == PNG


@pytest.mark.parametrize("at", ["filter", "commit"])
def test_a_task_that_is_cancelled_leaves_no_upload(bucket: Bucket, at: str) -> None:
    """Wherever it was: what was begun is ended, and what had arrived is removed."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reached, go_on = asyncio.Event(), threading.Event()

        def hold(*_: object) -> bool:
            loop.call_soon_threadsafe(reached.set)
            return go_on.wait(10)

        if at == "commit":
            bucket.before_commit = hold
        direct = direct_to(bucket, accept=IMAGES, filter=hold if at == "filter" else lambda file: True)
        task = asyncio.create_task(direct.afinish(send(bucket, direct, PNG)))
        await reached.wait()
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (bucket.objects, bucket.sent) == ({}, {})


# Mistakes


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda upload: upload.array("photos"), "takes a spec of one file"),
        (lambda upload: upload.any(), "takes a spec of one file"),
        (lambda upload: upload.fields(File("a"), File("b")), "takes a spec of one file"),
        (lambda upload: upload.fields(File("a"), Text("b")), "takes a spec of one file"),
        (lambda upload: upload, "DirectUploads takes a spec"),
        (lambda upload: Uploader(MemoryStorage()).single("a"), "storage 'memory' takes nothing from clients"),
    ],
)
def test_a_spec_that_does_not_fit_is_a_type_error(make: Callable[[Uploader], Any], text: str) -> None:
    """When it is made, and not at the first upload."""
    with pytest.raises(TypeError, match=text):
        DirectUploads(make(Uploader(Bucket())), secret=SECRET)


def test_a_secret_is_one(bucket: Bucket) -> None:
    """Nobody guesses 16 bytes; text is UTF-8."""
    spec = Uploader(bucket).single("photo", required=False)
    with pytest.raises(ValueError, match="15 bytes, and at least 16"):
        DirectUploads(spec, secret="x" * 15)
    for seconds in (0, 7 * 24 * 3600 + 1):
        with pytest.raises(ValueError, match="a token is good for 1 to 604800 seconds"):
            DirectUploads(spec, secret="é" * 8, expires_seconds=seconds)
    token = DirectUploads(spec, secret="é" * 8).begin("a").token
    assert refused(lambda: DirectUploads(spec, secret=("é" * 8).encode()).finish(token), ObjectMissing)


# What is written into a form as it is.
in_forms = st.characters(exclude_characters='"%\\', exclude_categories=("Cc", "Cs"))


@given(
    name=st.text(in_forms, max_size=20) | st.sampled_from(["a.png", "a.txt", "a.exe", "a", ".png"]),
    kind=st.none()
    | st.text(in_forms, max_size=20)
    | st.sampled_from(["image/png", "Image/x-PNG; q=1", "text/plain", "image/*", "text/plain/", "image/png x"]),
    data=st.sampled_from([PNG, sample("image/jpeg"), b"", b"text"]),
)
def test_what_is_refused_beforehand_would_be_refused_in_a_form(name: str, kind: str | None, data: bytes) -> None:
    """And what comes in directly would come in with a form, as the same file."""
    bucket = Bucket()
    spec = Uploader(bucket, accept=[IMAGES, "text/plain"]).single("photo")
    direct = DirectUploads(spec, secret=SECRET)
    form = FormBuilder().file("photo", data, filename=name or "blob", content_type=kind)
    directly = judged(lambda: direct.finish(send(bucket, direct, data, name, kind)))
    assert bucket.sent == {}
    assert directly == judged(lambda: receive(spec, form.content_type, [form.body]))


def judged(call: Callable[[], UploadedFile]) -> object:
    """The type and size of a file, or the code with which it was refused."""
    try:
        file = call()
    except SenderError as error:
        return error.code
    return file.content_type, file.size, file.declared_type
