"""The reader of header blocks, and of a request's Content-Type: one meaning or a `SenderError`, by the short road and
by the long one."""

from __future__ import annotations

import codecs
import re

from tests.multipart.cases import CASES
from tests.multipart.promises import PIECES, check_order

from uploadkit.errors import SenderError
from uploadkit.multipart.events import PART_END, PartBegin
from uploadkit.multipart.headers import boundary_of, check_form_charset, media_type, read_common_head, read_head
from uploadkit.policy.limits import Limits

from .choices import Choices

UNLIMITED = Limits(header_count=None, field_name_size=None, filename_size=None)
LIMITS = (UNLIMITED, Limits(), Limits(header_count=1, field_name_size=2, filename_size=2))

WORDS = (*PIECES, b"\r\nContent-Type: ", b"text/plain", b"boundary=", b"boundary*0=", b"form-data", b"iso-8859-1''")
SEEDS = (
    *(b"\0\r\n" + head for case in CASES for head in re.findall(rb"--b\r\n(.+?)\r\n\r\n", case.body, re.DOTALL)),
    b'\0\r\nmultipart/form-data; charset="a;b"; boundary="b"',
    b"\0application/x-www-form-urlencoded; charset=utf-8",
)


def check(data: bytes) -> None:
    """Limits, and a text that is read as a header block and as a Content-Type."""
    choices = Choices(data)
    limits, head = choices.of(LIMITS), choices.rest()
    check_head(head, limits)
    check_content_type(head.decode("latin-1"))


def check_head(head: bytes, limits: Limits) -> None:
    """A header block means one thing, in whichever order its lines stand, or is refused."""
    common = read_common_head(head)
    try:
        begin = read_head(head, limits)
    except SenderError:
        assert common is None or limits is not UNLIMITED
        return
    check_order((begin, PART_END), complete=False)
    codecs.lookup(begin.charset)
    assert isinstance(hash(begin), int)
    if common is not None:
        assert begin == common
        assert begin == by_the_long_road(head)


def by_the_long_road(head: bytes) -> PartBegin:
    """What the full reader gives for a block as browsers send it: tabs for spaces bring it there, and mean the same."""
    begin = read_head(re.sub(rb"\r\n([^:]+): ", rb"\r\n\1:\t", head), UNLIMITED)
    assert read_common_head(head.replace(b": ", b":\t", 1)) is None
    return begin


def check_content_type(content_type: str) -> None:
    """A Content-Type is read or refused, and what is taken for its boundary stands in it."""
    for read in (media_type, check_form_charset):
        try:
            read(content_type)
        except SenderError:
            continue
    try:
        boundary = boundary_of(content_type)
    except SenderError:
        return
    assert 1 <= len(boundary) <= 70
    assert boundary.decode() in content_type
