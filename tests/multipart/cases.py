"""What the multipart parser makes of bytes, as data: a name, a body, the parts and the error that come out.

The boundary is `b` where none is named. A body is written as it is on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

from uploadkit.errors import LimitExceeded, MalformedForm, SenderError, TruncatedForm, UnsupportedMediaType
from uploadkit.multipart.events import FORM_END, FormParser
from uploadkit.policy.limits import Limits

from .outcomes import MULTIPART_B, Outcome, Part, parser_of


@dataclass(frozen=True, kw_only=True)
class Case:
    """`because` is a piece of the error's text, or the name of the limit that is exceeded."""

    name: str
    body: bytes
    parts: tuple[Part, ...] = ()
    error: type[SenderError] | None = None
    because: str = ""
    form_ended: bool = False
    boundary: bytes = b"b"
    limits: Limits | None = None

    def parser(self) -> FormParser:
        """A fresh parser for this case."""
        content_type = (
            MULTIPART_B if self.boundary == b"b" else f'multipart/form-data; boundary="{self.boundary.decode()}"'
        )
        return parser_of(content_type, self.limits)

    def check(self, seen: Outcome) -> None:
        """Fails where `seen` is not what this case expects."""
        events = [event for part in self.parts for event in part.events()]
        if self.error is None or self.form_ended:
            events.append(FORM_END)
        assert list(seen.without_headers().events) == events
        if self.error is None:
            assert seen.failure is None
            return
        assert seen.failure is not None
        assert seen.failure.kind is self.error
        if self.error is LimitExceeded:
            assert self.limits is not None
            assert (seen.failure.limit, seen.failure.allowed) == (self.because, getattr(self.limits, self.because))
        else:
            assert self.because in seen.failure.text


CASES: list[Case] = []


def good(name: str, body: bytes, *parts: Part, boundary: bytes = b"b", limits: Limits | None = None) -> None:
    """A body that is a form with these parts."""
    CASES.append(Case(name=name, body=body, parts=parts, boundary=boundary, limits=limits))


def bad(
    name: str, body: bytes, error: type[SenderError], because: str, *parts: Part, form_ended: bool = False,
    boundary: bytes = b"b", limits: Limits | None = None,
) -> None:  # fmt: skip
    """A body that is refused after these parts have come out."""
    CASES.append(
        Case(
            name=name,
            body=body,
            parts=parts,
            error=error,
            because=because,
            form_ended=form_ended,
            boundary=boundary,
            limits=limits,
        )
    )


def malformed(name: str, body: bytes, because: str, *parts: Part, boundary: bytes = b"b") -> None:
    """A body that breaks the format."""
    bad(name, body, MalformedForm, because, *parts, boundary=boundary)


def truncated(name: str, body: bytes, *parts: Part, boundary: bytes = b"b") -> None:
    """A body that ends too early."""
    bad(name, body, TruncatedForm, "ended before the form", *parts, boundary=boundary)


def exceeded(name: str, body: bytes, *parts: Part, form_ended: bool = False, **limit: int) -> None:
    """A body that goes over one limit after these parts."""
    [(which, _)] = limit.items()
    bad(name, body, LimitExceeded, which, *parts, form_ended=form_ended, limits=Limits(**limit))


A = b'Content-Disposition: form-data; name="a"'
FILE = b'Content-Disposition: form-data; name="f"; filename="x.txt"'


OPEN = b"--b\r\n" + A + b"\r\n\r\n"
ONE = OPEN + b"1\r\n"
REST = b"\r\n" + A + b"\r\n\r\n1\r\n--b--"
ONE_A = Part("a", b"1")


def block(head: bytes, data: bytes = b"1") -> bytes:
    """A form of one part."""
    return b"--b\r\n" + head + b"\r\n\r\n" + data + b"\r\n--b--\r\n"


def disposed(rest: bytes) -> bytes:
    """A form of one part whose Content-Disposition goes on like this."""
    return block(b"Content-Disposition: form-data" + rest)


# What browsers send

good("one-text", block(A, b"one"), Part("a", b"one"))
good("one-file", block(FILE + b"\r\nContent-Type: text/plain", b"x\r\n"), Part("f", b"x\r\n", "x.txt", "text/plain"))
good(
    "text-file-text",
    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\x89PNG\r\n\x1a\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n--b--\r\n',
    ONE_A,
    Part("f", b"\x89PNG\r\n\x1a\n", "p.png", "image/png"),
    Part("a", b"2"),
)
good("close-delimiter-without-a-line-end", ONE + b"--b--", ONE_A)
good(
    "no-file-chosen",
    block(FILE.replace(b"x.txt", b"") + b"\r\nContent-Type: application/octet-stream", b""),
    Part("f", b"", "", "application/octet-stream"),
)
good("an-empty-filename-with-a-body", disposed(b'; name="f"; filename=""'), Part("f", b"1", ""))
good("a-file-without-a-type", block(FILE), Part("f", b"1", "x.txt"))
good("all-256-bytes", block(FILE, bytes(range(256))), Part("f", bytes(range(256)), "x.txt"))
good("name-after-filename", disposed(b'; filename="x"; name="f"'), Part("f", b"1", "x"))
good("the-same-name-three-times", ONE * 3 + b"--b--", *[ONE_A] * 3)

# Delimiters: what is one

good("leading-crlf", b"\r\n--b" + REST, ONE_A)
good("padding-of-a-space", b"--b " + REST, ONE_A)
good(
    "padding-of-a-tab",
    b"--b\t\r\n" + A + b"\r\n\r\n1\r\n--b \t \r\n" + A + b"\r\n\r\n2\r\n--b--",
    ONE_A,
    Part("a", b"2"),
)
good("padding-of-64", b"--b" + b" \t" * 32 + REST, ONE_A)
malformed("padding-of-65", b"--b" + b" " * 65 + REST, "too much white space")
malformed("padding-of-66-and-no-more", b"--b" + b" " * 66, "too much white space")
malformed("padding-of-66-tabs", b"--b" + b"\t" * 66 + REST, "too much white space")
malformed(
    "inner-padding-of-65", ONE + b"--b" + b" " * 65 + b"\r\n" + A + b"\r\n\r\n2\r\n--b--", "too much white space", ONE_A
)
good("padding-after-the-close-delimiter", b"--b--  \t\r\n")
good("text-after-the-close-delimiter", b"--b--x")
malformed("padding-before-the-hyphens", b"--b --\r\n", "other text")
malformed("text-after-the-first-delimiter", b"--bx" + REST, "other text")
malformed("text-after-padding", b"--b  x" + REST, "other text")
malformed("one-hyphen-after-a-delimiter", b"--b-\r\n", "other text")
malformed("one-hyphen-after-a-delimiter-before-another", b"--b-\r\n\r\n--b--", "other text")
malformed("one-hyphen-after-an-inner-delimiter", ONE + b"--b-\r\n\r\n--b--", "other text", ONE_A)
malformed("one-hyphen-and-text", b"--b-x--\r\n", "other text")
malformed("a-longer-boundary", ONE + b"--bb--\r\n", "other text", ONE_A)
malformed("vertical-tab-as-padding", b"--b\v" + REST, "other text")
malformed("nul-as-padding", b"--b\0" + REST, "other text")

