"""What headers say: the Content-Type of a request and the header block of a part.

What is ambiguous is refused, never repaired: two parsers that read a header differently are how a file gets past a
filter. Sources: RFC 7578 (form-data), RFC 2046 §5.1 (boundaries, parts), RFC 2183 (Content-Disposition),
RFC 8187 (`filename*`), and the URL and HTML Standards of the WHATWG for what browsers send.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ..errors import LimitExceeded, MalformedForm, UnsupportedMediaType
from ..policy.limits import Limits
from .events import PartBegin

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_token = re.compile(_TOKEN.encode()).fullmatch
_media_type = re.compile(rf"({_TOKEN}/{_TOKEN})[ \t]*(?:;|$)").match
# RFC 2046 §5.1.1, but for the length: it says 70, and the test clients of werkzeug and Flask send up to 72.
_boundary = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,79}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_not_in_content_type = re.compile(r"[^\t\x20-\x7e]").search
_not_in_value = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_control = re.compile(r"[\x00-\x1f\x7f]").search
_not_in_disposition = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_surrogate = re.compile(r"[\ud800-\udfff]").search

# RFC 2183 parameters as they are met: a quoted string whose escapes close it correctly, else one in which a backslash
# is a plain character (Internet Explorer's C:\new\), else a token.
_parameter = re.compile(
    rf"""[ \t]*;[ \t]*({_TOKEN})=
         (?: "((?:[^"\\]|\\.)*)" | "([^"]*)" | ({_TOKEN}) )
         (?=[ \t]*(?:;|$))""",
    re.VERBOSE,
).match
_end = re.compile(r"[ \t]*;?[ \t]*").fullmatch
_escaped = re.compile(r'\\(["\\])')

# What browsers and nearly all other clients send. Everything else takes the slow road. `*+` never goes back.
_common_head = re.compile(
    r'\r\nContent-Disposition: (form-data; name="([^\x00-\x1f"%\\\x7f]*+)"'
    r'(?:; filename="([^\x00-\x1f"%\\\x7f]*+)")?+)'
    r"(?:\r\nContent-Type: ([0-9A-Za-z!#$&^_.+\-]++/[0-9A-Za-z!#$&^_.+\-]++))?+"
).fullmatch
_MAX_COMMON_HEADERS = 2

# The constructor of a frozen class looks up every attribute by its name, which takes twice as long as this.
_new = object.__new__
_set_name, _set_filename, _set_content_type, _set_charset, _set_headers = (
    PartBegin.__dict__[name].__set__ for name in PartBegin.__slots__
)

_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "iso-8859-1": "latin-1", "windows-1252": "cp1252"}


def media_type(content_type: str | None) -> str:
    """The media type of a request's Content-Type, lower-cased; "" for None.

    Raises `MalformedForm` where the header has control or non-ASCII characters.
    """
    if content_type is None:
        return ""
    if _not_in_content_type(content_type):
        raise MalformedForm("the Content-Type has characters that no header may have")
    return content_type.partition(";")[0].strip(" \t").lower()


def declared_type(content_type: str) -> str | None:
    """The media type that a part's Content-Type begins with, lower-cased; None where it is not readable."""
    match = _media_type(content_type)
    return None if match is None else match[1].lower()


def disposition_filename(disposition: str) -> str | None:
    """The file's name in the Content-Disposition of a request, as RFC 6266 has it: `filename*` before `filename`. None
    where it has none.

    Raises `MalformedForm` where it is ambiguous, or cannot be read.
    """
    if _not_in_disposition(disposition):
        raise MalformedForm("the Content-Disposition has control characters")
    parameters = _read_parameters(disposition, len(disposition.partition(";")[0]))
    if "filename*" in parameters:
        return _read_extended(parameters["filename*"])
    filename = parameters.get("filename")
    return None if filename is None else filename.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart Content-Type: 1 to 80 characters of RFC 2046's alphabet.

    Raises `MalformedForm` where it is missing, repeated, extended (`boundary*`, `boundary*0`) or badly formed.
    """
    values = []
    for parameter in _split_parameters(content_type.partition(";")[2]):
        name, equals, value = parameter.partition("=")
        name = name.strip(" \t").lower()
        if name.startswith("boundary*"):
            raise MalformedForm("the boundary in the Content-Type is split or encoded")
        if name == "boundary" and equals:
            values.append(value.strip(" \t"))
    if not values:
        raise MalformedForm("the Content-Type has no boundary; leave this header to the client, which writes both")
    if len(values) > 1:
        raise MalformedForm("the Content-Type has more than one boundary")
    value = values[0]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not _boundary(value):
        raise MalformedForm("the boundary in the Content-Type is not one of RFC 2046")
    return value.encode("ascii")


def check_form_charset(content_type: str) -> None:
    """Raises `UnsupportedMediaType` where a urlencoded form claims another charset than UTF-8, the only one it has."""
    for parameter in _split_parameters(content_type.partition(";")[2]):
        name, _, value = parameter.partition("=")
        if name.strip(" \t").lower() == "charset" and value.strip(' \t"').lower() not in ("utf-8", "utf8"):
            raise UnsupportedMediaType("a urlencoded form is read as UTF-8 only")


def read_head(head: bytes, limits: Limits) -> PartBegin:
    """Reads a part's header block, every line of which begins with its CRLF.

    Raises `MalformedForm`, `UnsupportedMediaType` and `LimitExceeded`.
    """
    few = limits.header_count is not None and limits.header_count < _MAX_COMMON_HEADERS
    begin = None if few else read_common_head(head)
    if begin is None:
        begin = _read_lines(head, limits)
    check_names(begin, limits)
    return begin


def check_names(begin: PartBegin, limits: Limits) -> None:
    """Raises `LimitExceeded` where a part's field or file has a longer name than it may have."""
    _check_size(begin.name, limits.field_name_size, "field_name_size", "a field's name")
    if begin.filename is not None:
        _check_size(begin.filename, limits.filename_size, "filename_size", "a file's name")


def read_common_head(head: bytes) -> PartBegin | None:
    """What `read_head` gives for a header block as browsers send it, None for any other. Knows no limits."""
    try:
        match = _common_head(head.decode())
    except UnicodeDecodeError:
        return None
    if match is None:
        return None
    disposition, name, filename, sent = match.groups()
    header = ("content-disposition", disposition)
    begin = _new(PartBegin)
    _set_name(begin, name)
    _set_filename(begin, filename)
    _set_charset(begin, "utf-8")
    if sent is None:
        _set_content_type(begin, None)
        _set_headers(begin, (header,))
    else:
        _set_content_type(begin, sent.lower())
        _set_headers(begin, (header, ("content-type", sent)))
    return begin


def _split_parameters(parameters: str) -> list[str]:
    """Parameters apart from each other: a `;` inside quotes does not part them."""
    if "\\" in parameters:  # no boundary has one; where an escaped quote ends, parsers differ
        raise MalformedForm("the Content-Type has a backslash in its parameters")
    if '"' not in parameters:
        return parameters.split(";")
    found, quoted, start = [], False, 0
    for at, character in enumerate(parameters):
        if character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            found.append(parameters[start:at])
            start = at + 1
    return [*found, parameters[start:]]


def _read_lines(head: bytes, limits: Limits) -> PartBegin:
    headers = _split_headers(head, limits)
    disposition = _only(headers, b"content-disposition")
    content_type = _only(headers, b"content-type")
    encoding = _only(headers, b"content-transfer-encoding")
    if disposition is None:
        raise MalformedForm("a part has no Content-Disposition")
    if encoding is not None and encoding.lower() not in (b"7bit", b"8bit", b"binary"):
        raise UnsupportedMediaType("a part has a Content-Transfer-Encoding, which RFC 7578 does away with")
    name, filename = _read_disposition(disposition)
    declared, charset = _read_type(content_type, is_text=filename is None)
    return PartBegin(
        name=name,
        filename=filename,
        content_type=declared,
        charset=charset,
        headers=tuple((name.decode("ascii"), value.decode("utf-8", "replace")) for name, value in headers),
    )


def _split_headers(head: bytes, limits: Limits) -> list[tuple[bytes, bytes]]:
    lines = head.split(b"\r\n")[1:]
    if limits.header_count is not None and len(lines) > limits.header_count:
        raise LimitExceeded(
            f"a part has more than {limits.header_count} headers",
            limit="header_count",
            allowed=limits.header_count,
            seen=len(lines),
        )
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _token(name):  # also a folded line, a space before the colon, an 8-bit name
            raise MalformedForm("a part has a malformed header")
        if _not_in_value(value):
            raise MalformedForm("a part has a header with control characters")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers


def _only(headers: list[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    values = [value for name, value in headers if name == wanted]
    if len(values) > 1:
        raise MalformedForm(f"a part has more than one {wanted.decode('ascii')} header")
    return values[0] if values else None


def _read_disposition(raw: bytes) -> tuple[str, str | None]:
    value = raw.decode("utf-8", "surrogateescape")
    kind = value.partition(";")[0]
    if kind.strip(" \t").lower() != "form-data":
        raise MalformedForm("a part's Content-Disposition is not form-data")
    parameters = _read_parameters(value, len(kind))
    if any("*" in name and name != "filename*" for name in parameters):
        raise MalformedForm("a part's Content-Disposition has a parameter that is split or encoded")
    if "name" not in parameters:
        raise MalformedForm("a part has no name")
    name = parameters["name"].replace("%22", '"')
    if _surrogate(name):
        raise MalformedForm("a field's name is not UTF-8")
    if "filename" in parameters:
        filename = parameters["filename"].replace("%22", '"')
        return name, filename.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "filename*" in parameters:
        return name, _read_extended(parameters["filename*"])
    return name, None


def _read_parameters(value: str, at: int) -> dict[str, str]:
    parameters: dict[str, str] = {}
    while match := _parameter(value, at):
        name, quoted, plain, token = match.groups()
        name = name.lower()
        if name in parameters:
            raise MalformedForm("a part's header has a parameter twice")
        parameters[name] = _escaped.sub(r"\1", quoted) if quoted is not None else plain if plain is not None else token
        at = match.end()
    if not _end(value, at):
        raise MalformedForm("a part's header has malformed parameters")
    return parameters


def _read_extended(value: str) -> str:
    """An ext-value of RFC 8187 §3.2.1. RFC 7578 §4.2 forbids it in a form; urllib3 before 2.0 sends it."""
    charset, _, rest = value.partition("'")
    language, quote, encoded = rest.partition("'")
    del language
    if not quote or charset.lower() not in ("utf-8", "iso-8859-1"):
        raise MalformedForm("a part has a malformed filename*")
    filename = unquote_to_bytes(encoded.encode("utf-8", "surrogateescape")).decode(charset, "replace")
    if _control(filename):
        raise MalformedForm("a part has a filename* with control characters")
    return filename


def _read_type(raw: bytes | None, *, is_text: bool) -> tuple[str | None, str]:
    """The declared type, None where there is none or it is not readable (a claim only), and a text's codec."""
    value = "" if raw is None else raw.decode("utf-8", "replace")
    declared = declared_type(value)
    if declared is None or not is_text:
        return declared, "utf-8"
    charset = _read_parameters(value, len(declared)).get("charset", "utf-8").lower()
    if charset not in _CHARSETS:
        raise UnsupportedMediaType("a text value is in a charset that is not read; send UTF-8")
    return declared, _CHARSETS[charset]


def _check_size(text: str, allowed: int | None, limit: str, what: str) -> None:
    if allowed is None or len(text) * 4 <= allowed:
        return
    size = len(text.encode("utf-8"))
    if size > allowed:
        raise LimitExceeded(f"{what} has more than {allowed} bytes", limit=limit, allowed=allowed, seen=size)
