"""What uploadkit sees in a file: its names and types, whether they agree, what the checks say, what is known of it.

    inspect_file("photo.jpg").result

Stores nothing. The checks are those of uploads, as they are without arguments. Odd content raises nothing: a check that
could not be made says why, and which extra it needs. No file is too large: none is ever whole in memory.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from ..errors import FileRefused, StorageError, shortened
from ..policy.accept import Accept, AcceptRule, resolve
from ..policy.endings import check_ending, end_size
from ..policy.filenames import extension_of_name, safe_filename
from ..policy.filters import IncomingFile
from ..policy.media_types import MAY_BE_MORE, OCTET_STREAM, ZIP, ZIP_KINDS, told_by_extension, types_of
from ..policy.signatures import HEAD_SIZE, detect
from ..uploads import UploadedFile
from .archives import ArchiveCheck, Unpacked
from .documents import Document, DocumentCheck, read_document
from .media import MediaInfo, media_info
from .scanning import ClamAV, Outcome
from .sources import Source, opened_source

if TYPE_CHECKING:
    from .images import ImageInfo  # needs Pillow

__all__ = [
    "Inspection",
    "Result",
    "Verdict",
    "inspect_file",
]


class Result(Enum):
    """What came of a check, or of all of them."""

    PASSED = "passed"
    REFUSED = "refused"
    NOT_RUN = "not_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check says of a file, and why where it has not passed.

    `code` is the `filter` of the refusal, such as "image_damaged"; None where nothing was refused. `text` goes on after
    "the file", is at most 200 characters, and may quote a name that a stranger chose.
    """

    check: str
    result: Result
    code: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What uploadkit sees in a file.

    `client_filename` is its name as a client would send it, "" for none; `filename` is the safe one, None where nothing
    is left of it. `size` is in bytes. `named_type` is the type that the name stands for, `declared_type` the one that
    the client declares, None where they say nothing. `content_type` is what the bytes show, as a field has it that
    accepts the type. `agreement` says whether `accept` takes the file: whether its bytes, its name and what is declared
    agree.

    `checks` holds those that look into files of its type. `image`, `document`, `archive` and `media` are what is known
    of it, None where it is no such file or could not be looked into; all of them are words of strangers.
    """

    client_filename: str
    filename: str | None
    size: int
    named_type: str | None
    declared_type: str | None
    content_type: str
    agreement: Verdict
    checks: tuple[Verdict, ...] = ()
    image: ImageInfo | None = None
    document: Document | None = None
    archive: Unpacked | None = None
    media: MediaInfo | None = None

    @property
    def result(self) -> Result:
        """Refused where anything refuses it, not run where a check could not be made, else passed."""
        results = {verdict.result for verdict in (self.agreement, *self.checks)}
        return next(result for result in (Result.REFUSED, Result.NOT_RUN, Result.PASSED) if result in results)


def inspect_file(
    source: Source,
    *,
    name: str | None = None,
    declared_type: str | None = None,
    accept: AcceptRule | None = None,
    scan: ClamAV | None = None,
) -> Inspection:
    """What uploadkit would see, were this file uploaded.

    `name` and `declared_type` are what the client would say; without them, what the path or the upload says. `accept`
    is a field's rule; without it the rule is the file's own type, with which its name and what is declared have to
    agree. With `scan` the file is sent to that daemon, too. A file that is open is read from its beginning, and left
    where it stands.

    Raises `OSError` for what cannot be opened or read, and for a path that is no plain file, such as a folder or a
    pipe; `ObjectMissing` and `StorageFailed` for an upload; `ValueError` where `accept` means no type. Nothing for what
    is in the file.
    """
    rule = None if accept is None else Accept.of(accept)
    if name is None:
        name = _name_of(source)
    if declared_type is None and isinstance(source, UploadedFile):
        declared_type = source.declared_type
    with _opened(source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(HEAD_SIZE)
        safe_name = _safe_name(name)
        arriving = IncomingFile(
            id="",
            field=_FIELD,
            filename=safe_name or _FIELD,
            client_filename=name,
            content_type=OCTET_STREAM,
            declared_type=declared_type,
            head=head,
        )
        incoming, agreement = _agreement(file, size, arriving, rule or _own_type(head, name))
        content_type = incoming.content_type
        known: dict[str, Any] = {}
        checks = [_verdict(check, look, file, incoming, known) for check, look in _looks_at(content_type)]
        if content_type.startswith(("audio/", "video/")):
            known["media"] = media_info(file)
        if scan is not None:
            checks.append(_scanned(scan, file))
    return Inspection(
        client_filename=name,
        filename=safe_name,
        size=size,
        named_type=next(iter(types_of(extension_of_name(name))), None),
        declared_type=declared_type,
        content_type=content_type,
        agreement=agreement,
        checks=tuple(checks),
        **known,
    )


def _name_of(source: Source) -> str:
    if isinstance(source, UploadedFile):
        return source.client_filename
    return os.path.basename(os.fspath(source)) if isinstance(source, str | os.PathLike) else ""


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, str | os.PathLike):
        with open(source, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "Not a plain file", os.fspath(source))
            yield file
        return
    with opened_source(source) as file:
        place = file.tell()
        try:
            yield file
        finally:
            file.seek(place)


def _open_at_once(path: str, flags: int) -> int:
    """Does not wait for who might write into a pipe one day, and makes no terminal this process's own."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