# Delimiters: what is none

malformed("lf-only", block(A).replace(b"\r\n", b"\n"), "other text")
malformed("cr-only", block(A).replace(b"\r\n", b"\r"), "other text")
malformed("lf-after-a-delimiter", b"--b\n" + A + b"\r\n\r\n1\r\n--b--", "other text")
malformed("cr-after-a-delimiter", b"--b\r" + A + b"\r\n\r\n1\r\n--b--", "other text")
malformed("two-crs-after-a-delimiter", b"--b\r" + REST, "other text")
truncated("lf-before-the-first-delimiter", b"\n--b--\r\n")
truncated("cr-before-the-first-delimiter", b"\r--b--\r\n")
truncated("text-before-the-first-delimiter", b"x--b--\r\n")
truncated("a-space-before-the-first-delimiter", b" --b--\r\n")
truncated("one-hyphen-before-the-boundary", b"-b--\r\n")
truncated("three-hyphens-before-the-boundary", b"---b--\r\n")
truncated("the-boundary-alone", b"b\r\n")
truncated("another-boundary", block(A).replace(b"--b", b"--c"))
truncated("a-boundary-in-another-case", block(A).replace(b"--b", b"--B"))
good("lf-before-a-delimiter-is-data", block(A, b"1\n--b\r\n2\n--b--"), Part("a", b"1\n--b\r\n2\n--b--"))
good("cr-before-a-delimiter-is-data", block(A, b"1\r--b--"), Part("a", b"1\r--b--"))
good("lf-cr-before-a-delimiter-is-data", block(A, b"1\n\r--b--"), Part("a", b"1\n\r--b--"))
good("no-line-end-before-a-delimiter-is-data", block(A, b"1--b--\r\nx"), Part("a", b"1--b--\r\nx"))
good("a-space-before-a-delimiter-is-data", block(A, b"1\r\n --b--"), Part("a", b"1\r\n --b--"))
good("one-hyphen-is-data", block(A, b"1\r\n-b--"), Part("a", b"1\r\n-b--"))
good("three-hyphens-are-data", block(A, b"1\r\n---b--"), Part("a", b"1\r\n---b--"))
good("a-boundary-in-another-case-is-data", block(A, b"1\r\n--B--"), Part("a", b"1\r\n--B--"))
good("data-of-line-ends", block(A, b"\r\n\r\n\n\r\r\r\n"), Part("a", b"\r\n\r\n\n\r\r\r\n"))
good("data-of-crs", block(A, b"\r" * 9), Part("a", b"\r" * 9))
good("data-that-ends-in-crlf", block(A, b"1\r\n"), Part("a", b"1\r\n"))
good("data-that-ends-in-cr", block(A, b"1\r"), Part("a", b"1\r"))
good("data-that-ends-in-half-a-delimiter", block(A, b"1\r\n--"), Part("a", b"1\r\n--"))
good("data-that-is-half-a-delimiter", block(A, b"--"), Part("a", b"--"))
good("data-that-begins-with-a-blank-line", block(A, b"\r\n\r\n1"), Part("a", b"\r\n\r\n1"))
good("data-that-looks-like-a-head", block(A, A + b"\r\n\r\n1"), Part("a", A + b"\r\n\r\n1"))

_LONG = b"Boundary'()+_,-./:=?9"
_DELIMITER = b"\r\n--" + _LONG
for _size in range(1, len(_DELIMITER)):
    _data = b"1" + _DELIMITER[:_size] + b"!" + _DELIMITER[:_size]
    good(
        f"a-delimiter's-first-{_size}-bytes-are-data",
        b"--" + _LONG + b"\r\n" + A + b"\r\n\r\n" + _data + _DELIMITER + b"--",
        Part("a", _data),
        boundary=_LONG,
    )
for _size in range(1, len(_DELIMITER) - 2):
    _data = _DELIMITER[2 : 2 + _size]
    good(
        f"data-that-is-{_size}-bytes-of-a-first-delimiter",
        b"--" + _LONG + b"\r\n" + A + b"\r\n\r\n" + _data + _DELIMITER + b"--",
        Part("a", _data),
        boundary=_LONG,
    )

# Boundaries that a search could stumble over

good(
    "a-boundary-of-hyphens",
    b"------\r\n" + A + b"\r\n\r\n1\r\n---\r\n-----\r\n--------",
    Part("a", b"1\r\n---\r\n-----"),
    boundary=b"----",
)
malformed(
    "a-boundary-of-hyphens-and-one-hyphen-more",
    b"------\r\n" + A + b"\r\n\r\n1\r\n-------x",
    "other text",
    ONE_A,
    boundary=b"----",
)
good("a-boundary-of-one-hyphen", b"---\r\n" + A + b"\r\n\r\n1\r\n--\r\n-----", Part("a", b"1\r\n--"), boundary=b"-")
good(
    "a-boundary-that-ends-in-hyphens",
    b"--b--\r\n" + A + b"\r\n\r\n1\r\n--b-\r\n--b----",
    Part("a", b"1\r\n--b-"),
    boundary=b"b--",
)
good(
    "a-boundary-with-a-space",
    b"--b c\r\n" + A + b"\r\n\r\n1\r\n--b\r\n--b c--",
    Part("a", b"1\r\n--b"),
    boundary=b"b c",
)
good(
    "a-boundary-of-dots",
    b"--...\r\n" + A + b"\r\n\r\n1\r\n--abc--\r\n--...--",
    Part("a", b"1\r\n--abc--"),
    boundary=b"...",
)
_70 = b"x" * 70
good(
    "a-boundary-of-70",
    b"--" + _70 + b"\r\n" + A + b"\r\n\r\n1\r\n--" + _70[1:] + b"\r\n--" + _70 + b"--",
    Part("a", b"1\r\n--" + _70[1:]),
    boundary=_70,
)
good(
    "a-boundary-that-repeats-itself",
    b"--abab\r\n" + A + b"\r\n\r\n\r\n--aba\r\n--ab\r\n--abab--",
    Part("a", b"\r\n--aba\r\n--ab"),
    boundary=b"abab",
)
good(
    "nested-multipart-is-opaque",
    block(
        b'Content-Disposition: form-data; name="files"\r\nContent-Type: multipart/mixed; boundary=c',
        b'--c\r\nContent-Disposition: file; filename="1"\r\n\r\none\r\n--c--\r\n',
    ),
    Part("files", b'--c\r\nContent-Disposition: file; filename="1"\r\n\r\none\r\n--c--\r\n', None, "multipart/mixed"),
)
malformed(
    "nested-multipart-whose-boundary-begins-with-ours",
    block(
        b'Content-Disposition: form-data; name="a"\r\nContent-Type: multipart/mixed; boundary=bc',
        b"\r\n--bc\r\n\r\n1\r\n--bc--",
    ),
    "other text",
    Part("a", b"", None, "multipart/mixed"),
)

