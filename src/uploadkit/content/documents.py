"""What a document can do when it is opened: macros, scripts, programs, files inside. `DocumentCheck` is the check.

Office files of today are looked at here: their names and their table of contents, within bounds. PDFs (by pypdf, with
the extra `documents`), the office files of old and what is one long text are read in a `sandbox`: a reader that loops
or eats memory ends a child process. What cannot be read is a flag too, never an exception.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, BinaryIO, Final

from ..errors import FileRefused, quoted
from ..policy.filters import IncomingFile
from ..storage.threads import in_thread
from .archives import Rule, zip_parts
from .sandbox import ChildEnded, Sandbox, default_sandbox, descriptor_of
from .sources import Source, opened_source

__all__ = [
    "Document",
    "DocumentCheck",
    "Flag",
    "aread_document",
    "read_document",
]

TITLE_LENGTH: Final = 200

HEAD_SIZE: Final = 4096
"""In so many bytes a document says what it is. LibreOffice looks at nearly as many of a text."""

COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How a compound file begins."""

_PART_SIZE = 2**20  # a table of contents has some kilobytes


class Flag(Enum):
    """What was found in a document."""

    MACROS = "macros"
    JAVASCRIPT = "javascript"
    LAUNCH = "launch"
    EMBEDDED = "embedded"
    UNREADABLE = "unreadable"


