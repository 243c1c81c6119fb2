"""streaming-form-data's own parser over real bodies, into uploadkit's targets: the same forms, answers and leavings."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pytest
from tests.adapters.apps.routes import LIMITED, handled, specs
from tests.adapters.cases import CASES, PNG, URLENCODED, Case, reference
from tests.intake.receiving import bytewise, cut, in_chunks, left_in

from uploadkit import (
    IMAGES,
    Capacity,
    DiskStorage,
    File,
    FileRefused,
    IncomingFile,
    InvalidForm,
    LimitExceeded,
    Limits,
    MalformedForm,
    MemoryStorage,
    Overloaded,
    Spec,
    StorageFailed,
    Submission,
    Text,
    TruncatedForm,
    UnexpectedField,
    UploadedFile,
    Uploader,
    UploadError,
    Watch,
)
from uploadkit.errors import FieldMissing
from uploadkit.storage.contract import Buffer
from uploadkit.testing import FailingStorage, FormBuilder, assert_no_leaks

pytest.importorskip("streaming_form_data", reason="it has no wheel for this Python")

from streaming_form_data import StreamingFormDataParser
from streaming_form_data.targets import BaseTarget, SHA256Target, ValueTarget

from uploadkit.adapters.streaming_form_data import FormTargets

T = TypeVar("T")


def received(spec: Spec[T], form: FormBuilder, chunks: Iterable[bytes] | None = None) -> T:
    """The form through their parser; every part goes to our targets."""
    with FormTargets(spec) as targets:
        parser = parser_of(targets, form)
        for chunk in [form.body] if chunks is None else chunks:
            parser.data_received(chunk)
        return targets.finish()


def parser_of(targets: FormTargets[Any], form: FormBuilder) -> StreamingFormDataParser:
    """Their parser for this form, whose parts go to our targets."""
    parser = StreamingFormDataParser(headers={"Content-Type": form.content_type})
    targets.register(parser)
    return parser


TWO_FILES = (
    FormBuilder(boundary="x")
    .file("first", b"\r\n--y", filename="a.txt", content_type="text/plain")
    .text("title", "é")
    .file("second", b"x--\r", filename="b.bin")
)


def two_files(storage: MemoryStorage | DiskStorage | FailingStorage) -> Spec[Submission]:
    """Both have to come."""
    return Uploader(storage).fields(File("first", required=True), File("second", required=True))


@dataclass(frozen=True)
class Told:
    """What the targets make of a case that the parser does not tell as it is: the status, and the problem's code."""

    status: int
    code: str | None = None


ACCEPTED, CANNOT_BE_PARSED, NOT_ENDED = Told(200), Told(400, "malformed_form"), Told(400, "truncated_form")

DIFFERENT = {
    # It reads one content type, and tells no difference between the reasons why it does not read a form.
    **{case.name: CANNOT_BE_PARSED for case in CASES if case.content_type == URLENCODED},
    "no form": CANNOT_BE_PARSED,
    "no type at all": CANNOT_BE_PARSED,
    "no boundary": CANNOT_BE_PARSED,
    "another boundary": CANNOT_BE_PARSED,
    # It takes no text before the first boundary, and does not see the last one when text follows it.
    "a preamble and an epilogue": CANNOT_BE_PARSED,
    "preamble_size, reached": CANNOT_BE_PARSED,
    "preamble_size, one over": CANNOT_BE_PARSED,
    "epilogue_size, reached": NOT_ENDED,
    "epilogue_size, one over": NOT_ENDED,
    # It does not tell that there was a body, a part without a name, other headers, or the size of it all.
    "an empty body": ACCEPTED,
    "a part without a name": ACCEPTED,
    "a header with a bare line feed": ACCEPTED,
    "a transfer encoding": ACCEPTED,
    "header_count, one over": ACCEPTED,
    "header_size, one over": ACCEPTED,
    "body_size, one over": ACCEPTED,
}
"""Where the targets cannot say what our own parser says. The guide for the way over says the same."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_form_is_answered_as_by_our_own_parser(case: Case) -> None:
    """The table of the parity test, at the parser's own risk: the same status, JSON and objects, or what is known."""
    for size in (1 << 16, 100):
        storage = MemoryStorage()
        status, members = answered(case, storage, in_chunks(case.body, size))
        if case.name not in DIFFERENT:
            assert (status, members) == reference(case)
        elif size > len(case.body):
            assert Told(status, members.get("code")) == DIFFERENT[case.name]
        assert len(storage.objects) == len(members.get("files", ()))
        assert storage.unfinished == []