# Empty forms, empty parts

good("empty-form", b"--b--")
good("empty-form-with-a-line-end", b"--b--\r\n")
good("empty-form-after-a-line-end", b"\r\n--b--\r\n")
truncated("nothing", b"")
truncated("a-line-end", b"\r\n")
truncated("a-delimiter-that-does-not-close", b"--b\r\n")
truncated("a-delimiter-without-a-line-end", b"--b")
truncated("a-delimiter-and-one-hyphen", b"--b-")
truncated("a-delimiter-and-padding", b"--b" + b" " * 65)
truncated("a-part-and-a-delimiter-that-does-not-close", ONE + b"--b", ONE_A)
truncated("a-part-that-does-not-end", ONE + b"--", Part("a", b"1", ended=False))
truncated("a-part-whose-body-may-be-a-delimiter", OPEN + b"--")
truncated("a-part-of-a-head", OPEN)
truncated("a-part-that-has-begun", OPEN + b"1", Part("a", b"1", ended=False))
truncated("a-part-that-has-begun-like-a-delimiter", OPEN + b"-1", Part("a", b"-1", ended=False))
good("empty-body", block(A, b""), Part("a"))
good("empty-body-no-line-end-of-its-own", OPEN + b"--b--", Part("a"))
good("three-heads-without-bodies", OPEN * 3 + b"--b--", *[Part("a")] * 3)
good("head-then-a-delimiter-with-padding", OPEN + b"--b \t" + REST, Part("a"), ONE_A)
good("file-head-then-delimiter", b"--b\r\n" + FILE + b"\r\n\r\n--b--", Part("f", b"", "x.txt"))
malformed("head-then-delimiter-without-an-empty-line", b"--b\r\n" + A + b"\r\n--b--", "do not end in an empty line")
malformed("a-part-without-a-head", b"--b\r\n\r\n1\r\n--b--", "no Content-Disposition")
malformed("a-part-without-a-head-and-without-an-end", b"--b\r\n\r\n1", "no Content-Disposition")
malformed("a-delimiter-straight-after-a-delimiter", b"--b\r\n--b--", "do not end in an empty line")
malformed("a-line-end-between-two-delimiters", b"--b\r\n\r\n--b--", "do not end in an empty line")
malformed("two-line-ends-between-two-delimiters", b"--b\r\n\r\n\r\n--b--", "no Content-Disposition")
malformed("padding-between-two-delimiters", b"--b \r\n--b--", "do not end in an empty line")
malformed("a-good-part-then-an-empty-one", ONE + b"--b\r\n\r\n2\r\n--b--", "no Content-Disposition", ONE_A)

# The header block

malformed("no-empty-line-after-the-head", b"--b\r\n" + A + b"\r\nbody\r\n--b--", "do not end in an empty line")
malformed("a-body-where-the-empty-line-should-be", b"--b\r\n" + A + b"\r\nbody\r\n\r\n--b--", "malformed header")
malformed("a-half-empty-line-after-the-head", b"--b\r\n" + A + b"\r\n\r\r\n--b--", "do not end in an empty line")
malformed("a-head-that-ends-in-lf", b"--b\r\n" + A + b"\n\n1\r\n--b--", "do not end in an empty line")
malformed("a-head-that-ends-in-crlf-lf", b"--b\r\n" + A + b"\r\n\n1\r\n--b--", "do not end in an empty line")
malformed("a-head-that-ends-in-lf-crlf", b"--b\r\n" + A + b"\n\r\n1\r\n--b--", "do not end in an empty line")
malformed("a-head-that-ends-in-crs", b"--b\r\n" + A + b"\r\r1\r\n--b--", "do not end in an empty line")
malformed(
    "a-delimiter-inside-a-header",
    b'--b\r\nContent-Disposition: form-data; name="\r\n--b\r\n"\r\n\r\n1\r\n--b--',
    "do not end in an empty line",
)
malformed("bare-lf-in-a-header", disposed(b'; name="a"\nX: 1'), "control characters")
malformed("bare-cr-in-a-header", disposed(b'; name="a"\rX: 1'), "control characters")
malformed("bare-lf-in-a-name", disposed(b'; name="a\nb"'), "control characters")
malformed("bare-cr-in-a-name", disposed(b'; name="a\rb"'), "control characters")
malformed("crlf-in-a-name", disposed(b'; name="a\r\nb"'), "malformed header")
malformed("nul-in-a-name", disposed(b'; name="a\0"'), "control characters")
malformed("nul-in-a-filename", disposed(b'; name="a"; filename="x.php\0.png"'), "control characters")
malformed("escape-in-a-filename", disposed(b'; name="a"; filename="\x1b[2J"'), "control characters")
malformed("del-in-a-filename", disposed(b'; name="a"; filename="a\x7fb"'), "control characters")
malformed("nul-in-another-header", block(A + b"\r\nX-Y: \0"), "control characters")
malformed("control-in-another-header", block(b"X-Y: \x01\r\n" + A), "control characters")
malformed("nul-in-a-header's-name", block(b"X\0: 1\r\n" + A), "malformed header")
malformed("folded-with-a-space", disposed(b';\r\n name="a"'), "malformed header")
malformed("folded-with-a-tab", disposed(b';\r\n\tname="a"'), "malformed header")
malformed("folded-content-type", block(A + b"\r\nContent-Type: text/plain;\r\n charset=utf-8"), "malformed header")
malformed("a-folded-first-line", block(b" " + A), "malformed header")
malformed("no-colon", block(A + b"\r\nX"), "malformed header")
malformed("a-space-before-the-colon", block(A.replace(b":", b" :")), "malformed header")
malformed("a-tab-before-the-colon", block(A + b"\r\nX\t: 1"), "malformed header")
malformed("a-header-without-a-name", block(A + b"\r\n: 1"), "malformed header")
malformed("an-8-bit-header-name", block(A + b"\r\nX-\xc3\xa9: 1"), "malformed header")
malformed("a-header-name-that-is-no-token", block(A + b"\r\nX(1): 1"), "malformed header")
malformed("a-header-name-in-quotes", block(b'"' + A.replace(b":", b'":')), "malformed header")
good("no-space-after-the-colon", block(b'Content-Disposition:form-data; name="a"'), ONE_A)
good("much-space-around-a-value", block(b'Content-Disposition: \t form-data; name="a" \t '), ONE_A)
good("a-header-in-lower-case", block(b'content-disposition: form-data; name="a"'), ONE_A)
good("a-header-in-upper-case", block(b'CONTENT-DISPOSITION: FORM-DATA; NAME="a"'), ONE_A)
good("an-8-bit-value", block(A + b"\r\nX-Y: \xc3\xa9\xff"), ONE_A)
good("a-tab-in-a-value", block(A + b"\r\nX-Y: 1\t2"), ONE_A)
good("a-header-without-a-value", block(A + b"\r\nX-Y:"), ONE_A)
good("another-header-twice", block(b"X-Y: 1\r\n" + A + b"\r\nX-Y: 2"), ONE_A)
good("a-content-length-that-lies", block(A + b"\r\nContent-Length: 99"), ONE_A)
good("a-content-length-that-is-no-number", block(FILE + b"\r\nContent-Length: x"), Part("f", b"1", "x.txt"))

