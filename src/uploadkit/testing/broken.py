"""Forms that are no forms, each with the error that a route has to answer: for a test over all of them.

    @pytest.mark.parametrize("broken", FORM.all_broken(), ids=str)
    def test_a_broken_form_is_refused(broken: BrokenForm) -> None: ...

`FormBuilder` makes them, out of a form that would be taken. What is broken stands as far behind as it can, so that
every file before it has been staged already when it is met. The same form makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from ..errors import LimitExceeded, MalformedForm, SenderError, TruncatedForm, UnsupportedMediaType
from ..multipart.headers import MULTIPART
from ..policy.limits import Limits

Break: TypeAlias = Literal[
    "a line end alone",
    "cut in a head",
    "cut in the data",
    "cut in a delimiter",
    "no close delimiter",
    "wrong boundary",
    "no boundary",
    "boundary twice",
    "boundary too long",
    "wrong media type",
    "LF for CRLF",
    "CR for CRLF",
    "junk on a delimiter line",
    "no empty line after a head",
    "no head",
    "no Content-Disposition",
    "Content-Disposition twice",
    "attachment",
    "no name",
    "name twice",
    "name not UTF-8",
    "filename twice",
    "filename in pieces",
    "NUL in a filename",
    "unclosed quote",
    "folded header",
    "header without a colon",
    "space before a colon",
    "base64",
    "unknown charset",
]
"""The ways in which `FormBuilder.broken` breaks a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenForm:
    """A request that is to be refused. `code` and `status` are those of the error that uploadkit answers it with.

    A typed form may answer with that status and an `InvalidForm` that has the code among its `errors`. As text it is
    its name: `pytest.mark.parametrize(..., ids=str)`.
    """

    name: str
    content_type: str
    body: bytes
    code: str
    status: int

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A form as it is on the wire. A part is its head, an empty line and its data."""

    boundary: bytes
    content_type: str
    parts: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        opened = [b"--%b\r\n%b\r\n" % (self.boundary, part) for part in self.parts]
        return b"".join(opened) + self.close

    @property
    def close(self) -> bytes:
        """The close delimiter, with the line end that clients put behind it."""
        return b"--%b--\r\n" % self.boundary

    def and_parts(self, *parts: bytes) -> Written:
        return replace(self, parts=(*self.parts, *parts))


def break_form(form: Written, how: Break) -> BrokenForm:
    """Raises `ValueError` for a break that it does not know, and for a form without parts."""
    if not form.parts:
        raise ValueError("a form without parts has nothing that breaks; add a file or a text first")
    if how not in get_args(Break):
        raise ValueError(f"{how!r} is no way to break a form; there are {', '.join(map(repr, get_args(Break)))}")
    if how in _BAD_PARTS:
        kind, part = _BAD_PARTS[how]
        return _broken(how, kind, form.content_type, form.and_parts(part).body)
    kind, broken = _BREAKS[how]
    return _broken(how, kind, *broken(form))


def cut_form(form: Written, at: int) -> BrokenForm:
    """The first `at` bytes. Raises `ValueError` where the form is whole by then."""
    last = len(form.body) - len("-\r\n")
    if not 0 <= at <= last:
        raise ValueError(f"this form is cut at 0 to {last} bytes, not at {at}: it is whole without its last line end")
    return _broken(f"cut at {at}", TruncatedForm, form.content_type, form.body[:at])


def forms_over(form: Written, limits: Limits) -> Iterator[BrokenForm]:
    """One for every limit that a form can be over: not for those of time, nor for what is too large for a test."""
    for limit, enlarged in _OVER.items():
        allowed: int | None = getattr(limits, limit)
        if allowed is None or allowed > LARGEST or (limit in _OF_FILES and _file_of(form) is None):
            continue
        yield _broken(f"over {limit}", LimitExceeded, form.content_type, enlarged(form, allowed + 1, limits))


LARGEST = 16 * 2**20
"""Bytes: a body that is larger is none for a test in memory."""


def _broken(name: str, kind: type[SenderError], content_type: str, body: bytes) -> BrokenForm:
    return BrokenForm(name=name, content_type=content_type, body=body, code=kind.code, status=kind.status)


# Parts that no form has. They follow those of the form.

_BAD_PARTS: dict[str, tuple[type[SenderError], bytes]] = {
    "no empty line after a head": (MalformedForm, b'Content-Disposition: form-data; name="a"\r\n1'),
    "no head": (MalformedForm, b"\r\n1"),
    "no Content-Disposition": (MalformedForm, b"Content-Type: text/plain\r\n\r\n1"),
    "Content-Disposition twice": (
        MalformedForm,
        b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\n1',
    ),
    "attachment": (MalformedForm, b'Content-Disposition: attachment; name="a"\r\n\r\n1'),
    "no name": (MalformedForm, b'Content-Disposition: form-data; filename="a.png"\r\n\r\n1'),
    "name twice": (MalformedForm, b'Content-Disposition: form-data; name="a"; name="b"\r\n\r\n1'),
    "name not UTF-8": (MalformedForm, b'Content-Disposition: form-data; name="\xff"\r\n\r\n1'),
    "filename twice": (
        MalformedForm,
        b'Content-Disposition: form-data; name="a"; filename="a.png"; filename="a.php"\r\n\r\n1',
    ),
    "filename in pieces": (
        MalformedForm,
        b'Content-Disposition: form-data; name="a"; filename*0="a"; filename*1=".php"\r\n\r\n1',
    ),
    "NUL in a filename": (MalformedForm, b'Content-Disposition: form-data; name="a"; filename="a.php\0.png"\r\n\r\n1'),
    "unclosed quote": (MalformedForm, b'Content-Disposition: form-data; name="a\r\n\r\n1'),
    "folded header": (MalformedForm, b'Content-Disposition: form-data;\r\n name="a"\r\n\r\n1'),
    "header without a colon": (MalformedForm, b'Content-Disposition: form-data; name="a"\r\nX\r\n\r\n1'),
    "space before a colon": (MalformedForm, b'Content-Disposition : form-data; name="a"\r\n\r\n1'),
    "base64": (
        UnsupportedMediaType,
        b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==',
    ),
    "unknown charset": (
        UnsupportedMediaType,
        b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n1',
    ),
}


# Breaks of the whole: the Content-Type and the body that they come to.


def _cut_in_a_head(form: Written) -> tuple[str, bytes]:
    at = form.body.index(_longest(form))
    return form.content_type, form.body[: at + len(_head(_longest(form))) // 2]


def _cut_in_the_data(form: Written) -> tuple[str, bytes]:
    part = _longest(form)
    head = len(_head(part))
    return form.content_type, form.body[: form.body.index(part) + head + (len(part) - head) // 2]


def _cut_in_a_delimiter(form: Written) -> tuple[str, bytes]:
    return form.content_type, form.body[: -len(form.close) // 2]


def _not_closed(form: Written) -> tuple[str, bytes]:
    return form.content_type, form.body[: -len(form.close)]


def _with_the_wrong_boundary(form: Written) -> tuple[str, bytes]:
    # Short: all of it is a preamble, which has a limit of its own.
    start = form.parts[0][: len(_head(form.parts[0])) + 64]
    return f"{MULTIPART}; boundary=another", replace(form, parts=(start,)).body


def _with_line_ends_of(line_end: bytes) -> Callable[[Written], tuple[str, bytes]]:
    def broken(form: Written) -> tuple[str, bytes]:
        parts = [_head(part).replace(b"\r\n", line_end) + part[len(_head(part)) :] for part in form.parts]
        opened = [b"--%b%b%b%b" % (form.boundary, line_end, part, line_end) for part in parts]
        return form.content_type, b"".join(opened) + form.close.replace(b"\r\n", line_end)

    return broken


def _with_junk_on_a_delimiter_line(form: Written) -> tuple[str, bytes]:
    return form.content_type, form.body[: -len(form.close)] + b"--%bjunk\r\n" % form.boundary + form.close


_BREAKS: dict[str, tuple[type[SenderError], Callable[[Written], tuple[str, bytes]]]] = {
    # Not even that: test clients leave out the Content-Type of an empty body.
    "a line end alone": (TruncatedForm, lambda form: (form.content_type, b"\r\n")),
    "cut in a head": (TruncatedForm, _cut_in_a_head),
    "cut in the data": (TruncatedForm, _cut_in_the_data),
    "cut in a delimiter": (TruncatedForm, _cut_in_a_delimiter),
    "no close delimiter": (TruncatedForm, _not_closed),
    "wrong boundary": (TruncatedForm, _with_the_wrong_boundary),
    "no boundary": (MalformedForm, lambda form: (MULTIPART, form.body)),
    "boundary twice": (MalformedForm, lambda form: (f"{form.content_type}; boundary=another", form.body)),
    "boundary too long": (MalformedForm, lambda form: (f"{MULTIPART}; boundary={'b' * 81}", form.body)),
    "wrong media type": (UnsupportedMediaType, lambda form: ("application/json", form.body)),
    "LF for CRLF": (MalformedForm, _with_line_ends_of(b"\n")),
    "CR for CRLF": (MalformedForm, _with_line_ends_of(b"\r")),
    "junk on a delimiter line": (MalformedForm, _with_junk_on_a_delimiter_line),
}


# Forms over a limit: they have `count` of what it counts.

_HEAD = b'Content-Disposition: form-data; name="%b"'
_TEXT = _HEAD + b"\r\n\r\n%b"


def _with_a_file_of(form: Written, count: int, limits: Limits) -> bytes:
    """Enlarged by spaces, which change the type of no text."""
    parts = [part + b" " * count if part == _file_of(form) else part for part in form.parts]
    return replace(form, parts=tuple(parts)).body


def _with_files(form: Written, count: int, limits: Limits) -> bytes:
    return form.and_parts(*[_file_of(form) or b""] * count).body


def _with_values_of(form: Written, count: int, limits: Limits) -> bytes:
    """In as many values as one value's limit makes of them."""
    size = min(count, limits.field_size or count)
    values = [b"1" * min(size, count - at) for at in range(0, count, size)]
    return form.and_parts(*[_TEXT % (b"over", value) for value in values]).body


