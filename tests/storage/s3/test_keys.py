"""Keys that are refused before S3 is asked, and what it makes of those that are taken."""

from __future__ import annotations

import unicodedata

import pytest
from tests.storage.kinds import get, put
from tests.storage.s3.places import Place
from tests.storage.s3.proxy import Proxy
from tests.storage.s3.server import BUCKET

from uploadkit.errors import KeyRefused
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import S3Storage
from uploadkit.testing.storage_contract import HOSTILE_KEYS

LONG = "/".join(["k" * 200] * 4)


def test_a_hostile_key_never_reaches_s3(place: Place, proxy: Proxy) -> None:
    """Not in one call: for S3 `../x` and `a//b` would be names like any other."""
    storage = place.storage(proxy)
    for key in HOSTILE_KEYS:
        for call in (
            lambda key=key: storage.open(key, ObjectInfo()),
            lambda key=key: storage.stat(key),
            lambda key=key: storage.read(key),
            lambda key=key: storage.delete(key),
            lambda key=key: storage.copy("from", key),
            lambda key=key: storage.copy(key, "to"),
            lambda key=key: storage.sign_url(key),
            lambda key=key: storage.public_url(key),
        ):
            with pytest.raises(KeyRefused):
                call()
    assert proxy.calls == []
    assert place.keys() == []


def test_of_two_keys_that_look_alike_one_is_refused(place: Place) -> None:
    """S3 would keep both forms of `é`; nobody could tell them apart."""
    storage = place.storage()
    put(storage, "é.txt", b"composed")
    with pytest.raises(KeyRefused):
        storage.open(unicodedata.normalize("NFD", "é.txt"), ObjectInfo())
    assert place.keys() == ["é.txt"]
    assert get(storage, "é.txt") == b"composed"


@pytest.mark.parametrize(("size", "taken"), [(1024, True), (1025, False)])
def test_a_key_and_its_prefix_have_1024_bytes(place: Place, proxy: Proxy, size: int, taken: bool) -> None:
    """Together: that is what S3 takes."""
    rest = size - len(f"{place.prefix}//{LONG}/é".encode())
    prefix = f"{place.prefix}/{'p' * rest}"
    storage = S3Storage(f"s3://{BUCKET}/{prefix}", options=place.options(proxy))
    key = f"{LONG}/é"
    assert len(f"{prefix}/{key}".encode()) == size
    if taken:
        assert get(storage, put(storage, key)) == b"data"
        assert len(place.keys()) == 1
    else:
        with pytest.raises(KeyRefused, match="more than 1024 bytes"):
            storage.open(key, ObjectInfo())
        assert proxy.calls == []
    storage.close()


PLAIN_KEYS = ("a b+c&d?e=f#g.txt", "%2e%2e/%2F", "ä/日本.png", "~!@$^*()'\"<>|:;,", "a..b/...c")
"""They would mean something in a URL."""


def test_a_key_is_the_same_there(place: Place) -> None:
    """Whatever it would mean elsewhere."""
    storage = place.storage()
    for key in PLAIN_KEYS:
        assert get(storage, put(storage, key, key.encode())) == key.encode()
        assert [found.key for found in storage.list(key)] == [key]
    assert place.keys() == sorted(PLAIN_KEYS)
    for key in PLAIN_KEYS:
        assert place.get(key) == key.encode()
        storage.delete(key)
    assert place.keys() == []


FILENAMES = ("a\r\nb.txt", 'a"b;c.txt', "résumé, final.pdf", "отчёт.pdf", "x" * 300, "a\u202eb", "%0d%0a", "日本")


def test_a_filename_is_one_header_whatever_it_holds(place: Place) -> None:
    """It is stored with the object, for browsers, and nothing of it becomes another header."""
    storage = place.storage()
    for number, filename in enumerate(FILENAMES):
        sink = storage.open(f"{number}", ObjectInfo(content_type="text/plain", filename=filename))
        sink.write(b"data")
        sink.stage().commit()
        head = place.server.client.head_object(Bucket=BUCKET, Key=f"{place.prefix}/{number}")
        assert head["ContentType"] == "text/plain"
        assert head["ContentDisposition"].startswith("attachment")
        assert list(head["Metadata"]) == ["uploadkit"]