# Content-Disposition

malformed("no-content-disposition", block(b"Content-Type: text/plain"), "no Content-Disposition")
malformed("two-content-dispositions", block(A + b"\r\n" + A), "more than one content-disposition")
malformed("two-content-dispositions-in-two-cases", block(A + b"\r\ncontent-disposition: attachment"), "more than one")
malformed("an-attachment", block(b'Content-Disposition: attachment; name="a"'), "not form-data")
malformed("an-empty-content-disposition", block(b"Content-Disposition:"), "not form-data")
malformed("form-data-and-more", block(b'Content-Disposition: form-data x; name="a"'), "not form-data")
malformed("form-data-in-quotes", block(b'Content-Disposition: "form-data"; name="a"'), "not form-data")
malformed("no-semicolon", disposed(b' name="a"'), "not form-data")
malformed("no-name", disposed(b""), "no name")
malformed("a-filename-without-a-name", disposed(b'; filename="x"'), "no name")
malformed("name-twice", disposed(b'; name="a"; name="a"'), "parameter twice")
malformed("name-twice-in-two-cases", disposed(b'; name="a"; NAME="b"'), "parameter twice")
malformed("filename-twice", disposed(b'; name="a"; filename="x.png"; filename="x.php"'), "parameter twice")
malformed("filename-twice-in-two-cases", disposed(b'; name="a"; filename="x.png"; FileName="x.php"'), "parameter twice")
malformed("filename*-twice", disposed(b"; name=a; filename*=utf-8''x; filename*=utf-8''y"), "parameter twice")
malformed("another-parameter-twice", disposed(b'; name="a"; size=1; size=1'), "parameter twice")
malformed("name*", disposed(b"; name*=utf-8''a"), "split or encoded")
malformed("name*-beside-name", disposed(b"; name=\"a\"; name*=utf-8''b"), "split or encoded")
malformed("name*0", disposed(b'; name*0="a"; name*1="b"'), "split or encoded")
malformed("filename*0", disposed(b'; name="a"; filename*0="x"; filename*1=".php"'), "split or encoded")
malformed("filename*0*", disposed(b"; name=\"a\"; filename*0*=utf-8''x"), "split or encoded")
malformed("filename*0-beside-filename", disposed(b'; name="a"; filename="x"; filename*0="y"'), "split or encoded")
malformed("filename**", disposed(b'; name="a"; filename**=x'), "split or encoded")
malformed("a-space-before-the-equals-sign", disposed(b'; name ="a"'), "malformed parameters")
malformed("a-space-after-the-equals-sign", disposed(b'; name= "a"'), "malformed parameters")
malformed("a-parameter-without-a-value", disposed(b'; name="a"; filename'), "malformed parameters")
malformed("a-parameter-with-nothing-after-the-equals-sign", disposed(b"; name="), "malformed parameters")
malformed("a-quote-that-does-not-end", disposed(b'; name="a'), "malformed parameters")
malformed("a-quote-that-does-not-begin", disposed(b'; name=a"'), "malformed parameters")
malformed("a-single-quote-sign", disposed(b'; name="'), "malformed parameters")
malformed("text-after-a-quote", disposed(b'; name="a"b'), "malformed parameters")
malformed("a-raw-quote-in-a-filename", disposed(b'; name="a"; filename="x"y.txt"'), "malformed parameters")
malformed("two-semicolons", disposed(b'; ; name="a"'), "malformed parameters")
malformed("a-comma", disposed(b', name="a"').replace(b"form-data,", b"form-data ;,"), "malformed parameters")
malformed("a-value-of-two-tokens", disposed(b"; name=a b"), "malformed parameters")
malformed("an-8-bit-token", disposed(b"; name=\xc3\xa9"), "malformed parameters")
malformed("an-8-bit-parameter-name", disposed(b'; name="a"; \xc3\xa9="1"'), "malformed parameters")
malformed("no-semicolon-between-parameters", disposed(b'; name="a" filename="x"'), "malformed parameters")
good("a-token-for-a-name", disposed(b"; name=a-b_c.d"), Part("a-b_c.d", b"1"))
good("tokens-for-both", disposed(b"; name=a; filename=x.txt"), Part("a", b"1", "x.txt"))
good("no-spaces", disposed(b';name="a";filename="x"'), Part("a", b"1", "x"))
good("much-space", disposed(b' \t; \t name="a" \t ; filename="x" '), Part("a", b"1", "x"))
good("a-semicolon-at-the-end", disposed(b'; name="a";'), ONE_A)
good("another-parameter", disposed(b'; name="a"; size=3; creation-date="Wed"'), ONE_A)
good("an-empty-name", disposed(b'; name=""'), Part("", b"1"))
good("a-name-of-a-space", disposed(b'; name=" "'), Part(" ", b"1"))
good("a-semicolon-in-a-name", disposed(b'; name="a; filename=x"'), Part("a; filename=x", b"1"))
good("an-equals-sign-in-a-filename", disposed(b'; name="a"; filename="x=y;z.txt"'), Part("a", b"1", "x=y;z.txt"))
good("a-name-with-brackets", disposed(b'; name="user[tags][]"'), Part("user[tags][]", b"1"))
good("a-path-for-a-filename", disposed(b'; name="a"; filename="../../etc/passwd"'), Part("a", b"1", "../../etc/passwd"))

# filename*

