"""Uploads straight into a bucket, by a client that speaks plain HTTP: what the signatures allow, and what is left."""

from __future__ import annotations

import hashlib
import re
import threading
from email.message import Message
from typing import Any, BinaryIO

import pytest
import requests
from tests.storage.s3.places import Locate, Place
from tests.storage.s3.proxy import Fault, Proxy
from tests.storage.s3.server import BUCKET, S3Server

from uploadkit.errors import (
    FileRefused,
    LimitExceeded,
    ObjectExists,
    ObjectMissing,
    TruncatedForm,
    UploadError,
)
from uploadkit.policy.accept import IMAGES, VIDEOS
from uploadkit.policy.filters import IncomingFile
from uploadkit.resumable.direct import MIN_PART_SIZE, DirectForm, DirectUploads
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.memory import MemoryStorage
from uploadkit.storage.s3 import S3Storage, copying
from uploadkit.storage.s3.client import Client
from uploadkit.testing import sample
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

SECRET = "nobody else knows this one"
PNG, JPEG, PDF = sample("image/png"), sample("image/jpeg"), sample("application/pdf")
VIDEO = sample("video/mp4", size=2 * MIN_PART_SIZE + 1000)

# Two files of one MD5: http://merlot.usc.edu/csac-f06/papers/Wang05a.pdf. They differ in six bits.
COLLIDING = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
    "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)


def colliding_twin() -> bytes:
    twin = bytearray(COLLIDING)
    for at in (19, 45, 59, 83, 109, 123):
        twin[at] ^= 0x80
    return bytes(twin)