_OVER: dict[str, Callable[[Written, int, Limits], bytes]] = {
    "body_size": lambda form, count, limits: form.body + b"\r\n" * (count // 2 + 1),
    "file_size": _with_a_file_of,
    "files_size": _with_a_file_of,
    "files": _with_files,
    "fields": lambda form, count, limits: form.and_parts(*[_TEXT % (b"over", b"")] * count).body,
    "parts": lambda form, count, limits: form.and_parts(*[_HEAD % b"over" + b'; filename=""\r\n\r\n'] * count).body,
    "field_size": lambda form, count, limits: form.and_parts(_TEXT % (b"over", b"1" * count)).body,
    "fields_size": _with_values_of,
    "field_name_size": lambda form, count, limits: form.and_parts(_TEXT % (b"n" * count, b"")).body,
    "filename_size": lambda form, count, limits: (
        form.and_parts(_HEAD % b"over" + b'; filename="%b"\r\n\r\n' % (b"n" * count)).body
    ),
    "header_count": lambda form, count, limits: (
        form.and_parts(_HEAD % b"over" + b"\r\nX-Over: 1" * count + b"\r\n\r\n").body
    ),
    "header_size": lambda form, count, limits: (
        form.and_parts(_HEAD % b"over" + b"\r\nX-Over: " + b"1" * count + b"\r\n\r\n").body
    ),
    "preamble_size": lambda form, count, limits: b"1" * count + b"\r\n" + form.body,
    "epilogue_size": lambda form, count, limits: form.body + b"1" * count,
}

_OF_FILES = ("file_size", "files_size", "files")


def _longest(form: Written) -> bytes:
    return max(form.parts, key=len)


def _file_of(form: Written) -> bytes | None:
    files = [part for part in form.parts if b"filename=" in _head(part)]
    return max(files, key=len, default=None)


def _head(part: bytes) -> bytes:
    """With the empty line that ends it."""
    head, end, _ = part.partition(b"\r\n\r\n")
    return head + end