good("filename*", disposed(b"; name=\"a\"; filename*=UTF-8''n%C3%A4me.txt"), Part("a", b"1", "n\u00e4me.txt"))
good("filename*-with-a-language", disposed(b"; name=\"a\"; filename*=utf-8'de'n%c3%a4me"), Part("a", b"1", "n\u00e4me"))
good("filename*-in-latin-1", disposed(b"; name=\"a\"; filename*=ISO-8859-1''n%E4me"), Part("a", b"1", "n\u00e4me"))
good("filename*-in-upper-case", disposed(b"; name=\"a\"; FILENAME*=utf-8''x"), Part("a", b"1", "x"))
good("filename*-of-nothing", disposed(b"; name=\"a\"; filename*=utf-8''"), Part("a", b"1", ""))
good("filename*-that-is-no-utf-8", disposed(b"; name=\"a\"; filename*=utf-8''x%FF"), Part("a", b"1", "x\ufffd"))
good("filename-before-filename*", disposed(b'; name="a"; filename="x"; filename*=utf-8\'\'y'), Part("a", b"1", "x"))
good("filename-after-filename*", disposed(b'; name="a"; filename*=utf-8\'\'y; filename="x"'), Part("a", b"1", "x"))
good(
    "an-empty-filename-beside-filename*",
    disposed(b'; name="a"; filename=""; filename*=utf-8\'\'y'),
    Part("a", b"1", ""),
)
malformed("filename*-in-another-charset", disposed(b"; name=\"a\"; filename*=utf-16''x"), "malformed filename*")
malformed("filename*-in-no-charset", disposed(b"; name=\"a\"; filename*=''x"), "malformed filename*")
malformed("filename*-without-its-quotes", disposed(b'; name="a"; filename*=x'), "malformed filename*")
malformed("filename*-with-one-quote", disposed(b'; name="a"; filename*=utf-8\'x'), "malformed filename*")
malformed("filename*-with-nul", disposed(b"; name=\"a\"; filename*=utf-8''x%00.png"), "control characters")
malformed("filename*-with-crlf", disposed(b"; name=\"a\"; filename*=utf-8''x%0D%0Ay"), "control characters")
malformed("filename*-with-del", disposed(b"; name=\"a\"; filename*=iso-8859-1''%7F"), "control characters")

# UTF-8 and escapes

good("a-utf-8-name", disposed('; name="gr\u00f6\u00dfe\U0001f600"'.encode()), Part("gr\u00f6\u00dfe\U0001f600", b"1"))
good(
    "a-utf-8-filename",
    disposed('; name="a"; filename="\u043e\u0442\u0447\u0451\u0442.pdf"'.encode()),
    Part("a", b"1", "\u043e\u0442\u0447\u0451\u0442.pdf"),
)
good("a-byte-order-mark-in-a-name", disposed(b'; name="\xef\xbb\xbfa"'), Part("\ufeffa", b"1"))
for _road, _more in (("", b""), ("-on-the-slow-road", b"; x=1")):
    malformed(f"a-latin-1-name{_road}", disposed(b'; name="gr\xf6\xdfe"' + _more), "name is not UTF-8")
    malformed(f"an-overlong-name{_road}", disposed(b'; name="a\xc0\x80"' + _more), "name is not UTF-8")
    malformed(f"a-surrogate-in-a-name{_road}", disposed(b'; name="a\xed\xa0\x80"' + _more), "name is not UTF-8")
    malformed(f"half-a-character-in-a-name{_road}", disposed(b'; name="a\xe2\x82"' + _more), "name is not UTF-8")
    good(
        f"a-latin-1-filename{_road}",
        disposed(b'; name="a"; filename="gr\xf6\xdfe"' + _more),
        Part("a", b"1", "gr\ufffd\ufffde"),
    )
    good(
        f"an-overlong-filename{_road}",
        disposed(b'; name="a"; filename="\xc0\x80"' + _more),
        Part("a", b"1", "\ufffd\ufffd"),
    )
    good(
        f"half-a-character-in-a-filename{_road}",
        disposed(b'; name="a"; filename="\xe2\x82"' + _more),
        Part("a", b"1", "\ufffd"),
    )
good("a-tab-in-a-name", disposed(b'; name="a\tb"'), Part("a\tb", b"1"))
good("an-escaped-quote", disposed(b'; name="a\\"b"; filename="x\\"y.txt"'), Part('a"b', b"1", 'x"y.txt'))
good("an-escaped-backslash", disposed(b'; name="a"; filename="x\\\\y.txt"'), Part("a", b"1", "x\\y.txt"))
good("a-backslash-before-another-character", disposed(b'; name="a"; filename="\\x\\n"'), Part("a", b"1", "\\x\\n"))
good("a-windows-path", disposed(b'; name="a"; filename="C:\\new\\x"'), Part("a", b"1", "C:\\new\\x"))
good(
    "a-windows-path-that-ends-in-a-backslash",
    disposed(b'; name="a"; filename="C:\\new\\"'),
    Part("a", b"1", "C:\\new\\"),
)
good("a-backslash-before-the-last-quote", disposed(b'; name="a\\"; filename="x.txt"'), Part("a\\", b"1", "x.txt"))
good("two-backslashes-before-the-last-quote", disposed(b'; name="a\\\\"; filename="x.txt"'), Part("a\\", b"1", "x.txt"))
good("three-backslashes-before-a-quote", disposed(b'; name="a\\\\\\"b"'), Part('a\\"b', b"1"))
good("a-quote-as-browsers-send-it", disposed(b'; name="a%22b"; filename="x%22.txt"'), Part('a"b', b"1", 'x".txt'))
good(
    "line-ends-as-browsers-send-them",
    disposed(b'; name="a%0D%0Ab"; filename="x%0d%0Ay"'),
    Part("a%0D%0Ab", b"1", "x%0d%0Ay"),
)
good(
    "other-escapes-stay",
    disposed(b'; name="100%25%00%2F"; filename="%2e%2e%2f"'),
    Part("100%25%00%2F", b"1", "%2e%2e%2f"),
)
good("a-percent-sign-alone", disposed(b'; name="100%"; filename="%2"'), Part("100%", b"1", "%2"))

# Content-Type, Content-Transfer-Encoding and charset of a part