@pytest.fixture(params=["weed", "moto"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each kind."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def place(server: S3Server, locate: Locate) -> Place:
    """On each kind of server."""
    return locate(server)


@pytest.fixture
def storage(place: Place) -> S3Storage:
    return place.storage()


@pytest.fixture
def strict(weed: S3Server, locate: Locate) -> S3Storage:
    """On a server that keeps to what was signed. moto looks at no policy."""
    return locate(weed).storage()


def photos(storage: S3Storage, **rules: Any) -> DirectUploads:
    upload = Uploader(storage, accept=IMAGES, max_size="1 MB")
    return DirectUploads(upload.single("photo", **rules), secret=SECRET)


def videos(storage: S3Storage, **rules: Any) -> DirectUploads:
    upload = Uploader(storage, accept=VIDEOS, max_size="20 MB")
    return DirectUploads(upload.single("video", **rules), secret=SECRET)


def post(form: DirectForm, data: bytes, **changed: str) -> int:
    """Sends a form as a browser does, with some of its fields changed; returns the status."""
    fields = {**form.fields, **changed}
    return requests.post(form.url, data=fields, files={"file": ("blob", data)}, timeout=20).status_code


def put_parts(direct: DirectUploads, token: str, data: bytes) -> list[int]:
    """Sends a file in parts; returns the statuses."""
    parts = [data[at : at + MIN_PART_SIZE] for at in range(0, len(data), MIN_PART_SIZE)]
    return [put(direct.sign_part(token, number), part) for number, part in enumerate(parts, 1)]


def put(url: str, data: bytes) -> int:
    return requests.put(url, data=data, timeout=20).status_code


# The way that is meant


def test_a_form_brings_a_file_that_is_an_upload_when_it_was_judged(place: Place, storage: S3Storage) -> None:
    """With the headers of every object, under its own type and name; nothing else is left in the bucket."""
    direct = photos(storage)
    form = direct.begin("résumé.PNG", "image/x-png", len(PNG))
    assert post(form, PNG) in (200, 204)
    [staged] = place.keys()
    assert staged.startswith(".staging/direct-")
    assert list(storage.list()) == []
    file = direct.finish(form.token)
    assert (file.content_type, file.size, file.read()) == ("image/png", len(PNG), PNG)
    assert place.keys() == [file.key]
    head = place.server.client.head_object(Bucket=BUCKET, Key=f"{place.prefix}/{file.key}")
    assert (head["ContentType"], sorted(head["Metadata"])) == ("image/png", ["uploadkit"])
    assert "filename*=UTF-8''r%C3%A9sum%C3%A9.PNG" in head["ContentDisposition"]


def test_parts_bring_a_file_that_is_an_upload_when_it_was_judged(place: Place, storage: S3Storage) -> None:
    """The client asks in between which have arrived, and completes twice since it got no answer."""
    direct = videos(storage)
    begun = direct.begin_parts("me.mp4", "video/mp4", len(VIDEO))
    assert put_parts(direct, begun.token, VIDEO) == [200, 200, 200]
    parts = direct.list_parts(begun.token)
    assert [(part.number, part.size) for part in parts] == [(1, MIN_PART_SIZE), (2, MIN_PART_SIZE), (3, 1000)]
    assert all(part.etag for part in parts)
    direct.complete(begun.token)
    direct.complete(begun.token)
    file = direct.finish(begun.token)
    assert (file.id, file.content_type, file.size) == (begun.id, "video/mp4", len(VIDEO))
    assert hashlib.sha256(file.read()).digest() == hashlib.sha256(VIDEO).digest()
    assert (place.keys(), place.uploads()) == ([file.key], [])


def test_a_large_file_is_copied_in_parts(place: Place, storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the bucket itself, out of the client's reach and then to its key; none of the uploads stays open."""
    monkeypatch.setattr(copying, "LARGEST_COPY", MIN_PART_SIZE)
    monkeypatch.setattr(copying, "PART_SIZE", MIN_PART_SIZE)
    direct = videos(storage)
    form, begun = direct.begin("a.mp4", "video/mp4", len(VIDEO)), direct.begin_parts("b.mp4", "video/mp4")
    assert post(form, VIDEO) in (200, 204)
    put_parts(direct, begun.token, VIDEO)
    direct.complete(begun.token)
    files = [direct.finish(token) for token in (form.token, begun.token)]
    assert [file.read() == VIDEO for file in files] == [True, True]
    assert (place.keys(), place.uploads()) == (sorted(file.key for file in files), [])
    for file in files:
        head = place.server.client.head_object(Bucket=BUCKET, Key=f"{place.prefix}/{file.key}")
        assert head["ContentType"] == "video/mp4"
        assert file.filename in head["ContentDisposition"]


def test_an_upload_in_parts_is_given_up(place: Place, storage: S3Storage) -> None:
    """Nothing of it is left. To abort again, or what never was, is no error."""
    direct = videos(storage)
    begun = direct.begin_parts("me.mp4")
    put_parts(direct, begun.token, VIDEO[:1000])
    assert len(place.uploads()) == 1
    direct.abort(begun.token)
    direct.abort(begun.token)
    assert (place.keys(), place.left()) == ([], [])
    with pytest.raises(ObjectMissing):
        direct.complete(begun.token)


def test_more_parts_than_one_page_lists_are_all_listed(
    moto: S3Server, locate: Locate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server tells of a thousand at a time; here it is asked for two."""
    call, pages = Client.call, []

    def two_at_a_time(client: Client, operation: str, *doing: Any, **arguments: Any) -> Any:
        if operation != "list_parts":
            return call(client, operation, *doing, **arguments)
        pages.append(call(client, operation, *doing, MaxParts=2, **arguments))
        return pages[-1]

    monkeypatch.setattr(Client, "call", two_at_a_time)
    direct = videos(locate(moto).storage(), max_size="50 GB")
    begun = direct.begin_parts("me.mp4")
    for number in range(1, 6):
        assert put(direct.sign_part(begun.token, number), b"x") == 200
    assert [part.number for part in direct.list_parts(begun.token)] == [1, 2, 3, 4, 5]
    assert [len(page["Parts"]) for page in pages] == [2, 2, 1]


def test_an_address_saves_the_file_under_its_name_and_type(place: Place, strict: S3Storage) -> None:
    """Both stand in the signature: with another name it is no address."""
    direct = photos(strict)
    form = direct.begin("résumé.png", None, len(PNG))
    post(form, PNG)
    url = direct.finish(form.token).url(expires_seconds=60)
    answer = requests.get(url, timeout=20)
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, PNG, "image/png")
    said = Message()
    said["Content-Disposition"] = answer.headers["Content-Disposition"]
    assert said.get_content_disposition() == "attachment"
    assert "filename*=UTF-8''r%C3%A9sum%C3%A9.png" in answer.headers["Content-Disposition"]
    for forged in (url.replace("attachment", "inline"), url.replace("image%2Fpng", "text%2Fhtml"), url.split("?")[0]):
        assert requests.get(forged, timeout=20).status_code == 403


# What the signatures do not allow


def test_a_form_takes_nothing_but_what_was_signed(strict: S3Storage, weed: S3Server) -> None:
    """The server refuses another key, another type, more or fewer bytes, and a forged policy."""
    direct = photos(strict)
    form = direct.begin("me.png", "image/png", len(PNG))
    assert post(form, PNG + b"x") == 400
    assert post(form, PNG[:-1]) == 400
    assert post(form, PNG, **{"Content-Type": "text/html"}) == 403
    assert post(form, PNG, key=re.sub("direct-.*", "elsewhere", form.fields["key"])) == 403
    assert post(form, PNG, **{"x-amz-meta-uploadkit": "mine"}) == 403
    other = direct.begin("me.png", "image/png", 10**6)
    assert post(form, PNG, policy=other.fields["policy"]) == 403
    assert strict.in_staging() == []
    with pytest.raises(ObjectMissing):
        direct.finish(form.token)


def test_a_form_whose_time_is_over_is_refused(strict: S3Storage) -> None:
    """By the server, whose clock counts."""
    form = strict.sign_post("0" * 32, ObjectInfo(), min_size=0, max_size=100, expires_seconds=-60)
    assert post(DirectForm(url=form.url, fields=form.fields, token="", id=""), b"late") == 403
    assert strict.in_staging() == []


def test_the_address_of_a_part_is_that_of_no_other_part(strict: S3Storage) -> None:
    """Nor of another upload."""
    direct = videos(strict)
    first, second = direct.begin_parts("me.mp4"), direct.begin_parts("me.mp4")
    url, other = direct.sign_part(first.token, 1), direct.sign_part(second.token, 1)
    assert put(url.replace("partNumber=1", "partNumber=2"), b"x") == 403
    name, its_name = (re.search("direct-[0-9a-f]+", each)[0] for each in (url, other))  # type: ignore[index]
    assert put(url.replace(name, its_name), b"x") == 403
    assert (direct.list_parts(first.token), direct.list_parts(second.token)) == ([], [])


def test_parts_cannot_be_sent_when_they_are_one_object(strict: S3Storage) -> None:
    """So nothing changes what is judged."""
    direct = videos(strict)
    begun = direct.begin_parts("me.mp4", None, len(VIDEO))
    url = direct.sign_part(begun.token, 1)
    put_parts(direct, begun.token, VIDEO)
    direct.complete(begun.token)
    assert put(url, b"<script>" + VIDEO[8:MIN_PART_SIZE]) == 404
    assert direct.finish(begun.token).read() == VIDEO


# What has arrived is judged


@pytest.mark.parametrize("data", [JPEG, PDF, b"<html><script>alert(1)</script>"], ids=["jpeg", "pdf", "html"])
def test_a_file_that_lies_about_its_type_leaves_nothing(place: Place, storage: S3Storage, data: bytes) -> None:
    """Its bytes decide, in whatever way they came."""
    direct = photos(storage, accept=["image/png", "image/gif"])
    form = direct.begin("me.png", "image/png")
    post(form, data)
    begun = direct.begin_parts("me.png", "image/png")
    put_parts(direct, begun.token, data)
    direct.complete(begun.token)
    for token in (form.token, begun.token):
        with pytest.raises(FileRefused) as raised:
            direct.finish(token)
        assert (raised.value.filter, raised.value.status) == ("accept", 415)
    assert (place.keys(), place.uploads()) == ([], [])


def test_parts_that_are_too_many_bytes_together_leave_nothing(place: Place, storage: S3Storage) -> None:
    """Each may be of any size: their sum is looked at before they are one object."""
    direct = videos(storage)
    begun = direct.begin_parts("me.mp4", None, 1000)
    put_parts(direct, begun.token, VIDEO[:1001])
    with pytest.raises(LimitExceeded) as raised:
        direct.complete(begun.token)
    assert (raised.value.limit, raised.value.allowed, raised.value.seen) == ("max_size", 1000, 1001)
    short = direct.begin_parts("me.mp4", None, 1000)
    put_parts(direct, short.token, VIDEO[:999])
    with pytest.raises(TruncatedForm, match="999 bytes of the file have arrived, and 1000 were announced"):
        direct.complete(short.token)
    assert (place.keys(), place.uploads()) == ([], [])


def test_a_server_that_looks_at_no_size_is_looked_after(moto: S3Server, locate: Locate) -> None:
    """moto takes what the policy forbids."""
    place = locate(moto)
    direct = photos(place.storage())
    form = direct.begin("me.png", "image/png", len(PNG))
    assert post(form, PNG + bytes(10)) == 204
    with pytest.raises(LimitExceeded):
        direct.finish(form.token)
    assert place.keys() == []


def test_checks_read_what_has_arrived(place: Place, storage: S3Storage) -> None:
    """From the bucket, in blocks that grow, forward and back; the digest comes with it."""
    seen: list[bytes] = []

    class Passing:
        def begin(self, file: IncomingFile) -> Passing:
            return self

        def feed(self, data: Any) -> None:
            seen.append(bytes(data))

        def end(self) -> None:
            if b"virus" in seen[-1]:
                raise FileRefused("it has a virus", filter="virus")

    direct = videos(storage, check=Passing())
    begun = direct.begin_parts("me.mp4", None, len(VIDEO))
    put_parts(direct, begun.token, VIDEO)
    direct.complete(begun.token)
    assert direct.finish(begun.token).digest == hashlib.sha256(VIDEO).hexdigest()
    assert b"".join(seen) == VIDEO

    form = direct.begin("me.mp4")
    post(form, VIDEO[:100] + b"virus")
    with pytest.raises(FileRefused, match="virus"):
        direct.finish(form.token)
    assert len(place.keys()) == 1


def test_a_check_of_a_staged_file_reads_it_where_it_lies(place: Place, storage: S3Storage) -> None:
    """In the bucket: what a form's files would be staged in has nothing to do."""
    seen: list[bytes] = []

    class Whole:
        def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
            seen.append(staged.read())

    aside = MemoryStorage()
    spec = Uploader(storage, staging=aside).single("photo", accept=IMAGES, check=Whole())
    direct = DirectUploads(spec, secret=SECRET)
    form = direct.begin("me.png")
    post(form, PNG)
    file = direct.finish(form.token)
    assert (seen, place.keys(), aside.objects, aside.unfinished) == ([PNG], [file.key], {}, [])


def test_what_has_arrived_is_a_file_that_is_read_and_sought(storage: S3Storage) -> None:
    """As every file."""
    form = storage.sign_post("a" * 32, ObjectInfo(), min_size=0, max_size=100, expires_seconds=60)
    post(DirectForm(url=form.url, fields=form.fields, token="", id=""), b"0123456789")
    arrived = storage.arrived("a" * 32)
    opened: BinaryIO
    with arrived.open() as opened:
        assert (opened.read(3), opened.seek(-2, 2), opened.read(), opened.read()) == (b"012", 8, b"89", b"")
        assert (opened.seek(0), opened.read()) == (0, b"0123456789")
    arrived.discard()
    arrived.discard()
    assert storage.in_staging() == []


# Twice, at once, and meanwhile


def test_a_form_that_is_sent_again_changes_nothing_that_was_judged(place: Place, storage: S3Storage) -> None:
    """The client sends another file while the first one is judged, and one more when it is an upload."""

    def sent_again(file: IncomingFile) -> bool:
        return post(form, b"<script>alert(1)</script>") in (200, 204)

    direct = photos(storage, filter=sent_again)
    form = direct.begin("me.png", "image/png")
    post(form, PNG)
    file = direct.finish(form.token)
    assert (file.read(), place.keys()) == (PNG, [file.key])
    for again in (JPEG, PNG):
        post(form, again)
        with pytest.raises(ObjectExists, match="the upload is finished already"):
            direct.finish(form.token)
    assert file.read() == PNG
    assert [found.key for found in storage.list()] == [file.key]


def test_another_file_of_the_same_md5_is_another_file(storage: S3Storage) -> None:
    """An ETag does not tell them apart: what is published is what was read."""
    twin = colliding_twin()
    assert twin != COLLIDING
    assert hashlib.md5(twin).digest() == hashlib.md5(COLLIDING).digest()

    def sent_again(file: IncomingFile) -> bool:
        return post(form, twin) in (200, 204)

    direct = DirectUploads(Uploader(storage).single("any", filter=sent_again), secret=SECRET)
    form = direct.begin("me.bin")
    post(form, COLLIDING)
    assert direct.finish(form.token).read() == COLLIDING


def test_of_two_that_finish_at_once_one_succeeds(strict: S3Storage) -> None:
    """There is one object; the other one is told that it is finished. moto copies over what is there."""
    both = threading.Barrier(2)
    direct = photos(strict, filter=lambda file: both.wait(10) >= 0)
    form = direct.begin("me.png", "image/png")
    post(form, PNG)
    ends: list[object] = []

    def end() -> None:
        try:
            ends.append(direct.finish(form.token))
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
    assert (file.read(), [found.key for found in strict.list()], strict.in_staging()) == (PNG, [file.key], [])


def test_tokens_do_not_meet(storage: S3Storage) -> None:
    """Each names its own upload, whatever its client does with the other's form."""
    direct = photos(storage)
    mine, theirs = direct.begin("mine.png", "image/png"), direct.begin("theirs.jpg", "image/jpeg")
    post(mine, PNG)
    with pytest.raises(ObjectMissing, match="nothing has arrived of this upload"):
        direct.finish(theirs.token)
    post(theirs, JPEG)
    assert (direct.finish(theirs.token).read(), direct.finish(mine.token).read()) == (JPEG, PNG)


# Faults


@pytest.mark.parametrize("lost", ["CopyObject", "CompleteMultipartUpload"])
@pytest.mark.usefixtures("no_pauses")
def test_an_answer_that_got_lost_makes_no_second_upload(weed: S3Server, locate: Locate, lost: str) -> None:
    """The call is made again by itself, and finds that it has nothing left to do."""
    place = locate(weed)
    with Proxy(weed) as proxy:
        direct = videos(place.storage(proxy))
        begun = direct.begin_parts("me.mp4", None, 1000)
        put_parts(direct, begun.token, VIDEO[:1000])
        proxy.fail(lost, Fault.LOST, times=1)
        direct.complete(begun.token)
        file = direct.finish(begun.token)
        assert proxy.count(lost) == 2
    assert (place.keys(), place.get(file.key)) == ([file.key], VIDEO[:1000])


def test_what_nobody_finished_is_swept(weed: S3Server, locate: Locate) -> None:
    """Forms, parts, and parts that were completed, when they are old; not before. moto knows no times."""
    place = locate(weed)
    storage = place.storage(stale_seconds=3600)
    direct = videos(storage)
    form, begun, done = direct.begin("me.mp4"), direct.begin_parts("me.mp4"), direct.begin_parts("me.mp4")
    post(form, VIDEO[:100])
    put_parts(direct, begun.token, VIDEO[:100])
    put_parts(direct, done.token, VIDEO[:100])
    direct.complete(done.token)
    assert (len(storage.in_staging()), storage.sweep()) == (3, 0)
    storage.stale_seconds = -3600  # an hour from now
    assert storage.sweep() == 3
    assert (place.keys(), place.uploads()) == ([], [])


# What is signed


@pytest.mark.parametrize(
    ("bucket", "config", "host"),
    [
        ("media", {}, "https://media.s3.eu-central-1.amazonaws.com/"),
        ("media", {"s3": {"addressing_style": "path"}}, "https://s3.eu-central-1.amazonaws.com/"),
        ("media.example.com", {}, "https://s3.eu-central-1.amazonaws.com/"),
    ],
)
def test_on_aws_an_address_names_the_region(
    bucket: str, config: dict[str, Any], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that is sent on from the general one would not follow. What the options say goes first."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    options = {"key": "k", "secret": "s", "client_kwargs": {"region_name": "eu-central-1"}, "config_kwargs": config}
    storage = S3Storage(f"s3://{bucket}/p", options=options)
    form = storage.sign_post("0" * 32, ObjectInfo(), min_size=0, max_size=1, expires_seconds=60)
    addresses = [form.url, storage.sign_part("0" * 32, "id", 1, expires_seconds=60), storage.sign_url("key")]
    assert [address.startswith(host) for address in addresses] == [True] * 3
    storage.close()


def test_staged_files_are_encrypted_and_private_whatever_objects_are(weed: S3Server, locate: Locate) -> None:
    """Nothing is left for the client to choose."""
    place = locate(weed)
    storage = place.storage(acl="public-read", storage_class="GLACIER", encryption="aws:kms", kms_key="a-key")
    form = storage.sign_post(
        "0" * 32, ObjectInfo(content_type="image/png"), min_size=1, max_size=10**13, expires_seconds=60
    )
    said = {
        name: value for name, value in form.fields.items() if not name.startswith(("x-amz-a", "x-amz-c", "x-amz-d"))
    }
    assert said.pop("policy")
    assert said.pop("x-amz-signature")
    assert said == {
        "key": f"{place.prefix}/.staging/direct-{'0' * 32}",
        "Content-Type": "image/png",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "a-key",
    }
    for wrong in ("", "../x", "0" * 31, "A" * 32):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            storage.begin_parts(wrong, ObjectInfo())