def answered(case: Case, storage: MemoryStorage, chunks: Iterable[bytes]) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of a case by their parser."""
    headers = {} if case.content_type is None else {"Content-Type": case.content_type}
    try:
        with FormTargets(specs(storage)[case.route]) as targets:
            parser = StreamingFormDataParser(headers=headers)
            targets.register(parser)
            for chunk in chunks:
                parser.data_received(chunk)
            return handled(case.route, targets.finish())
    except UploadError as error:
        return error.status, error.problem()
    except RuntimeError:
        return 500, {}


def test_what_is_known_to_differ_is_in_the_table_of_cases() -> None:
    """A case that is renamed does not leave its exception behind; of the limits only the framing's are among them."""
    assert {case.name for case in CASES} >= set(DIFFERENT)
    over = {name for name in LIMITED if f"{name}, one over" in DIFFERENT}
    assert over == {"preamble_size", "epilogue_size", "header_count", "header_size", "body_size"}


def test_a_form_is_the_same_wherever_it_is_cut() -> None:
    """Cut once at every byte, and everywhere: the same files and values."""
    for chunks in [*(cut(TWO_FILES.body, [at]) for at in range(len(TWO_FILES.body))), bytewise(TWO_FILES.body)]:
        submission = received(two_files(MemoryStorage()), TWO_FILES, chunks)
        assert [file.read() for file in submission.files] == [b"\r\n--y", b"x--\r"]
        assert [file.declared_type for file in submission.files] == ["text/plain", "application/octet-stream"]
        assert submission.fields.multi_items() == (("title", "é"),)


def test_a_form_that_ends_at_any_byte_stores_nothing(tmp_path: Path) -> None:
    """The parser takes every one of them for a whole form."""
    whole = TWO_FILES.body.removesuffix(b"\r\n")
    storage = DiskStorage(tmp_path)
    for size in range(len(whole)):
        with pytest.raises((TruncatedForm, FieldMissing)):
            received(two_files(storage), TWO_FILES, [whole[:size]])
        assert left_in(storage) == []
    assert len(received(two_files(storage), TWO_FILES, [whole]).files) == 2


@pytest.mark.parametrize("size", [5, 10_000])
def test_text_after_the_last_boundary_does_not_come_into_a_file(size: int) -> None:
    """The parser does not see that boundary then, and gives it to the file: which has not ended, and is not stored."""
    storage = MemoryStorage()
    form = FormBuilder().file("f", b"x" * size, filename="f")
    with pytest.raises(TruncatedForm):
        received(Uploader(storage).any(), form, [form.body + b"text that follows"])
    assert left_in(storage) == []


def test_a_field_has_a_target_beside_those_of_others() -> None:
    """One line of a program is changed, and its other targets stay."""
    title, digest = ValueTarget(), SHA256Target()
    with FormTargets(Uploader(MemoryStorage()).single("second")) as targets:
        parser = StreamingFormDataParser(headers={"Content-Type": TWO_FILES.content_type})
        parser.register("title", title)
        parser.register("second", targets.target("second"))
        parser.register("second", digest)
        parser.data_received(TWO_FILES.body)
        file = targets.finish()
    assert (file.field, file.filename, file.read()) == ("second", "b.bin", b"x--\r")
    assert (title.value.decode(), digest.value) == ("é", file.digest)


def test_what_was_registered_before_keeps_its_field() -> None:
    """`register` takes the rest, and only the rest is judged by the spec."""
    first = ValueTarget()
    with FormTargets(Uploader(MemoryStorage()).fields(File("second"), Text("title", required=True))) as targets:
        parser = StreamingFormDataParser(headers={"Content-Type": TWO_FILES.content_type})
        parser.register("first", first)
        targets.register(parser)
        parser.data_received(TWO_FILES.body)
        submission = targets.finish()
    assert [file.field for file in submission.files] == ["second"]
    assert (first.value, submission.fields["title"]) == (b"\r\n--y", "é")


