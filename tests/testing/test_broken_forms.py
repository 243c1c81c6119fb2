"""Forms that are broken on purpose: each is refused for the reason it names, by whoever reads it."""

from __future__ import annotations

from typing import get_args

import pytest

from uploadkit import Limits, MemoryStorage, Submission, Uploader, UploadError, receive
from uploadkit.errors import LimitExceeded
from uploadkit.testing import Break, BrokenForm, FormBuilder, sample
from uploadkit.testing.broken import _BAD_PARTS, _BREAKS

FORMS = {
    "a file": FormBuilder().sample("f", "image/png"),
    "a file between texts": FormBuilder().text("a", "1").sample("f", "text/plain", size="20 KB").text("b", ""),
    "two files": FormBuilder().sample("f", "image/png", size=5000).file("g", b"", filename="empty.txt"),
    "texts": FormBuilder(boundary="b").text("a", "1").text("b", "2"),
    "line ends": FormBuilder(boundary="x y").file("f", b"\r\n\r\n--\r\n" * 999, filename="a.bin"),
}

NO_LIMITS = Limits(
    body_size=None, file_size=None, files_size=None, files=None, fields=None, parts=None, field_size=None,
    fields_size=None, field_name_size=None, filename_size=None, header_count=None, header_size=None,
    preamble_size=None, epilogue_size=None, idle_seconds=None, min_rate=None,
)  # fmt: skip

SMALL = Limits(
    body_size=30_000, file_size=9000, files_size=9500, files=7, fields=8, parts=9, field_size=100, fields_size=350,
    field_name_size=60, filename_size=70, header_count=5, header_size=300, preamble_size=50, epilogue_size=40,
)  # fmt: skip


def received(form: FormBuilder | BrokenForm, limits: Limits, *, chunk: int = 4096) -> Submission:
    """What comes of it; nothing does in a storage where it is refused."""
    storage = MemoryStorage()
    chunks = [form.body[at : at + chunk] for at in range(0, len(form.body), chunk)]
    try:
        return receive(Uploader(storage, limits=limits).any(), form.content_type, chunks)
    except UploadError:
        assert (storage.objects, storage.unfinished) == ({}, [])
        raise


@pytest.mark.parametrize("name", FORMS)
def test_the_form_itself_is_taken(name: str) -> None:
    """What is refused below is refused for how it was broken."""
    received(FORMS[name], NO_LIMITS)


@pytest.mark.parametrize("chunk", [7, 10**6])
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("how", get_args(Break))
def test_a_broken_form_is_refused_as_it_says(how: Break, name: str, chunk: int) -> None:
    """With its code and status, whatever the form was and however it arrives."""
    broken = FORMS[name].broken(how)
    with pytest.raises(UploadError) as refused:
        received(broken, Limits(), chunk=chunk)
    assert (broken.name, broken.code, broken.status) == (how, refused.value.code, refused.value.status)


def test_every_way_is_in_the_list_of_ways() -> None:
    """A type checker knows those that there are, and `all_broken` has each once."""
    assert sorted(get_args(Break)) == sorted([*_BAD_PARTS, *_BREAKS])
    assert [str(broken) for broken in FORMS["texts"].all_broken()] == [*get_args(Break)]


def test_a_broken_form_is_a_form_of_its_own() -> None:
    """No two are alike, and none is the form that would be taken."""
    form = FORMS["a file between texts"]
    seen = {(broken.content_type, broken.body) for broken in form.all_broken()}
    assert len(seen) == len(get_args(Break))
    assert (form.content_type, form.body) not in seen


def test_files_before_the_break_have_arrived_whole() -> None:
    """What a part at the end breaks comes behind all files: they have to be taken back."""
    form = FORMS["two files"]
    whole = form.body.removesuffix(b"--" + form.boundary.encode() + b"--\r\n")
    assert [how for how in _BAD_PARTS if not form.broken(how).body.startswith(whole)] == []  # type: ignore[arg-type]


def test_a_form_is_cut_at_any_place() -> None:
    """At each a form is refused as truncated; behind the last hyphen it is whole."""
    form = FORMS["texts"]
    last = len(form.body) - len("-\r\n")
    for at in range(last + 1):
        cut = form.cut(at)
        assert (str(cut), len(cut.body), cut.code, cut.status) == (f"cut at {at}", at, "truncated_form", 400)
        with pytest.raises(UploadError) as refused:
            received(cut, Limits())
        assert refused.value.code == cut.code
    with pytest.raises(ValueError, match=f"cut at 0 to {last} bytes, not at {last + 1}"):
        form.cut(last + 1)
    with pytest.raises(ValueError, match="not at -1"):
        form.cut(-1)


@pytest.mark.parametrize("limit", [str(form) for form in FORMS["a file"].over(SMALL)])
def test_a_form_is_over_the_limit_that_it_names(limit: str) -> None:
    """That limit alone is set, and is exceeded; with one more it is not."""
    which = limit.removeprefix("over ")
    allowed: int = getattr(SMALL, which)
    alone = Limits(**{**vars(NO_LIMITS), which: allowed})
    [over] = FORMS["a file"].over(alone)
    with pytest.raises(LimitExceeded) as refused:
        received(over, alone)
    assert (refused.value.limit, refused.value.allowed) == (which, allowed)
    assert (str(over), over.code, over.status) == (limit, "limit_exceeded", 413)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_over_one_of_many_limits_is_refused(name: str) -> None:
    """Whichever is met first, the answer is the same."""
    form = FormBuilder().text("a", "1") if name == "texts" else FORMS["a file"]
    for over in (*form.over(SMALL), *form.over(Limits())):
        with pytest.raises(LimitExceeded):
            received(over, SMALL)


def test_limits_that_no_form_of_a_test_is_over_are_left_out() -> None:
    """None, what is above 16 MiB, limits of time; and those of files where the form has none."""
    assert FORMS["a file"].over(NO_LIMITS) == []
    left_out = {"body_size", "file_size", "files_size", "idle_seconds", "min_rate"}
    assert {f"over {name}" for name in vars(Limits()).keys() - left_out} == {*map(str, FORMS["a file"].over(Limits()))}
    of_files = {"over file_size", "over files_size", "over files"}
    assert of_files <= {*map(str, FORMS["a file"].over(SMALL))}
    assert {*map(str, FORMS["a file"].over(SMALL))} - {*map(str, FORMS["texts"].over(SMALL))} == of_files


def test_mistakes_say_what_to_do() -> None:
    """A form that has nothing to break, and a way that there is not."""
    with pytest.raises(ValueError, match="add a file or a text first"):
        FormBuilder().broken("no name")
    with pytest.raises(ValueError, match="'gently' is no way to break a form; there are 'a line end alone', "):
        FORMS["texts"].broken("gently")  # type: ignore[arg-type]


def test_the_same_form_is_broken_into_the_same_bytes() -> None:
    """A test that fails fails again."""
    first, second = (FormBuilder().text("a", "1").sample("f", "image/png") for _ in range(2))
    assert first.all_broken() == second.all_broken()
    assert first.over(SMALL) == second.over(SMALL)


def test_a_sample_is_a_file_with_its_name_and_type() -> None:
    """The type's extension; another name and a larger file where the test says so."""
    form = FormBuilder().sample("a", "image/jpeg").sample("b", "text/csv", size=99, filename="table.csv")
    first, second = received(form, Limits()).files
    assert (first.filename, first.declared_type, first.read()) == ("sample.jpg", "image/jpeg", sample("image/jpeg"))
    assert (second.filename, second.content_type, second.size >= 99) == ("table.csv", "text/csv", True)