good("a-type-is-lower-cased", block(FILE + b"\r\nContent-Type: IMAGE/PNG"), Part("f", b"1", "x.txt", "image/png"))
good(
    "a-type-loses-its-parameters",
    block(FILE + b'\r\nContent-Type: text/html ; charset="x"; a=b'),
    Part("f", b"1", "x.txt", "text/html"),
)
good("a-type-before-the-disposition", block(b"Content-Type: text/csv\r\n" + FILE), Part("f", b"1", "x.txt", "text/csv"))
good("an-empty-type", block(FILE + b"\r\nContent-Type: "), Part("f", b"1", "x.txt"))
good("a-type-that-is-none", block(FILE + b"\r\nContent-Type: image"), Part("f", b"1", "x.txt"))
good("two-types-in-one-header", block(FILE + b"\r\nContent-Type: image/png, text/html"), Part("f", b"1", "x.txt"))
good("an-8-bit-type", block(FILE + b"\r\nContent-Type: image/\xc3\xa9"), Part("f", b"1", "x.txt"))
good(
    "a-type-with-broken-parameters-on-a-file",
    block(FILE + b"\r\nContent-Type: image/png; ="),
    Part("f", b"1", "x.txt", "image/png"),
)
malformed(
    "two-content-types",
    block(FILE + b"\r\nContent-Type: image/png\r\nContent-type: text/html"),
    "more than one content-type",
)
malformed(
    "a-type-with-broken-parameters-on-a-text",
    block(A + b"\r\nContent-Type: text/plain; charset"),
    "malformed parameters",
)
malformed(
    "two-charsets", block(A + b"\r\nContent-Type: text/plain; charset=utf-8; Charset=us-ascii"), "parameter twice"
)
for _encoding in (b"7bit", b"8bit", b"binary", b"BINARY"):
    good(f"encoding-{_encoding.decode()}", block(A + b"\r\nContent-Transfer-Encoding: " + _encoding), ONE_A)
for _encoding in (b"base64", b"Base64", b"quoted-printable", b"x-uuencode", b"gzip", b""):
    bad(
        f"encoding-{_encoding.decode() or 'of-nothing'}",
        block(FILE + b"\r\nContent-Transfer-Encoding: " + _encoding),
        UnsupportedMediaType,
        "Content-Transfer-Encoding",
    )
malformed(
    "two-encodings", block(A + (b"\r\nContent-Transfer-Encoding: 7bit") * 2), "more than one content-transfer-encoding"
)
for _charset, _codec in (
    ("utf-8", "utf-8"),
    ("UTF-8", "utf-8"),
    ('"utf-8"', "utf-8"),
    ("utf8", "utf-8"),
    ("us-ascii", "ascii"),
    ("ISO-8859-1", "latin-1"),
    ("windows-1252", "cp1252"),
):
    good(
        f"charset-{_charset}",
        block(A + b"\r\nContent-Type: text/plain; charset=" + _charset.encode()),
        Part("a", b"1", None, "text/plain", _codec),
    )
for _charset in ("utf-16", "utf-7", "shift_jis", "x", '""', "rot13", "unicode_escape"):
    bad(
        f"charset-{_charset}",
        block(A + b"\r\nContent-Type: text/plain;charset=" + _charset.encode()),
        UnsupportedMediaType,
        "charset",
    )
good(
    "a-charset-of-a-file-is-its-own-affair",
    block(FILE + b"\r\nContent-Type: text/plain; charset=utf-16"),
    Part("f", b"1", "x.txt", "text/plain"),
)
good(
    "a-text-of-a-type",
    block(A + b"\r\nContent-Type: application/json", b"{}"),
    Part("a", b"{}", None, "application/json"),
)
good("a-text-of-an-unreadable-type", block(A + b"\r\nContent-Type: ; charset=utf-16"), ONE_A)
good(
    "a-_charset_-field-changes-nothing",
    b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\niso-8859-1\r\n--b\r\n'
    + A
    + b"\r\n\r\n\xe4\r\n--b--",
    Part("_charset_", b"iso-8859-1"),
    Part("a", b"\xe4"),
)

# Limits: exactly reached, and exceeded by one

_HEAD = b"X: 1\r\n" + A
_HEAD_SIZE = len(_HEAD) + 2  # every line with its line end
for _kind, _body, _parts in (
    ("", block(_HEAD), (ONE_A,)),
    ("-with-padding", block(_HEAD).replace(b"--b\r\n", b"--b" + b" " * 64 + b"\r\n"), (ONE_A,)),
    ("-with-padding-and-without-a-body", b"--b" + b" " * 64 + b"\r\n" + _HEAD + b"\r\n\r\n--b--", (Part("a"),)),
    ("-without-a-body", b"--b\r\n" + _HEAD + b"\r\n\r\n--b--", (Part("a"),)),
    (
        "-without-a-body-before-a-part",
        b"--b\r\n" + _HEAD + b"\r\n\r\n--b\r\n" + A + b"\r\n\r\n2\r\n--b--",
        (Part("a"), Part("a", b"2")),
    ),
):
    good(f"header-size-reached{_kind}", _body, *_parts, limits=Limits(header_size=_HEAD_SIZE))
    exceeded(f"header-size-exceeded{_kind}", _body, header_size=_HEAD_SIZE - 1)
good("header-size-reached-on-the-fast-road", block(A), ONE_A, limits=Limits(header_size=len(A) + 2))
exceeded("header-size-exceeded-on-the-fast-road", block(A), header_size=len(A) + 1)
# While a block has no end, its last bytes may be those of a delimiter and do not count yet: four of them here.
for _kind, _line in (("", b"--b\r\nX:"), ("-with-padding", b"--b" + b" " * 64 + b"\r\nX:")):
    _block = _line + b"x" * (64 - len(b"\r\nX:"))
    bad(
        f"no-empty-line-and-header-size-reached{_kind}",
        _block + b"\r\n--b--",
        MalformedForm,
        "empty line",
        limits=Limits(header_size=64),
    )
    exceeded(f"no-empty-line-and-header-size-exceeded{_kind}", _block + b"x\r\n--b--", header_size=64)
    bad(
        f"no-end-and-header-size-reached{_kind}",
        _block + b"xxxx",
        TruncatedForm,
        "ended",
        limits=Limits(header_size=64),
    )
    exceeded(f"no-end-and-header-size-exceeded{_kind}", _block + b"xxxxx", header_size=64)
exceeded("header-size-exceeded-by-a-block-without-an-end", b"--b\r\nX: " + b"x" * 99, header_size=64)
exceeded("header-size-exceeded-before-it-is-seen-to-be-malformed", block(b"x" * 99), header_size=64)
exceeded("header-size-is-per-part", ONE + b"--b\r\nX: 1\r\n" + A + b"\r\n\r\n2\r\n--b--", ONE_A, header_size=len(A) + 2)
good("header-size-is-not-counted-over-parts", ONE * 4 + b"--b--", *[ONE_A] * 4, limits=Limits(header_size=len(A) + 2))
good("no-header-size", block(A + b"\r\nX: " + b"x" * 999), ONE_A, limits=Limits(header_size=None))
good("header-count-reached", block(b"X: 1\r\n" * 3 + A), ONE_A, limits=Limits(header_count=4))
exceeded("header-count-exceeded", block(b"X: 1\r\n" * 4 + A), header_count=4)
good("header-count-reached-on-the-fast-road", block(A), ONE_A, limits=Limits(header_count=1))
exceeded("header-count-exceeded-on-the-fast-road", block(A + b"\r\nContent-Type: text/plain"), header_count=1)
exceeded("a-header-count-of-none-at-all", block(A), header_count=0)
good("no-header-count", block(b"X: 1\r\n" * 40 + A), ONE_A, limits=Limits(header_count=None))
for _road, _more in (("", b""), ("-on-the-slow-road", b"; x=1")):
    _name = disposed('; name="a\u20ac\u00e4"'.encode() + _more)  # 1 + 3 + 2 bytes
    good(f"name-size-reached{_road}", _name, Part("a\u20ac\u00e4", b"1"), limits=Limits(field_name_size=6))
    exceeded(f"name-size-exceeded{_road}", _name, field_name_size=5)
    _file = disposed('; name="a"; filename="a\u20ac\u00e4"'.encode() + _more)
    good(f"filename-size-reached{_road}", _file, Part("a", b"1", "a\u20ac\u00e4"), limits=Limits(filename_size=6))
    exceeded(f"filename-size-exceeded{_road}", _file, filename_size=5)
