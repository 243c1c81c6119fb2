"""`uploadkit inspect`: what uploadkit sees in files, for people and for machines."""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from enum import Enum
from typing import BinaryIO

from ..content.inspection import Inspection, Result, Verdict, inspect_file
from ..content.scanning import ClamAV
from ..policy.accept import AUDIO, DOCUMENTS, IMAGES, VIDEOS, Accept
from .terminal import OK, REFUSED, TROUBLE, Commands, argument, complain, counted, shown

_GROUPS = {"IMAGES": IMAGES, "DOCUMENTS": DOCUMENTS, "VIDEOS": VIDEOS, "AUDIO": AUDIO}


def add(commands: Commands) -> None:
    """Adds the command with its arguments."""
    parser = commands.add_parser(
        "inspect",
        help="show what uploadkit sees in files",
        description="Shows what uploadkit would see, were these files uploaded: the type that is declared and the one\n"
        "that the bytes show, the safe name, whether they agree, what the checks say, and what is known.",
        epilog="examples:\n"
        "  uploadkit inspect photo.jpg\n"
        "  uploadkit inspect --accept IMAGES --accept .pdf photo.jpg  as a field takes it, accept=[IMAGES, '.pdf']\n"
        "  uploadkit inspect --type image/png photo.jpg               as a client might declare it\n"
        "  curl -s https://example.com/a.pdf | uploadkit inspect --name a.pdf -\n"
        "  uploadkit inspect --json -- * | jq -r 'select(.result != \"passed\") | .path'\n"
        "\n"
        "status: 0 every file passes, 1 a file is refused, 2 a file could not be read or a check not be made,\n"
        "or the command is wrong. Of several the highest.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file; - is the standard input")
    parser.add_argument("--name", help="the file name that a client would send, of one FILE")
    parser.add_argument("--type", help="the media type that a client would declare")
    parser.add_argument(
        "--accept",
        action="append",
        type=argument(accepted),
        metavar="TYPE",
        help="what a field takes: a media type, image/*, .pdf, or IMAGES, DOCUMENTS, VIDEOS, AUDIO; may be repeated. "
        "Without it the file's own type is taken",
    )
    parser.add_argument(
        "--scan",
        type=argument(ClamAV),
        metavar="ADDRESS",
        help="have a clamd scan it: unix:///run/clamav/clamd.ctl or tcp://127.0.0.1:3310",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each FILE, each on one line")
    parser.set_defaults(run=_inspect, parser=parser)


def accepted(item: str) -> Accept:
    """What a word of `--accept` admits. Raises `ValueError`."""
    return Accept.of(_GROUPS.get(item, item))


def _inspect(options: argparse.Namespace) -> int:
    if options.name is not None and len(options.files) > 1:
        options.parser.error("--name is of one FILE, and there are more")
    show = _show_json if options.json else _shower_of_tables()
    status = OK
    for path in options.files:
        try:
            with _source(path) as source:
                seen = inspect_file(
                    source,
                    name=options.name,
                    declared_type=options.type,
                    accept=options.accept,
                    scan=options.scan,
                )
        except OSError as error:
            reason = error.strerror or str(error)
            if options.json:
                _show_json(path, None, reason)
            complain(f"{path}: {reason}")
            status = TROUBLE
        else:
            show(path, seen)
            status = max(status, _STATUS[seen.result])
    return status


_STATUS = {Result.PASSED: OK, Result.REFUSED: REFUSED, Result.NOT_RUN: TROUBLE}


@contextmanager
def _source(path: str) -> Iterator[BinaryIO | str]:
    """What comes through a pipe is on disk as long as it is inspected: it is read from its end, too."""
    if path != "-":
        yield path
        return
    if sys.stdin is None:  # the shell has closed it
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        yield spool


# For machines


def _show_json(path: str, seen: Inspection | None, error: str | None = None) -> None:
    """Every object has every key. ASCII alone, in which nothing can be hidden."""
    known = dict.fromkeys(field.name for field in fields(Inspection)) if seen is None else asdict(seen)
    result = None if seen is None else seen.result
    print(json.dumps({"path": path, "error": error, "result": result, **known}, default=_plain))


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case frozenset():
            return sorted(map(_plain, value), key=str)
        case datetime():
            return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON")


# For people

_Row = tuple[str, str, str]
"""What it is, what was seen, and a style."""

_STYLES = {Result.PASSED: "green", Result.REFUSED: "bold red", Result.NOT_RUN: "yellow"}


def _shower_of_tables() -> Callable[[str, Inspection], None]:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ModuleNotFoundError:
        complain("for tables, pip install 'pyuploadkit[cli]'")
        return _show_lines

    console = Console(highlight=False)

    def show(path: str, seen: Inspection) -> None:
        table = Table(box=box.ROUNDED, show_header=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, text, style in _rows(seen):
            table.add_row(label, Text(text, style))  # Text, never str: in that rich would look for markup
        with console.capture() as drawn:
            console.print(Text(shown(path), "bold"), soft_wrap=True)
            console.print(table)
        sys.stdout.write(drawn.get())

    return show


def _show_lines(path: str, seen: Inspection) -> None:
    print(shown(path))
    for label, text, _ in _rows(seen):
        print(f"  {label:<13} {text}")


def _rows(seen: Inspection) -> Iterator[_Row]:
    yield "size", f"{seen.size:,} bytes", ""
    yield "declared", shown(_declared(seen)), ""
    yield "detected", seen.content_type, ""
    yield "safe name", "none: nothing is left of it" if seen.filename is None else shown(seen.filename), ""
    for verdict in (seen.agreement, *seen.checks):
        label = "agreement" if verdict is seen.agreement else verdict.check
        yield label, shown(_said(verdict)), _STYLES[verdict.result]
    for label, facts_of in _FACTS.items():
        if text := ", ".join(facts_of(seen)):
            yield label, shown(text), ""


def _declared(seen: Inspection) -> str:
    by_name = "nothing" if seen.named_type is None else f"{seen.named_type}, by its name"
    return by_name if seen.declared_type is None else f"{seen.declared_type}; {by_name}"


def _said(verdict: Verdict) -> str:
    result = verdict.result.value.replace("_", " ")
    if verdict.code not in (None, verdict.check):
        result += f", {verdict.code}"
    return result if verdict.text is None else f"{result}: {verdict.text}"


def _of_image(seen: Inspection) -> Iterator[str]:
    if (image := seen.image) is None:
        return
    if image.format is not None:
        yield image.format.upper()
    if image.width is not None:
        yield f"{image.width} x {image.height} pixels"
    if image.frames is not None and image.frames > 1:
        yield f"{image.frames} frames"
    if image.orientation not in (None, 1):
        yield f"orientation {image.orientation}"
    if image.taken_at is not None:
        yield f"taken {image.taken_at}"


def _of_document(seen: Inspection) -> Iterator[str]:
    if (document := seen.document) is None:
        return
    if document.pages is not None:
        yield counted(document.pages, "page")
    if document.title is not None:
        yield f"title {document.title!r}"
    yield from sorted(flag.value for flag in document.flags)


def _of_archive(seen: Inspection) -> Iterator[str]:
    if (archive := seen.archive) is not None:
        yield counted(archive.entries, "entry", "entries")
        yield f"{archive.size:,} bytes unpacked"
        yield f"{archive.depth} deep"


def _of_media(seen: Inspection) -> Iterator[str]:
    if (media := seen.media) is None:
        return
    if media.duration is not None:
        yield f"{media.duration:,.2f} seconds"
    if media.width is not None:
        yield f"{media.width} x {media.height} pixels"
    if media.video or media.audio:
        yield " and ".join(["video"] * media.video + ["audio"] * media.audio)


_FACTS = {"image": _of_image, "document": _of_document, "archive": _of_archive, "media": _of_media}
