"""The plan, driven by hand: which steps it asks for, in which order, and what it does when one of them fails.

No storage is touched and nothing is stored: landings are stand-ins, and every answer is made up here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.intake.receiving import Refusal, bytewise, cut, numbered, refusal_of

from uploadkit.errors import FileRefused, LimitExceeded, StorageFailed, TruncatedForm, UnexpectedField
from uploadkit.intake.plan import Gate, plan
from uploadkit.intake.spec import Spec
from uploadkit.intake.steps import (
    END,
    Accept,
    Ask,
    Begin,
    Commit,
    Delete,
    Discard,
    Do,
    Examine,
    Open,
    Read,
    Refuse,
    Stage,
    Step,
    Wait,
    Write,
)
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, FileRules
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.policy.signatures import HEAD_SIZE
from uploadkit.storage.contract import StoredObject
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


@dataclass
class Played:
    """What a plan did. `seen` names each step in short; `landings` are the stand-ins in the order of their opening."""

    steps: list[Step] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    submission: Submission | None = None
    error: BaseException | None = None


@dataclass(eq=False)
class StandIn:
    """A landing that keeps nothing."""

    key: str
    size: int = 0
    digest: str = "digest"


Fault = Callable[[int, Step], BaseException | None]


def play(
    spec: Spec[Any],
    form: FormBuilder,
    *,
    chunks: Iterable[bytes] | None = None,
    content_length: int | None = None,
    gate: Gate | None = None,
    fault: Fault = lambda number, step: None,
) -> Played:
    """Carries a plan out to its end. `fault` says what is raised instead of an answer to the step of this number."""
    played = Played()
    body = iter([form.body] if chunks is None else chunks)
    steps = plan(spec, form.content_type, content_length=content_length, gate=gate)
    try:
        step = next(steps)
        while True:
            error = fault(len(played.steps), step)
            played.steps.append(step)
            played.seen.append(named(step))
            if error is None:
                try:
                    answer = answered(step, body)
                except Exception as raised:
                    error = raised
            step = steps.send(answer) if error is None else steps.throw(error)
    except StopIteration as done:
        played.submission = done.value.submission
    except BaseException as raised:
        played.error = raised
    return played


def answered(step: Step, body: Any) -> Any:
    """A made-up answer."""
    match step:
        case Read():
            return next(body, END)
        case Ask(call, args):
            return call(*args)
        case Open(key=key):
            return StandIn(key)
        case Write(landing, data):
            cast(StandIn, landing).size += len(data)
        case Commit(landing):
            return StoredObject(key=cast(StandIn, landing).key, size=cast(StandIn, landing).size)
    return None


def named(step: Step) -> str:
    """A step as the tests write it."""
    match step:
        case Read():
            return "read"
        case Ask(call):
            return f"ask {call.__name__}"
        case Open(key=key):
            return f"open {key}"
        case Delete(_, key):
            return f"delete {key}"
        case Write(landing, data):
            return f"write {len(data)} to {cast(StandIn, landing).key}"
        case Begin(file=file) | Refuse(uploads=file):
            return f"{type(step).__name__.lower()} {file}"
        case Do(call):
            return f"do {call.__name__}"
        case Wait() | Accept():
            return type(step).__name__.lower()
        case Examine(landing):
            return f"examine {cast(StandIn, landing).key}"
        case _:
            return f"{type(step).__name__.lower()} {cast(StandIn, step.landing).key}"


def agree(file: IncomingFile) -> bool:
    """A filter that lets everything in."""
    return True


def key_of(file: IncomingFile) -> str:
    """A key maker."""
    return f"by-{file.filename}"


class Examining:
    """A check of the staged file."""

    def examine(self, file: IncomingFile, staged: Any) -> None:
        raise AssertionError("nothing is staged here")


def any_file(limits: Limits | None = None, **rules: Any) -> Spec[Submission]:
    """A spec that takes every file; its ids and keys count from 0, an id before its key."""
    return numbered(Uploader(MemoryStorage(), limits=limits or Limits(), **cast(FileRules, rules)).any())


def two_files() -> FormBuilder:
    """A form with two files and a text between them."""
    form = FormBuilder(boundary="b").file("a", b"one", filename="a.bin")
    return form.text("title", "x").file("b", b"three", filename="b.bin")


def test_a_form_with_two_files_comes_in_these_steps() -> None:
    """Every file is opened, written and staged as it comes; both are published after the body has ended."""
    played = play(any_file(), two_files())
    assert played.seen == [
        "read",
        *("open 1.txt", "write 3 to 1.txt", "stage 1.txt"),
        *("open 3.txt", "write 5 to 3.txt", "stage 3.txt"),
        "read",
        *("commit 1.txt", "commit 3.txt"),
    ]
    assert played.submission is not None
    assert [(file.id, file.key, file.size) for file in played.submission.files] == [
        ("0", "1.txt", 3),
        ("2", "3.txt", 5),
    ]
    assert played.submission.fields.multi_items() == (("title", "x"),)


def test_the_user_is_asked_when_the_head_is_there_and_before_anything_is_opened() -> None:
    """Filter, then key maker, then the sink; a check of the staged file before the next file is looked at."""
    spec = any_file(filter=agree, filename=key_of, check=Examining())
    asked = ["ask agree", "ask key_of"]
    assert play(spec, two_files()).seen == [
        "read",
        *(*asked, "open by-a.bin", "write 3 to by-a.bin", "stage by-a.bin", "examine by-a.bin"),
        *(*asked, "open by-b.bin", "write 5 to by-b.bin", "stage by-b.bin", "examine by-b.bin"),
        "read",
        *("commit by-a.bin", "commit by-b.bin"),
    ]


def test_a_head_is_judged_as_soon_as_it_is_complete() -> None:
    """A large file is opened when its first 8 KiB are there; what comes later is written as it comes."""
    form = FormBuilder(boundary="b").file("a", b"x" * (HEAD_SIZE + 1000), filename="a.bin")
    start = form.body.index(b"xxx")
    chunks = cut(form.body, [start + 100, start + HEAD_SIZE - 1, start + HEAD_SIZE, start + HEAD_SIZE + 1])
    played = play(any_file(filter=agree), form, chunks=chunks)
    assert played.seen == [
        *("read", "read", "read"),
        *("ask agree", "open 1.txt", f"write {HEAD_SIZE} to 1.txt"),
        *("read", "write 1 to 1.txt"),
        *("read", "write 999 to 1.txt", "stage 1.txt"),
        *("read", "commit 1.txt"),
    ]
    filter_step = played.steps[3]
    assert isinstance(filter_step, Ask)
    [incoming] = filter_step.args
    assert isinstance(incoming, IncomingFile)
    assert incoming.head == b"x" * HEAD_SIZE


@pytest.mark.parametrize(
    ("rules", "form"),
    [
        ({"accept": IMAGES}, FormBuilder().file("a", b"no image", filename="a.png")),
        ({"accept": IMAGES}, FormBuilder().file("a", b"no image" * 10_000, filename="a.png")),
        ({"filter": lambda file: False}, FormBuilder().file("a", b"", filename="a.png")),
        ({"min_size": 4}, FormBuilder().file("a", b"123", filename="a.png")),
    ],
    ids=["accept", "accept, before the file's end", "filter", "min_size"],
)
def test_what_the_head_decides_opens_nothing(rules: dict[str, Any], form: FormBuilder) -> None:
    """A file that is refused by what is known before it is stored leaves no sink to discard."""
    played = play(any_file(**rules), form)
    assert isinstance(played.error, FileRefused)
    assert [step for step in played.steps if not isinstance(step, Read | Ask)] == []


def test_a_file_in_a_field_that_takes_none_opens_nothing() -> None:
    """It is refused at its head, before a byte of it is looked at."""
    played = play(numbered(Uploader(MemoryStorage(), filter=agree).none()), two_files())
    assert (type(played.error), played.seen) == (UnexpectedField, ["read"])


@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        (Limits(parts=0), ["read"]),
        (Limits(files=0), ["read"]),
        (Limits(file_size=2), ["read"]),
        (Limits(files_size=2), ["read"]),
        (Limits(body_size=10), ["read"]),
        (Limits(files=1), ["read", "ask agree", "open 1.txt", "write 3 to 1.txt", "stage 1.txt", "discard 1.txt"]),
        (Limits(fields=0), ["read", "ask agree", "open 1.txt", "write 3 to 1.txt", "stage 1.txt", "discard 1.txt"]),
    ],
    ids=repr,
)
def test_a_limit_is_counted_before_the_user_is_asked_and_before_a_byte_is_written(
    limits: Limits, seen: list[str]
) -> None:
    """What is over a limit reaches neither a filter nor a sink."""
    played = play(any_file(limits, filter=agree), two_files())
    assert isinstance(played.error, LimitExceeded)
    assert played.seen == seen


def test_no_byte_past_a_limit_is_written() -> None:
    """The bytes of one chunk that would pass it are not written in part."""
    form = FormBuilder(boundary="b").file("a", b"x" * (HEAD_SIZE + 200), filename="a.bin")
    chunks = cut(form.body, [form.body.index(b"xxx") + HEAD_SIZE + 50])
    played = play(any_file(Limits(file_size=HEAD_SIZE + 199)), form, chunks=chunks)
    assert isinstance(played.error, LimitExceeded)
    assert played.seen[-3:] == [f"write {HEAD_SIZE + 50} to 1.txt", "read", "discard 1.txt"]


def test_a_body_that_is_announced_too_long_is_not_read() -> None:
    """The Content-Length alone is enough."""
    played = play(any_file(Limits(body_size=100)), two_files(), content_length=101)
    assert refusal_of(played.error or Exception()) == Refusal(
        LimitExceeded,
        "the body has more than 100 bytes",
        status=413,
        code="limit_exceeded",
        limit="body_size",
        allowed=100,
    )
    assert played.seen == []


def test_a_gate_judges_each_text_as_it_comes_and_the_form_before_it_is_published() -> None:
    """It is asked after all files are staged and before the first is published."""

    class Judge:
        def text(self, name: str, value: str) -> None: ...

        def end(self) -> None: ...

    played = play(any_file(), two_files(), gate=Judge())
    without_writing = [seen for seen in played.seen if not seen.startswith(("read", "open", "write"))]
    assert without_writing == ["stage 1.txt", "ask text", "stage 3.txt", "ask end", "commit 1.txt", "commit 3.txt"]
    texts = [step.args for step in played.steps if isinstance(step, Ask)]
    assert texts == [("title", "x"), ()]


def test_what_is_missing_is_said_before_anything_is_published() -> None:
    """All files of a form that lacks a required field are discarded."""
    upload = Uploader(MemoryStorage())
    spec = numbered(upload.fields(File("a"), File("b", required=True)))
    played = play(spec, FormBuilder().file("a", b"one", filename="a.bin"))
    assert played.seen == ["read", "open 1.txt", "write 3 to 1.txt", "stage 1.txt", "read", "discard 1.txt"]


def test_a_form_that_ends_early_publishes_nothing() -> None:
    """The file that was complete is discarded like the one that was not."""
    body = two_files().body
    played = play(any_file(), two_files(), chunks=cut(body[:-10], [len(body) - 20]))
    assert isinstance(played.error, TruncatedForm)
    assert played.seen == ["read", "open 1.txt", "write 3 to 1.txt", "stage 1.txt", "read", "read", "discard 1.txt"]


def test_what_was_published_is_taken_back_when_a_later_file_cannot_be() -> None:
    """In reverse: the one that failed and those after it are discarded, those before it deleted."""
    form = two_files().file("c", b"c", filename="c.bin")
    gone = OSError("the second commit")
    played = play(any_file(), form, fault=lambda _, step: gone if named(step) == "commit 3.txt" else None)
    assert played.error is gone
    assert played.seen[-5:] == ["commit 1.txt", "commit 3.txt", "discard 5.txt", "discard 3.txt", "delete 1.txt"]


def test_an_object_under_another_key_than_was_asked_for_is_taken_back_from_there() -> None:
    """What the handler is given is made before: it names the key that was asked for."""
    steps = plan(any_file(), two_files().content_type)
    body = iter([two_files().body])
    step = next(steps)
    while not isinstance(step, Commit):
        step = steps.send(answered(step, body))
    assert named(steps.send(StoredObject(key="other", size=3))) == "discard 3.txt"
    step = steps.send(None)
    assert isinstance(step, Delete)
    assert step.key == "other"
    with pytest.raises(StorageFailed, match="another key"):
        steps.send(None)


def test_withdrawing_goes_on_when_a_discard_fails() -> None:
    """The reason stays the error that is raised; what could not be removed is noted on it, field by field."""
    form = two_files().file("c", b"c", filename="c.bin")

    def fault(_: int, step: Step) -> BaseException | None:
        if named(step) == "commit 3.txt":
            return OSError("the reason")
        return OSError(f"also {named(step)}") if isinstance(step, Discard | Delete) else None

    played = play(any_file(), form, fault=fault)
    assert str(played.error) == "the reason"
    assert played.seen[-3:] == ["discard 5.txt", "discard 3.txt", "delete 1.txt"]
    assert getattr(played.error, "__notes__", []) == [
        f"and the file in field {name!r} could not be removed: OSError('also {step}')"
        for name, step in [("c", "discard 5.txt"), ("b", "discard 3.txt"), ("a", "delete 1.txt")]
    ]


@pytest.mark.parametrize(
    "chunk", ["text", bytearray(b"--b"), memoryview(b"--b"), 3, None], ids=lambda chunk: type(chunk).__name__
)
def test_a_chunk_that_is_not_bytes_is_a_mistake(chunk: Any) -> None:
    """A buffer that its owner fills again would change what is still held; a number would be that many zeros."""
    played = play(any_file(), two_files(), chunks=[two_files().body[:-20], chunk])
    assert isinstance(played.error, TypeError)
    assert f"not of {type(chunk).__name__}" in str(played.error)
    assert played.seen[-1].startswith("discard")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_every_way_out_withdraws(stop: type[BaseException]) -> None:
    """What is no `Exception` too: an interrupt in the middle of a body leaves nothing."""
    reason = stop()
    played = play(any_file(), two_files(), fault=lambda number, _: reason if number == 7 else None)
    assert played.error is reason
    assert played.seen[-3:] == ["read", "discard 3.txt", "discard 1.txt"]


KINDS = st.sampled_from(["file", "empty file", "not chosen", "large file", "text"])


@given(st.lists(KINDS, max_size=6), st.integers(0, 60), st.integers(0, 3), st.booleans())
def test_whatever_fails_every_file_that_was_opened_is_closed_once(
    kinds: list[str], failing: int, also: int, asks: bool
) -> None:
    """With any form and any step failing, and some of the withdrawal too: every sink is closed by one commit or one
    discard, what was committed is deleted, in reverse order, nothing else happens, and the error comes out."""
    form = form_of(kinds)
    reason = RuntimeError("the reason")
    rules: dict[str, Any] = {"filter": agree, "filename": key_of, "check": Examining()} if asks else {}

    def fault(number: int, step: Step) -> BaseException | None:
        if number == failing:
            return reason
        return OSError("also") if failing < number <= failing + also else None

    played = play(any_file(**rules), form, fault=fault)
    check_order(played)
    if played.error is None:
        assert len(played.steps) <= failing
        return
    assert played.error is reason
    failed, withdrawal = played.steps[: failing + 1], played.steps[failing + 1 :]
    opened = [step.key for step in failed[:failing] if isinstance(step, Open)]
    committed = [key(step) for step in failed[:failing] if isinstance(step, Commit)]
    expected = [f"delete {key}" if key in committed else f"discard {key}" for key in reversed(opened)]
    assert [named(step) for step in withdrawal] == expected
    assert len(getattr(reason, "__notes__", [])) == min(also, len(withdrawal))


@given(st.lists(KINDS, max_size=6), st.lists(st.integers(0, 30_000), max_size=4))
def test_the_order_of_the_steps_holds_for_every_form(kinds: list[str], places: list[int]) -> None:
    """Whatever the form and its chunks: a sink is written between its opening and its staging, all are staged before
    the first is published, and every sink that was opened is published."""
    form = form_of(kinds)
    played = play(any_file(), form, chunks=cut(form.body, places))
    check_order(played)
    assert played.submission is not None
    opened = [step.key for step in played.steps if isinstance(step, Open)]
    assert [key(step) for step in played.steps if isinstance(step, Stage)] == opened
    assert [key(step) for step in played.steps if isinstance(step, Commit)] == opened
    assert len(played.submission.files) == sum("file" in kind for kind in kinds)
    sizes = {"file": 3, "empty file": 0, "large file": HEAD_SIZE + 100}
    assert [file.size for file in played.submission.files] == [sizes[kind] for kind in kinds if kind in sizes]


def form_of(kinds: Iterable[str]) -> FormBuilder:
    """A form of these parts."""
    form = FormBuilder(boundary="b")
    for number, kind in enumerate(kinds):
        match kind:
            case "file":
                form.file("f", b"abc", filename=f"{number}.bin")
            case "empty file":
                form.file("f", b"", filename=f"{number}.bin")
            case "large file":
                form.file("f", b"x" * (HEAD_SIZE + 100), filename=f"{number}.bin")
            case "not chosen":
                form.file("f", b"", filename="")
            case _:
                form.text("t", "text")
    return form


def key(step: Write | Stage | Examine | Commit | Discard) -> str:
    """The key of a step's landing."""
    return cast(StandIn, step.landing).key