good(
    "no-name-size",
    disposed(b'; name="' + b"a" * 2000 + b'"'),
    Part("a" * 2000, b"1"),
    limits=Limits(field_name_size=None),
)
good(
    "a-name-is-measured-after-its-escapes",
    disposed(b'; name="%22%22%22"'),
    Part('"""', b"1"),
    limits=Limits(field_name_size=3),
)
_emoji = disposed('; name="\U0001f600\U0001f600"'.encode())
good("name-size-reached-in-emoji", _emoji, Part("\U0001f600\U0001f600", b"1"), limits=Limits(field_name_size=8))
exceeded("name-size-exceeded-in-emoji", _emoji, field_name_size=7)
exceeded("a-filename*-is-measured", disposed(b"; name=a; filename*=utf-8''%41%42%43"), filename_size=2)
exceeded("a-name-of-a-size-of-none-at-all", disposed(b'; name="a"'), field_name_size=0)
exceeded("a-name-too-long-after-a-good-part", ONE + disposed(b'; name="ab"'), ONE_A, field_name_size=1)

good("a-preamble", b"preamble\r\n--b--")
good("a-preamble-of-lines", b"a\r\n\r\n\nb\r\r\n--b--")
good("a-preamble-of-half-a-delimiter", b"\r\n--\r\n--b--")
good("a-preamble-with-a-part-of-another-boundary", block(A).replace(b"--b", b"--c") + b"\r\n--b--")
good("preamble-size-reached", b"12345678\r\n--b--", limits=Limits(preamble_size=8))
exceeded("preamble-size-exceeded", b"123456789\r\n--b--", preamble_size=8)
exceeded("preamble-size-exceeded-without-a-delimiter", b"123456789", preamble_size=8)
bad("preamble-size-reached-without-a-delimiter", b"12345678", TruncatedForm, "ended", limits=Limits(preamble_size=8))
bad(
    "preamble-size-reached-and-half-a-delimiter",
    b"12345678\r\n--",
    TruncatedForm,
    "ended",
    limits=Limits(preamble_size=8),
)
exceeded("preamble-size-exceeded-by-what-was-half-a-delimiter", b"12345678\r\n--c", preamble_size=8)
good("a-preamble-of-line-ends-reached", b"\r\n\r\n\r\n--b--", limits=Limits(preamble_size=4))
exceeded("a-preamble-of-line-ends-exceeded", b"\r\n\r\n\r\n--b--", preamble_size=3)
good("no-preamble-allowed-and-none-there", b"--b--", limits=Limits(preamble_size=0))
good("no-preamble-allowed-and-a-line-end-there", b"\r\n--b--", limits=Limits(preamble_size=0))
exceeded("no-preamble-allowed-and-one-there", b"x\r\n--b--", preamble_size=0)
good("an-epilogue", b"--b--\r\nepilogue")
good("an-epilogue-with-delimiters", block(A) + OPEN + b"2\r\n--b--\r\n", ONE_A)
good("epilogue-size-reached", b"--b--12345678", limits=Limits(epilogue_size=8))
exceeded("epilogue-size-exceeded", b"--b--123456789", epilogue_size=8, form_ended=True)
good("epilogue-size-reached-by-delimiters", b"--b--\r\n--b--", limits=Limits(epilogue_size=7))
exceeded(
    "epilogue-size-exceeded-by-delimiters", ONE + b"--b--\r\n--b\r\n--b--", ONE_A, epilogue_size=11, form_ended=True
)
good("no-epilogue-allowed-and-none-there", b"--b--", limits=Limits(epilogue_size=0))
good("no-epilogue-size", b"--b--" + b"\r\n--b" * 200, limits=Limits(epilogue_size=None))
good("no-preamble-size", b"\r\n--" * 200 + b"\r\n--b--", limits=Limits(preamble_size=None))

# The boundary in the request's Content-Type

BOUNDARIES = {
    "a-token": ("multipart/form-data; boundary=abc", b"abc"),
    "in-quotes": ('multipart/form-data; boundary="abc"', b"abc"),
    "in-quotes-with-a-space": ('multipart/form-data; boundary="a b c"', b"a b c"),
    "in-quotes-with-a-semicolon-elsewhere": ('multipart/form-data; x="; boundary=no"; boundary=abc', b"abc"),
    "the-whole-alphabet-unquoted": ("multipart/form-data; boundary=09azAZ'()+_,-./:=?", b"09azAZ'()+_,-./:=?"),
    "the-whole-alphabet-quoted": ('multipart/form-data; boundary="09azAZ\'()+_,-./:=? x"', b"09azAZ'()+_,-./:=? x"),
    "an-equals-sign-first": ("multipart/form-data; boundary==abc", b"=abc"),
    "a-space-inside-unquoted": ("multipart/form-data; boundary=a b", b"a b"),
    "one-character": ("multipart/form-data; boundary=x", b"x"),
    "two-of-which-the-second-is-a-prefix": ("multipart/form-data; boundary=aa", b"aa"),
    "70-characters": ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
    "80-characters": ("multipart/form-data; boundary=" + "x" * 80, b"x" * 80),
    "70-characters-in-quotes": ('multipart/form-data; boundary="' + "x" * 70 + '"', b"x" * 70),
    "a-media-type-in-upper-case": ("MULTIPART/Form-Data; BOUNDARY=AbC", b"AbC"),
    "no-spaces": ("multipart/form-data;boundary=abc", b"abc"),
    "no-spaces-in-quotes": ('multipart/form-data;boundary="abc"', b"abc"),
    "no-spaces-after-quotes": ('multipart/form-data;x="";boundary=abc', b"abc"),
    "in-quotes-before-a-charset": ('multipart/form-data; boundary="abc"; charset=utf-8', b"abc"),
    "in-quotes-between-others": ('multipart/form-data;x=";";boundary="abc";y=";boundary=d"', b"abc"),
    "much-space": ("  multipart/form-data \t;\t boundary=abc \t ", b"abc"),
    "a-semicolon-at-the-end": ("multipart/form-data; boundary=abc;", b"abc"),
    "a-charset-before": ("multipart/form-data; charset=utf-8; boundary=abc", b"abc"),
    "a-charset-after": ("multipart/form-data; boundary=abc; charset=utf-8", b"abc"),
    "another-parameter-that-ends-in-boundary": ("multipart/form-data; xboundary=no; boundary=abc", b"abc"),
    "of-a-browser": ("multipart/form-data; boundary=----WebKitFormBoundaryZu0gW", b"----WebKitFormBoundaryZu0gW"),
    "of-hyphens": ("multipart/form-data; boundary=------", b"------"),
    "dots-are-dots": ("multipart/form-data; boundary=a.c", b"a.c"),
    "with-a-plus-sign": ("multipart/form-data; boundary=(a+)+?", b"(a+)+?"),
}