def test_rules_checks_and_keys_of_the_users_own_hold() -> None:
    """The same callables, at the same places: a filter sees the head and the values before it, a check all bytes."""
    seen: list[object] = []

    def takes_it(file: IncomingFile) -> bool:
        seen.append((file.filename, file.head, file.fields))
        return True

    class Digest:
        def begin(self, file: IncomingFile) -> Watch:
            self.sum = hashlib.sha256()
            return self

        def feed(self, data: Buffer) -> None:
            self.sum.update(data)

        def end(self) -> None:
            seen.append(self.sum.hexdigest())

    storage, data = MemoryStorage(), PNG + bytes(100_000)
    rules = File("f", accept=IMAGES, filter=takes_it, check=Digest(), filename=lambda file: f"of/{file.filename}")
    form = FormBuilder().text("a", "1").file("f", data, filename='x\\y"z.png', content_type="image/png")
    [file] = received(Uploader(storage).fields(rules), form, in_chunks(form.body, 1000)).files
    assert storage.objects.keys() == {"of/" + file.filename}
    assert seen == [(file.filename, data[: 8 << 10], (("a", "1"),)), file.digest]
    assert file.digest == hashlib.sha256(data).hexdigest()


def test_a_part_without_a_type_has_not_that_of_the_part_before() -> None:
    """A target of theirs keeps the last one that it was told."""
    form = FormBuilder().file("f", b"1", filename="1", content_type="text/plain")
    form.file("f", b"2", filename="2", content_type=None)
    files = received(Uploader(MemoryStorage()).array("f"), form)
    assert [file.declared_type for file in files] == ["text/plain", None]


