"""tus against a model, in any order: uploads are begun, added to, asked for, given up and put together; and what is
read of headers is refused by one error and no other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.resumable.talking import DRIVERS, Place, checksum, id_of, metadata, place_in
from tests.soak import scaled

from uploadkit.errors import MalformedUpload
from uploadkit.records.lifecycle import GONE, State
from uploadkit.resumable.checksums import ALGORITHMS, Checksum
from uploadkit.resumable.protocol import whole_number
from uploadkit.resumable.tus import parse_metadata
from uploadkit.storage.memory import MemoryStorage

MOST = 20_000

# Around the bytes that are judged by, and small ones.
SIZES = st.one_of(st.integers(0, 20), st.integers(8185, 8200), st.integers(0, MOST + 5))


def pattern(at: int, size: int) -> bytes:
    """Bytes by which their place is seen."""
    return b"".join((number * 2654435761 % 2**32).to_bytes(4, "big") for number in range(at, at + size // 4 + 1))[:size]


@dataclass
class Known:
    """What the model knows of an upload."""

    data: bytes = b""
    length: int | None = None
    is_piece: bool = False
    is_put_together: bool = False
    is_gone: bool = False

    @property
    def is_finished(self) -> bool:
        return not self.is_piece and len(self.data) == self.length


class Uploads(RuleBasedStateMachine):
    """Any client, or several, that do not always do what they should."""

    driver = "blocking"
    uploads = Bundle("uploads")

    @initialize()
    def begin(self) -> None:
        self.ending = ExitStack()
        folder = Path(self.ending.enter_context(tempfile.TemporaryDirectory()))
        self.place: Place = self.ending.enter_context(
            place_in(folder, driver=self.driver, storage=MemoryStorage(), single={"max_size": MOST})
        )
        self.known: dict[str, Known] = {}
        self.fresh = 0

    def teardown(self) -> None:
        self.ending.close()

    def bytes_next(self, size: int) -> bytes:
        """That no other request had."""
        self.fresh += size // 4 + 1
        return pattern(self.fresh, size)

    @rule(target=uploads, length=st.none() | SIZES, is_piece=st.booleans(), first=st.none() | SIZES)
    def create(self, length: int | None, is_piece: bool, first: int | None) -> Any:
        data = b"" if first is None else self.bytes_next(first)
        headers: dict[str, Any] = {"upload_concat": "partial", "upload_defer_length": None if length else 1}
        if length is not None:
            headers["upload_defer_length"] = None
        answer = self.place.talk.create(length, None if first is None else data, **(headers if is_piece else {}))
        if (length or 0) > MOST:
            assert (answer.status, answer.code) == (413, "limit_exceeded")
            return multiple()
        if len(data) > (MOST if length is None else length):
            assert answer.status == 413
            return multiple()
        assert answer.status == 201
        assert answer.headers.get("upload-offset") == (None if first is None else str(len(data)))
        self.known[answer.location] = Known(data, length, is_piece)
        return answer.location

    @rule(
        location=uploads,
        size=SIZES,
        off_by=st.sampled_from([0, 0, 0, 0, -1, 1, 100]),
        announces=st.booleans(),
        verified=st.sampled_from([None, None, "right", "wrong"]),
        tells=st.sampled_from([None, None, "end", "more", "less"]),
    )
    def append(
        self, location: str, size: int, off_by: int, announces: bool, verified: str | None, tells: str | None
    ) -> None:
        known, data = self.known[location], self.bytes_next(size)
        end = len(known.data) + size
        offset = max(0, len(known.data) + off_by)
        length = {None: None, "end": end, "more": end + 7, "less": end - 1}[tells]
        if length is not None and length < 0:
            length = None
        sums = None if verified is None else checksum(data if verified == "right" else data + b"x")
        answer = self.place.talk.patch(
            location,
            offset,
            data if announces else [data[: size // 2], data[size // 2 :]],
            upload_length=length,
            upload_checksum=sums,
        )
        self._judge(known, answer.status, data, offset, length, announces=announces, verified=verified)
        if answer.status == 204:
            assert answer.offset == len(known.data)
        elif answer.status == 413:  # all that was to come may have come before what was too much
            self.ask(location)

    def _judge(
        self,
        known: Known,
        status: int,
        data: bytes,
        offset: int,
        length: int | None,
        *,
        announces: bool,
        verified: str | None,
    ) -> None:
        if known.is_gone:
            assert status == 410
            return
        if known.is_put_together:
            assert status == 403
            return
        if offset != len(known.data):
            assert status == 409
            return
        if length is not None:
            if known.length is not None and length != known.length:
                assert status == 400
                return
            if known.length is None and length < len(known.data):
                assert status == 400
                return
            if known.length is None and length > MOST:
                assert status == 413
                return
            was_unknown, known.length = known.length is None, length
        else:
            was_unknown = known.length is None
        most = MOST if known.length is None else known.length
        if announces and len(known.data) + len(data) > most:
            assert status == 413
            return
        if known.is_finished and not (was_unknown and length is not None):
            assert status == 204
            return
        if len(known.data) + len(data) > most:
            assert status == 413
            half = data[: len(data) // 2]
            if known.length is None and verified is None:
                known.is_gone = True
            elif verified is None and len(known.data) + len(half) <= most:
                known.data += half
            return
        if verified == "wrong":
            assert status == 460
            return
        assert status == 204
        known.data += data

    @rule(location=uploads)
    def head(self, location: str) -> None:
        self.ask(location)

    def ask(self, location: str) -> None:
        known, answer = self.known[location], self.place.talk.head(location)
        if known.is_gone:
            assert answer.status == 410
            return
        assert (answer.status, answer.offset) == (200, len(known.data))
        assert answer.headers.get("upload-length") == (None if known.length is None else str(known.length))
        assert ("upload-defer-length" in answer.headers) == (known.length is None)

    @rule(location=consumes(uploads))
    def terminate(self, location: str) -> None:
        answer = self.place.talk.delete(location)
        assert answer.status == (410 if self.known[location].is_gone else 204)
        self.known[location].is_gone = True

    @rule(target=uploads, locations=st.lists(uploads, min_size=1, max_size=4))
    def put_together(self, locations: list[str]) -> Any:
        known = [self.known[location] for location in locations]
        answer = self.place.talk.put_together(*locations)
        whole = b"".join(each.data for each in known)
        if len(set(locations)) != len(locations):
            assert answer.status == 400
        elif any(each.is_gone for each in known):
            assert answer.status == 410
        elif any(not each.is_piece or len(each.data) != each.length for each in known):
            assert answer.status == 400
        elif len(whole) > MOST:
            assert answer.status == 413
        else:
            assert answer.status == 201
            self.known[answer.location] = Known(whole, len(whole), is_put_together=True)
            for each in known:
                each.is_gone = True
            return answer.location
        return multiple()

    @invariant()
    def what_is_there_is_what_the_model_knows(self) -> None:
        """Every byte of what is finished, and nothing of what is gone."""
        if not hasattr(self, "place"):
            return
        storage = self.place.storage
        assert isinstance(storage, MemoryStorage)
        finished = [known for known in self.known.values() if known.is_finished and not known.is_gone]
        assert sorted(storage.objects.values()) == sorted(known.data for known in finished)
        waiting = {
            id_of(location) for location, known in self.known.items() if not known.is_gone and not known.is_finished
        }
        assert {name.removeprefix("partial-") for name in storage.unfinished} == waiting
        for record in self.place.records():
            known = self.known.get(f"/files/{record.id}")
            if known is None or known.is_gone:
                assert record.state in GONE
            else:
                assert record.state is (State.COMPLETED if known.is_finished else State.RECEIVING)


class AsyncUploads(Uploads):
    """By the async driver."""

    driver = "async"


class ManyUploads(Uploads):
    """In the long runs."""


class ManyAsyncUploads(AsyncUploads):
    """In the long runs, by the async driver."""


def _settings(examples: int, steps: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=checks)


TestUploads = Uploads.TestCase
TestUploads.settings = _settings(10, 10)
TestAsyncUploads = AsyncUploads.TestCase
TestAsyncUploads.settings = _settings(10, 10)
TestManyUploads = pytest.mark.soak(ManyUploads.TestCase)
TestManyUploads.settings = _settings(scaled(300, at_least=10), 30)
TestManyAsyncUploads = pytest.mark.soak(ManyAsyncUploads.TestCase)
TestManyAsyncUploads.settings = _settings(scaled(300, at_least=10), 30)


# What is read of headers


HEADER = st.text(st.characters(max_codepoint=255), max_size=200) | st.text("a=, \tYQ/+\x00", max_size=40)


@given(HEADER)
@example("a YQ==,a YQ==")
@example("a \xa0")
def test_metadata_are_text_or_malformed(header: str) -> None:
    """Nothing else is raised, whatever stands there."""
    with suppress(MalformedUpload):
        values = parse_metadata(header)
        assert all(name.isascii() and name.isprintable() and " " not in name and "," not in name for name in values)


NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1, max_size=20)


@given(st.dictionaries(NAMES, st.text(max_size=50), max_size=6))
def test_metadata_that_were_written_are_read_again(values: Mapping[str, str]) -> None:
    """Every text there is."""
    assert parse_metadata(metadata(**values)) == values


@given(HEADER | st.builds("{} {}".format, st.sampled_from(ALGORITHMS), HEADER))
def test_a_checksum_is_one_or_malformed(header: str) -> None:
    """Nothing else is raised."""
    with suppress(MalformedUpload):
        assert Checksum.parse(header).algorithm in ALGORITHMS


@given(st.binary(max_size=50), st.sampled_from(["sha1", "sha256"]))
def test_a_checksum_that_was_written_is_read_again(data: bytes, algorithm: str) -> None:
    """With any white space around it."""
    text = checksum(data, algorithm)
    assert Checksum.parse(text) == Checksum.parse(f"  {text} ")


@given(st.none() | HEADER | st.integers().map(str))
def test_a_number_is_one_or_malformed(header: str | None) -> None:
    """It is never negative, and fits into 64 bits."""
    try:
        number = whole_number("Upload-Length", header)
    except MalformedUpload:
        return
    assert (number is None) == (header is None)
    assert number is None or 0 <= number < 2**63


@pytest.mark.parametrize("driver", DRIVERS)
def test_whatever_stands_in_the_headers_is_answered(tmp_path: Path, driver: str) -> None:
    """With a status below 500, and nothing is left of what was refused."""
    with place_in(tmp_path, driver=driver, storage=MemoryStorage()) as place:
        ask: Callable[..., Any] = place.talk.ask

        @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
        @given(
            st.dictionaries(
                st.sampled_from(
                    [
                        *("upload_length", "upload_offset", "upload_metadata", "upload_concat", "upload_defer_length"),
                        *("upload_checksum", "content_type", "x_http_method_override", "upload_complete"),
                    ]
                ),
                HEADER | st.sampled_from(["1", "0", "final;/files/x", "partial", "application/offset+octet-stream"]),
            ),
            st.sampled_from(["POST", "PATCH", "HEAD", "DELETE", "OPTIONS", "GET"]),
            st.sampled_from(["/files/", "/files/x"]),
            st.binary(max_size=3),
        )
        def answered(headers: dict[str, str], method: str, path: str, body: bytes) -> None:
            answer = ask(method, path, body, **headers)
            assert answer.status < 500
            assert (answer.status == 201) == ("location" in answer.headers)
            if answer.status == 201:
                place.talk.delete(answer.location)
            assert place.left() == []

        answered()