_MISSING = (MalformedForm, "no boundary")
_TWICE = (MalformedForm, "more than one boundary")
_SPLIT = (MalformedForm, "split or encoded")
_ALPHABET = (MalformedForm, "not one of RFC 2046")
_CHARACTERS = (MalformedForm, "characters that no header may have")
_TYPE = (UnsupportedMediaType, "is not multipart/form-data")

BAD_CONTENT_TYPES: dict[str, tuple[str | None, type[SenderError], str]] = {
    "none": (None, *_TYPE),
    "nothing": ("", *_TYPE),
    "of-json": ("application/json", *_TYPE),
    "of-a-urlencoded-form": ("application/x-www-form-urlencoded", *_TYPE),
    "of-multipart-mixed": ("multipart/mixed; boundary=b", *_TYPE),
    "that-only-begins-like-it": ("multipart/form-data-x; boundary=b", *_TYPE),
    "that-only-ends-like-it": ("xmultipart/form-data; boundary=b", *_TYPE),
    "with-text-before-the-semicolon": ("multipart/form-data x; boundary=b", *_TYPE),
    "with-a-comma": ("multipart/form-data, boundary=b", *_TYPE),
    "with-a-space-inside": ("multipart / form-data; boundary=b", *_TYPE),
    "without-a-boundary": ("multipart/form-data", *_MISSING),
    "without-a-boundary-after-a-semicolon": ("multipart/form-data;", *_MISSING),
    "with-another-parameter-alone": ("multipart/form-data; charset=utf-8", *_MISSING),
    "with-a-boundary-without-a-value": ("multipart/form-data; boundary", *_MISSING),
    "with-a-boundary-inside-quotes": ('multipart/form-data; x="; boundary=b"', *_MISSING),
    "with-a-boundary-after-an-open-quote": ('multipart/form-data; x="; boundary=b', *_MISSING),
    "with-two-boundaries": ("multipart/form-data; boundary=b; boundary=c", *_TWICE),
    "with-two-boundaries-in-quotes": ('multipart/form-data; boundary="b"; boundary="c"', *_TWICE),
    "with-two-boundaries-one-in-quotes": ('multipart/form-data; boundary="b"; boundary=b', *_TWICE),
    "with-a-boundary-in-quotes-and-boundary*": ("multipart/form-data; boundary=\"b\"; boundary*=utf-8''b", *_SPLIT),
    "with-two-equal-boundaries": ("multipart/form-data; boundary=b; boundary=b", *_TWICE),
    "with-two-boundaries-in-two-cases": ("multipart/form-data; boundary=b; Boundary=c", *_TWICE),
    "joined-from-two-headers": ("multipart/form-data; boundary=b, multipart/form-data; boundary=c", *_TWICE),
    "with-boundary*": ("multipart/form-data; boundary*=utf-8''b", *_SPLIT),
    "with-boundary*-beside-boundary": ("multipart/form-data; boundary=b; boundary*=utf-8''c", *_SPLIT),
    "with-boundary*0": ("multipart/form-data; boundary*0=b; boundary*1=c", *_SPLIT),
    "with-BOUNDARY*0": ("multipart/form-data; BOUNDARY*0=b", *_SPLIT),
    "with-a-boundary-of-nothing": ("multipart/form-data; boundary=", *_ALPHABET),
    "with-a-boundary-of-empty-quotes": ('multipart/form-data; boundary=""', *_ALPHABET),
    "with-a-boundary-of-81": ("multipart/form-data; boundary=" + "x" * 81, *_ALPHABET),
    "with-a-boundary-of-a-space": ('multipart/form-data; boundary=" "', *_ALPHABET),
    "with-a-boundary-that-ends-in-a-space": ('multipart/form-data; boundary="b "', *_ALPHABET),
    "with-half-a-quote-before": ('multipart/form-data; boundary="b', *_ALPHABET),
    "with-half-a-quote-after": ('multipart/form-data; boundary=b"', *_ALPHABET),
    "with-text-after-a-quote": ('multipart/form-data; boundary="b"c', *_ALPHABET),
    "with-quotes-inside-quotes": ('multipart/form-data; boundary=""b""', *_ALPHABET),
    "with-a-tab-in-the-boundary": ('multipart/form-data; boundary="a\tb"', *_ALPHABET),
    "with-a-backslash": ('multipart/form-data; boundary="a\\b"', MalformedForm, "backslash"),
    "with-an-escaped-quote-elsewhere": ('multipart/form-data; x="\\"; boundary=b', MalformedForm, "backslash"),
    "with-nul": ("multipart/form-data; boundary=b\0", *_CHARACTERS),
    "with-cr": ("multipart/form-data; boundary=b\r", *_CHARACTERS),
    "with-lf": ("multipart/form-data; boundary=b\n", *_CHARACTERS),
    "with-a-folded-line": ("multipart/form-data;\r\n boundary=b", *_CHARACTERS),
    "with-del": ("multipart/form-data; boundary=b\x7f", *_CHARACTERS),
    "with-latin-1": ("multipart/form-data; boundary=\xe4", *_CHARACTERS),
    "with-latin-1-elsewhere": ("multipart/form-data; boundary=b; x=\xe4", *_CHARACTERS),
    "with-a-no-break-space": ("multipart/form-data;\xa0boundary=b", *_CHARACTERS),
    "with-a-surrogate": ("multipart/form-data; boundary=\udce4", *_CHARACTERS),
    **{
        f"with-{character}-in-the-boundary": (f'multipart/form-data; boundary="a{character}b"', *_ALPHABET)
        for character in "!#$%&*@[]^`{|}~<>"
    },
}