REFUSALS: dict[str, tuple[dict[str, Any], type[UploadError]]] = {
    "its type": ({"accept": IMAGES}, FileRefused),
    "its size": ({"max_size": 50_000}, LimitExceeded),
    "too small": ({"min_size": 200_001}, FileRefused),
    "by a filter": ({"filter": lambda _: False}, FileRefused),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_a_refusal_leaves_nothing_from_that_chunk_on(why: str, tmp_path: Path) -> None:
    """Before the block has ended, and the file before it is gone too; the parser's caller sees the error at once."""
    rules, kind = REFUSALS[why]
    capacity, storage = Capacity(uploads=1), DiskStorage(tmp_path)
    form = FormBuilder().file("good", b"g" * 20_000, filename="g").file("bad", b"b" * 200_000, filename="b")
    spec = Uploader(storage, capacity=capacity).fields(File("good"), File("bad", **rules))

    def view() -> None:
        with FormTargets(spec) as targets:
            parser, refusal = parser_of(targets, form), None
            for chunk in in_chunks(form.body, 1000):
                try:
                    parser.data_received(chunk)
                except UploadError as error:
                    refusal = error
                    break
            assert (left_in(storage), capacity.in_flight) == ([], 0)
            with pytest.raises(kind) as again:
                targets.finish()
            assert again.value is refusal
            raise again.value

    with assert_no_leaks(storage), pytest.raises(kind):
        view()


@dataclass
class Profile:
    """A form as a class."""

    avatar: Annotated[UploadedFile, File(accept=IMAGES)]
    age: int
    tag: list[str]


def test_a_typed_form_tells_all_of_its_errors() -> None:
    """And gives its model where there is none; so do the targets of its fields."""
    storage = MemoryStorage()
    spec = Uploader(storage).form(Profile)
    bad = FormBuilder().text("age", "old").text("tag", "x").file("avatar", b"just text", filename="me.png")
    with pytest.raises(InvalidForm) as caught:
        received(spec, bad)
    assert {error.field for error in caught.value.errors} == {"age", "avatar"}
    assert left_in(storage) == []

    good = FormBuilder().text("age", "36").text("tag", "x").text("tag", "y").file("avatar", PNG, filename="me.png")
    assert received(spec, good).tag == ["x", "y"]
    with FormTargets(spec) as targets:
        parser = StreamingFormDataParser(headers={"Content-Type": good.content_type})
        for name in ("age", "tag", "avatar"):
            parser.register(name, targets.target(name))
        parser.data_received(good.body)
        profile = targets.finish()
    assert (profile.age, profile.tag, profile.avatar.read()) == (36, ["x", "y"], PNG)


def test_files_are_published_together_or_not_at_all() -> None:
    """Where the second cannot be published the first is taken back."""
    inner = MemoryStorage()
    failing = FailingStorage(inner, after=1, on="commit")
    with pytest.raises(StorageFailed):
        received(two_files(failing), TWO_FILES)
    assert left_in(inner) == []


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    """All bytes have come, and only `finish` publishes."""
    storage = DiskStorage(tmp_path)
    with FormTargets(two_files(storage)) as targets:
        parser_of(targets, TWO_FILES).data_received(TWO_FILES.body)
        assert list(tmp_path.glob("[!.]*")) == []
        targets.finish()
        assert len(list(tmp_path.glob("[!.]*"))) == 2


@pytest.mark.parametrize("size", [10, 60, len(TWO_FILES.body)])
def test_a_block_that_is_left_without_finish_stores_nothing(size: int, tmp_path: Path) -> None:
    """Silently: a view may answer for reasons of its own."""
    storage, capacity = DiskStorage(tmp_path), Capacity(uploads=1)
    spec = Uploader(storage, capacity=capacity).any()
    with assert_no_leaks(storage):
        with FormTargets(spec) as targets:
            parser_of(targets, TWO_FILES).data_received(TWO_FILES.body[:size])
        assert (left_in(storage), capacity.in_flight) == ([], 0)


def test_a_file_that_cannot_be_removed_is_told() -> None:
    """Also where nothing else was wrong."""
    failing = FailingStorage(MemoryStorage(), after=0, on="discard")
    with pytest.raises(RuntimeError, match="left before finish") as caught, FormTargets(two_files(failing)) as targets:
        parser_of(targets, TWO_FILES).data_received(TWO_FILES.body)
    assert "could not be removed" in caught.value.__notes__[0]


class Mistake(Exception):
    """Of a view."""


@pytest.mark.parametrize(("on_error", "kept"), [("discard", 0), ("keep", 2)])
def test_a_block_that_raises_after_finish_gives_its_files_back(on_error: Any, kept: int) -> None:
    """As a handler does, unless the uploader keeps them."""
    storage = MemoryStorage()
    spec = Uploader(storage, on_error=on_error).any()

    def view() -> None:
        with FormTargets(spec) as targets:
            parser_of(targets, TWO_FILES).data_received(TWO_FILES.body)
            assert len(targets.finish().files) == 2
            raise Mistake

    with pytest.raises(Mistake):
        view()
    assert len(storage.objects) == kept


def test_a_field_that_the_strict_parser_does_not_know_is_an_upload_error() -> None:
    """The adapters' problem details can be made of it."""

    def view() -> None:
        with FormTargets(Uploader(MemoryStorage()).single("first")) as targets:
            parser = StreamingFormDataParser(headers={"Content-Type": TWO_FILES.content_type}, strict=True)
            parser.register("first", targets.target("first"))
            parser.data_received(TWO_FILES.body)

    with pytest.raises(UnexpectedField, match="'title'") as caught:
        view()
    assert (caught.value.field, caught.value.status) == ("title", 422)


HEAD = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n'


@pytest.mark.parametrize(
    "body",
    [
        HEAD % (b"f", b"a") + b"X\rY: z\r\n\r\ndata\r\n--x--",
        HEAD % (b"f", b"\xff") + b"\r\ndata\r\n--x--",
        HEAD % (b"f", b"a\0b") + b"\r\ndata\r\n--x--",
        HEAD % (b"f\0", b"a") + b"\r\ndata\r\n--x--",
        b"no boundary",
    ],
)
def test_a_form_that_cannot_be_parsed_is_malformed(body: bytes) -> None:
    """Whether the parser says so, cannot read a name, or lets through what must not stand in one."""
    storage = MemoryStorage()
    for chunks in ([body], bytewise(body)):
        with pytest.raises(MalformedForm):
            received(Uploader(storage).any(), FormBuilder(boundary="x"), chunks)
        assert left_in(storage) == []


def test_who_catches_an_error_of_the_parser_in_a_part_does_not_publish_half_a_form() -> None:
    """The parser ends the part before it fails, as if it were whole."""
    storage = MemoryStorage()
    form = FormBuilder(boundary="x").file("f", b"whole", filename="f")
    broken = form.body.removesuffix(b"--\r\n") + b"\r\n" + (HEAD % (b"f", b"g"))[5:] + b"X\rY"
    with FormTargets(Uploader(storage).any()) as targets:
        with pytest.raises(MalformedForm):
            parser_of(targets, form).data_received(broken)
        with pytest.raises(MalformedForm):
            targets.finish()
    assert left_in(storage) == []


def test_an_error_of_the_users_own_leaves_the_block_as_it_is() -> None:
    """Also one that the parser might have raised."""
    with pytest.raises(UnicodeDecodeError), FormTargets(Uploader(MemoryStorage()).any()):
        b"\xff".decode()


def test_names_are_bounded_as_for_our_own_parser() -> None:
    """They are held in memory by both."""
    upload = Uploader(MemoryStorage(), limits=Limits(filename_size=4))
    form = FormBuilder().file("f", b"1", filename="ééé")
    with pytest.raises(LimitExceeded) as caught:
        received(upload.any(), form)
    assert (caught.value.limit, caught.value.seen) == ("filename_size", 6)


def test_a_form_has_a_place_of_its_capacity_while_it_is_received() -> None:
    """And gives it back at the end, for the next one."""
    capacity = Capacity(uploads=1, waiting=0)
    spec = Uploader(MemoryStorage(), capacity=capacity).any()
    with FormTargets(spec) as targets:
        with pytest.raises(Overloaded), FormTargets(spec):
            pass
        targets.finish()
        assert capacity.in_flight == 0


def outside(targets: FormTargets[Submission]) -> None:
    """Before the block."""
    targets.finish()


def again(targets: FormTargets[Submission]) -> None:
    """A form at a time."""
    with targets:
        targets.finish()
    with targets:
        pass


def twice(targets: FormTargets[Submission]) -> None:
    """The result is there already."""
    with targets:
        targets.finish()
        targets.finish()


def late(targets: FormTargets[Submission]) -> None:
    """Data after the end."""
    with targets:
        targets.finish()
        targets.target("f").start()


def asynchronous(targets: FormTargets[Submission]) -> None:
    """By the parser's other door."""
    with targets:
        asyncio.run(parser_of(targets, TWO_FILES).adata_received(TWO_FILES.body))


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (outside, r"with FormTargets\(spec\) as form"),
        (again, "make new ones for the next"),
        (twice, "finished before"),
        (late, "finished before"),
        (asynchronous, "under asyncio in a thread, or take the form with uploadkit.areceive"),
    ],
)
def test_wrong_use_says_what_to_do(mistake: Callable[[FormTargets[Submission]], None], says: str) -> None:
    """As a `RuntimeError`: a client did nothing wrong."""
    with pytest.raises(RuntimeError, match=says):
        mistake(FormTargets(Uploader(MemoryStorage()).any()))


def test_a_target_of_an_undeclared_field_is_refused_when_it_is_made() -> None:
    """A misspelt name would have its file dropped by the parser."""
    form = FormTargets(Uploader(MemoryStorage()).fields(File("avatar"), Text("title")))
    with pytest.raises(ValueError, match="no field 'avatr'; it declares 'avatar', 'title'"):
        form.target("avatr")
    assert isinstance(form.target("title"), BaseTarget)


def test_what_is_no_spec_or_needs_an_event_loop_is_refused() -> None:
    """When the targets are made."""
    not_a_spec: Any = Uploader(MemoryStorage())
    with pytest.raises(TypeError, match="takes a spec"):
        FormTargets(not_a_spec)

    async def asks(_: IncomingFile) -> bool:
        return True

    with pytest.raises(TypeError, match="async"):
        FormTargets(Uploader(MemoryStorage(), filter=asks).any())