# Names and types

_FIELD = "file"
"""The field in which the file would have been uploaded. Nobody has to see it: the texts of verdicts begin after it."""


def _own_type(head: bytes, name: str) -> Accept:
    """The rule of a field for files of just this type. Of text and its like the name may tell the kind, and of an
    archive whose entries do not tell it in time: whether it is so is asked of its end."""
    shown, extension = detect(head), extension_of_name(name)
    kinds = {shown, told_by_extension(shown, extension)}
    return Accept(frozenset(kinds.union(MAY_BE_MORE.get(shown, frozenset()).intersection(types_of(extension)))))


def _agreement(file: BinaryIO, size: int, incoming: IncomingFile, rule: Accept) -> tuple[IncomingFile, Verdict]:
    """The file with its type, and whether `accept` takes it: by its name and its first bytes, and by its last ones."""
    try:
        content_type = resolve(
            incoming.head,
            field=incoming.field,
            filename=incoming.client_filename,
            declared_type=incoming.declared_type,
            accept=rule,
        )
        incoming = replace(incoming, content_type=content_type)
        if looked_at := end_size(incoming, rule):
            file.seek(max(0, size - looked_at))
            check_ending(incoming, file.read(looked_at), size)
    except FileRefused as refused:
        return replace(incoming, content_type=refused.detected or OCTET_STREAM), _refusal("accept", refused)
    return incoming, Verdict(check="accept", result=Result.PASSED)


def _safe_name(name: str) -> str | None:
    try:
        return safe_filename(name)
    except ValueError:
        return None


# Checks. A look tells what is known of a file first, and then raises what the check raises.

_Look: TypeAlias = Callable[[BinaryIO, IncomingFile, "dict[str, Any]"], None]

DOCUMENTS = (ZIP_KINDS - {"application/java-archive", "application/vnd.android.package-archive"}) | {
    "application/pdf",
    "application/rtf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.ms-outlook",
    "application/x-ole-storage",
}
"""Types of what may be a document that `read_document` knows something of."""

_ARCHIVES = ZIP_KINDS | {
    ZIP,
    "application/x-tar",
    "application/gzip",
    "application/x-bzip2",
    "application/x-xz",
    # Not read by the check, which refuses them for that.
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/zstd",
    "application/x-lz4",
    "application/x-lzip",
    "application/x-compress",
    "application/x-archive",
    "application/vnd.debian.binary-package",
    "application/vnd.ms-cab-compressed",
}


def _looks_at(content_type: str) -> Iterator[tuple[str, _Look]]:
    if content_type.startswith("image/"):
        yield "ImageCheck", _look_at_image
    if content_type in _ARCHIVES:
        yield "ArchiveCheck", _look_at_archive
    if content_type in DOCUMENTS:
        yield "DocumentCheck", _look_at_document


def _look_at_image(file: BinaryIO, incoming: IncomingFile, known: dict[str, Any]) -> None:
    from .images import ImageCheck, image_info  # raises where Pillow is not there

    known["image"] = image_info(file)
    ImageCheck().examine(incoming, file)


def _look_at_archive(file: BinaryIO, incoming: IncomingFile, known: dict[str, Any]) -> None:
    known["archive"] = ArchiveCheck().measure(file)


def _look_at_document(file: BinaryIO, incoming: IncomingFile, known: dict[str, Any]) -> None:
    document = known["document"] = read_document(file)
    DocumentCheck().judge(incoming, document)


def _verdict(check: str, look: _Look, file: BinaryIO, incoming: IncomingFile, known: dict[str, Any]) -> Verdict:
    try:
        look(file, incoming, known)
    except FileRefused as refused:
        return _refusal(check, refused)
    except (OSError, StorageError):  # of the file itself, or of a disk that is full
        raise
    except Exception as error:  # whatever else a reader has to say: it is told, and the other checks are made
        said = str(error) or type(error).__name__
        return Verdict(check=check, result=Result.NOT_RUN, text=shortened(said, _TEXT_SIZE))
    return Verdict(check=check, result=Result.PASSED)


_TEXT_SIZE = 200

_SUBJECT = re.compile(rf"^(?:the )?(?:file|document) (?:in field )?'{_FIELD}' (?:was refused: )?")


def _refusal(check: str, refused: FileRefused) -> Verdict:
    return Verdict(check=check, result=Result.REFUSED, code=refused.filter, text=_SUBJECT.sub("", str(refused)))


def _scanned(scan: ClamAV, file: BinaryIO) -> Verdict:
    """What the daemon says, in the words for logs and not in those for senders."""
    file.seek(0)
    found = scan.scan(file)
    if found.outcome is Outcome.CLEAN:
        return Verdict(check="ClamAV", result=Result.PASSED)
    if found.outcome is Outcome.INFECTED:
        text = f"is infected: {found.signature}"
        return Verdict(check="ClamAV", result=Result.REFUSED, code="ClamAV", text=text)
    return Verdict(check="ClamAV", result=Result.NOT_RUN, text=found.reason)