_MEANING = {
    Flag.MACROS: "has macros",
    Flag.JAVASCRIPT: "has JavaScript",
    Flag.LAUNCH: "launches a program",
    Flag.EMBEDDED: "has files embedded",
    Flag.UNREADABLE: "is damaged or encrypted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is known of a document. `pages` and `title` are those of a PDF; the title is as its author wrote it, at most
    200 characters, printable, and nothing to trust."""

    flags: frozenset[Flag] = frozenset()
    pages: int | None = None
    title: str | None = None


class DocumentCheck:
    """A check that looks into office files and PDFs before they are published. Any other file passes.

    What is found is up to rules, "refuse" or "accept":

    - `macros`: VBA and Excel 4.0 macros in docx, xlsx, pptx and their kin, and in doc, xls and ppt; scripts in
      OpenDocument.
    - `javascript`: in a PDF, as an action anywhere, or in an XFA form.
    - `launch`: a PDF that starts a program.
    - `embedded`: files inside the document. Accepted by default: a chart embeds its table, an invoice
      its XML.
    - `unreadable`: damaged, encrypted, or its reader needed more than the `sandbox` gives. None shares that of the
      process.

    Needs pypdf: `pip install 'pyuploadkit[documents]'`.
    """

    def __init__(
        self,
        *,
        macros: Rule = "refuse",
        javascript: Rule = "refuse",
        launch: Rule = "refuse",
        embedded: Rule = "accept",
        unreadable: Rule = "refuse",
        sandbox: Sandbox | None = None,
    ) -> None:
        _check_pypdf()
        rules = {
            Flag.MACROS: macros,
            Flag.JAVASCRIPT: javascript,
            Flag.LAUNCH: launch,
            Flag.EMBEDDED: embedded,
            Flag.UNREADABLE: unreadable,
        }
        for flag, rule in rules.items():
            if rule not in ("refuse", "accept"):
                raise ValueError(f'{flag.value} is "refuse" or "accept", not {rule!r}')
        self._rules = rules
        self._refused = [flag for flag, rule in rules.items() if rule == "refuse"]
        self._sandbox = sandbox

    def __repr__(self) -> str:
        return f"DocumentCheck({', '.join(f'{flag.value}={rule!r}' for flag, rule in self._rules.items())})"

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Raises `FileRefused`; `Overloaded` where too many files are being looked at."""
        self.judge(file, _read(staged, self._sandbox))

    def judge(self, file: IncomingFile, document: Document) -> None:
        """The rules alone, for what `read_document` has found. Raises `FileRefused`."""
        for flag in self._refused:
            if flag in document.flags:
                text = f"the document in field {quoted(file.field)} {_MEANING[flag]}"
                raise FileRefused(text, field=file.field, filter="DocumentCheck", detected=file.content_type)


def read_document(source: Source, *, sandbox: Sandbox | None = None) -> Document:
    """What is known of a document; nothing of a file that is none.

    Raises nothing for odd input: that is `Flag.UNREADABLE`. Raises `Overloaded` where too many files are being looked
    at, `ServiceError` where none can be, and what opening the source raises.
    """
    with opened_source(source) as file:
        return _read(file, sandbox)


async def aread_document(source: Source, *, sandbox: Sandbox | None = None) -> Document:
    """The async twin of `read_document`."""
    return await in_thread(read_document, source, sandbox=sandbox)


def _read(file: BinaryIO, sandbox: Sandbox | None) -> Document:
    file.seek(0)
    head = file.read(HEAD_SIZE)
    if b"%PDF-" in head[:1028]:  # it begins where Acrobat looks for it
        _check_pypdf()
        return _in_child(file, "pypdf", ("scan", "read"), sandbox)
    if head.startswith(b"PK\x03\x04"):
        return _zipped(file)
    if head.startswith(COMPOUND) or _begins_workbook(head):
        return _in_child(file, "compound", ("scan", "read"), sandbox)
    if head.startswith(b"{\\rt") or _is_flat(head.replace(b"\0", b"")):
        return _in_child(file, "flat", ("scan",), sandbox)
    return Document()


# Office Open XML and OpenDocument

_CONTENTS = "[Content_Types].xml"
_MANIFEST = "META-INF/manifest.xml"


def _zipped(file: BinaryIO) -> Document:
    """A zip that is no document has no flags."""
    try:
        parts = zip_parts(file, lambda name: name in (_CONTENTS, _MANIFEST, "mimetype"), part_size=_PART_SIZE)
    except FileRefused:
        return Document(flags=frozenset({Flag.UNREADABLE}))
    if _CONTENTS in parts:
        return Document(flags=frozenset(_in_office(parts)))
    if parts.get("mimetype", b"").startswith(b"application/vnd.oasis.opendocument"):
        return Document(flags=frozenset(_in_opendocument(parts)))
    return Document()


def _in_office(parts: dict[str, bytes]) -> Iterator[Flag]:
    """The types say what a part is, whatever its name; the names are looked at beside."""
    types = _text(parts[_CONTENTS])
    names = [name.lower() for name in parts]
    if "<!doctype" in types or "<!entity" in types:  # no office writes one, and it could hide every type
        yield Flag.UNREADABLE
    encoding = _encoding(types)
    if encoding is not None and encoding[1] not in _ENCODINGS:  # in another one the words below have other bytes
        yield Flag.UNREADABLE
    if any(word in types for word in ("vbaproject", "macroenabled", "macrosheet")):
        yield Flag.MACROS
    if any(name.endswith("vbaproject.bin") or "/macrosheets/" in name for name in names):
        yield Flag.MACROS
    if "oleobject" in types or any("/embeddings/" in name or "/activex/" in name for name in names):
        yield Flag.EMBEDDED


_encoding = re.compile(r"<\?xml[^>]*\sencoding\s*=\s*[\"']([^\"']*)").search
_ENCODINGS = frozenset({"utf-8", "utf-16", "us-ascii", "iso-8859-1", "windows-1252"})


def _in_opendocument(parts: dict[str, bytes]) -> Iterator[Flag]:
    if "encrypted-package" in parts or "encryption-data" in _text(parts.get(_MANIFEST, b"")):
        yield Flag.UNREADABLE
    for name in parts:
        if name.startswith(("Basic/", "Scripts/")) and not name.endswith("/"):
            yield Flag.MACROS
        if name.startswith("Object "):
            yield Flag.EMBEDDED


def _text(data: bytes) -> str:
    """XML in lower case: of UTF-16 the letters."""
    return unescaped(data.replace(b"\0", b"")).decode("latin-1").lower()


def unescaped(xml: bytes) -> bytes:
    """Where characters are written as numbers, those of ASCII in themselves."""
    return _numbered(_character, xml) if b"&#" in xml else xml


_numbered = re.compile(rb"&#(?:0*([1-9][0-9]{1,2})|[xX]0*([1-9a-fA-F][0-9a-fA-F]));").sub


def _character(match: re.Match[bytes]) -> bytes:
    number = int(match[1]) if match[1] else int(match[2], 16)
    return bytes([number]) if number < 128 else match[0]


# What is read in a child: PDFs, compound files, long texts

# The first record of a workbook that is in no container, in Excel 2, 3, 4, and of a stray one of later versions.
_begins_workbook = re.compile(rb"\x09[\x00\x02\x04\x08][\x04-\x10]\x00").match


def _check_pypdf() -> None:
    if importlib.util.find_spec("pypdf") is None:
        raise ModuleNotFoundError("uploadkit.content.documents needs pypdf: pip install 'pyuploadkit[documents]'")


_is_flat = re.compile(
    rb"opendocument|mso-application|schemas\.microsoft\.com/office|^mime-version:", re.IGNORECASE | re.MULTILINE
).search


def _in_child(file: BinaryIO, module: str, functions: Sequence[str], sandbox: Sandbox | None) -> Document:
    """By functions of a module, each by itself: what one has found stays where the next one ends its child."""
    flags: set[Flag] = set()
    answer: Mapping[str, Any] = {}
    with descriptor_of(file) as number:
        for function in functions:
            try:
                answer = (sandbox or default_sandbox()).call(f"{__package__}.{module}:{function}", {}, [number])
                flags.update(Flag(name) for name in answer["flags"])
            except (ChildEnded, KeyError, TypeError, ValueError):  # a child that was taken over may say anything
                answer = {"last": True}
                flags.add(Flag.UNREADABLE)
            if answer.get("last"):
                break
    pages, title = answer.get("pages"), answer.get("title")
    return Document(
        flags=frozenset(flags),
        pages=pages if isinstance(pages, int) else None,
        title=_printable(title[:TITLE_LENGTH]) if isinstance(title, str) else None,
    )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