def check_order(played: Played) -> None:
    """Open, writes, stage, examine, commit: for each file, and all stages before the first commit."""
    states: dict[str, str] = {}
    allowed = {"write": {"open"}, "stage": {"open"}, "examine": {"staged"}, "commit": {"staged"}}
    for step in played.steps:
        if isinstance(step, Open):
            assert step.key not in states
            assert set(states.values()) <= {"staged"}, "one file is open at a time, and none is published"
            states[step.key] = "open"
        elif isinstance(step, Write | Stage | Examine | Commit):
            assert states[key(step)] in allowed[type(step).__name__.lower()]
            if isinstance(step, Stage):
                states[key(step)] = "staged"
            elif isinstance(step, Commit):
                assert set(states.values()) <= {"staged", "committed"}
                states[key(step)] = "committed"
    if played.error is not None:
        return
    assert set(states.values()) <= {"committed"}
    assert not any(isinstance(step, Discard | Delete) for step in played.steps)


def test_a_plan_is_the_same_whatever_the_chunks_but_for_where_it_reads_and_writes() -> None:
    """Byte by byte the same questions are asked and the same bytes written, in the same order."""
    form = two_files()
    spec = replace(any_file(), new_key=lambda extension: "key" + extension)
    whole, cuts = play(spec, form), play(spec, form, chunks=bytewise(form.body))
    assert cuts.submission == whole.submission
    assert [seen for seen in cuts.seen if seen != "read"] == [seen for seen in whole.seen if seen != "read"]


def test_a_plan_that_was_never_begun_can_be_dropped() -> None:
    """Nothing happened, so nothing is withdrawn."""
    plan(any_file(), two_files().content_type).close()
