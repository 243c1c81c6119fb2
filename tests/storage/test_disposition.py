"""Content-Disposition: what parsers of others make of it, whatever a file is called."""

from __future__ import annotations

import re
from email.message import Message
from email.parser import HeaderParser
from importlib.util import find_spec

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uploadkit.policy.filenames import safe_filename
from uploadkit.storage.disposition import content_disposition

# What a header's parser may trip over, beside every character that there is.
PIECES = (
    '"',
    "\\",
    "\r\n",
    "\n",
    "\0",
    ";",
    "=",
    "%22",
    "%",
    "*",
    "'",
    "UTF-8''",
    "/",
    "é",
    "é",
    "😀",
    "\ud800",
    " ",
    "\uff0e",
)
names = st.text(max_size=40) | st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)

one_line = re.compile(
    r"""(?:inline|attachment)
        (?:;[ ]filename="[\x20\x21\x23-\x5b\x5d-\x7e]+"
           (?:;[ ]filename\*=UTF-8''[A-Za-z0-9!#$&+.^_`|~%-]+)?)?""",
    re.VERBOSE,
).fullmatch

NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\ud800-\udfff]")

with_werkzeug = pytest.mark.skipif(find_spec("werkzeug") is None, reason="it comes with Flask")

HOSTILE = 'a"; filename="b.exe"\r\nSet-Cookie: a=b\r\n\r\n<script>'


@with_werkzeug
@given(name=names, inline=st.booleans())
@example(name=HOSTILE, inline=False)
def test_werkzeug_reads_the_name_that_was_meant(name: str, inline: bool) -> None:
    """Every name comes back as it is, but for what no file's name may have."""
    from werkzeug import http

    kind, parameters = http.parse_options_header(content_disposition(name, inline=inline))
    assert kind == ("inline" if inline else "attachment")
    assert parameters == ({"filename": NO_NAME.sub("_", name)} if name else {})


@given(name=names)
@example(name=HOSTILE)
def test_the_parser_of_email_reads_the_name_that_was_meant(name: str) -> None:
    """`filename*` is the whole name, and `filename` stands first, for those who know no other."""
    value = content_disposition(name)
    message = parsed(value)
    fallback = message.get_filename()
    if "filename*" not in value:
        assert (fallback or "") == NO_NAME.sub("_", name).strip()  # `email` strips what it returns
        return
    assert fallback is not None
    assert re.fullmatch(r"[\x20\x21\x23\x24\x26-\x2e\x30-\x5b\x5d-\x7e]*", fallback)
    alone = re.sub(r' filename="[^"]*";', "", value)
    assert parsed(alone).get_filename() == NO_NAME.sub("_", name).strip()


@given(name=names, inline=st.booleans())
@example(name=HOSTILE, inline=False)
def test_no_name_writes_a_header(name: str, inline: bool) -> None:
    """The value is one line of printable ASCII, which has the one name and its encoded twin and nothing else."""
    value = content_disposition(name, inline=inline)
    assert one_line(value)
    assert [*parsed(value)] == ["Content-Disposition"]


@with_werkzeug
@given(name=st.text(max_size=60))
def test_a_safe_name_comes_back_as_it_is(name: str) -> None:
    """What the library shows is what a browser saves."""
    try:
        safe = safe_filename(name)
    except ValueError:
        return
    from werkzeug import http

    assert http.parse_options_header(content_disposition(safe))[1] == {"filename": safe}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (None, "attachment"),
        ("", "attachment"),
        ("report 1.pdf", 'attachment; filename="report 1.pdf"'),
        ("résumé.pdf", "attachment; filename=\"resume.pdf\"; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf"),
        ("отчёт.pdf", "attachment; filename=\"_____.pdf\"; filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82.pdf"),
        ("50%25.txt", "attachment; filename=\"50_25.txt\"; filename*=UTF-8''50%2525.txt"),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a/b\r\n.txt", 'attachment; filename="a_b__.txt"'),
    ],
)
def test_a_name_is_sent_in_ascii_and_encoded_beside_it_where_that_is_not_all(name: str | None, value: str) -> None:
    """As RFC 6266 has it."""
    assert content_disposition(name) == value


def test_a_browser_may_show_the_file() -> None:
    """Where `inline` is asked for, and nowhere else."""
    assert content_disposition("a.png", inline=True) == 'inline; filename="a.png"'
    assert content_disposition(None, inline=True) == "inline"


def parsed(value: str) -> Message:
    return HeaderParser().parsestr(f"Content-Disposition: {value}\r\n\r\n")
