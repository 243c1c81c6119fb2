"""Who parses: uploadkit, its peers, and a floor that nobody who looks at every byte can be below.

Each contestant starts at the Content-Type, is given a form's chunks as they are, learns every part's field name and
file name, gets every part's data as `bytes`, and counts: a run whose counts are wrong is a failure and no speed. A
peer that is not installed is absent, never an error.
"""

from __future__ import annotations

import importlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeAlias

import uploadkit.multipart.parser
from uploadkit.multipart.events import PartBegin
from uploadkit.policy.limits import Limits

from .scenarios import Form

Counts: TypeAlias = tuple[int, int]
"""How many parts a form had, and how many bytes their bodies had together."""

Parse: TypeAlias = Callable[[Form], Counts]

OURS = "uploadkit"
RIVAL = "multipart"
FLOOR = "floor"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """`distribution` is what has to be installed, None where Python is enough; `make` imports it."""

    name: str
    distribution: str | None
    make: Callable[[], Parse]

    def version(self) -> str | None:
        """None where it is not installed."""
        if self.distribution is None:
            return ""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None


def contestants() -> tuple[Contestant, ...]:
    """All of them, in the order of the report."""
    return (
        Contestant(name=OURS, distribution=None, make=_uploadkit),
        Contestant(name=RIVAL, distribution="multipart", make=_multipart),
        Contestant(name="python-multipart", distribution="python-multipart", make=_python_multipart),
        Contestant(name="streaming-form-data", distribution="streaming-form-data", make=_streaming_form_data),
        Contestant(name="werkzeug", distribution="werkzeug", make=_werkzeug),
        Contestant(name="django", distribution="django", make=_django),
        Contestant(name=FLOOR, distribution=None, make=lambda: _floor),
    )


def _uploadkit() -> Parse:
    # The one parser with a limit for what stands around a form, by default 8 KiB: two scenarios have more.
    limits = Limits(preamble_size=None, epilogue_size=None)

    def parse(form: Form) -> Counts:
        parser = uploadkit.multipart.parser.MultipartParser(form.content_type, limits)
        parts = size = 0
        for chunk in form.chunks:
            for event in parser.feed(chunk):
                if type(event) is bytes:
                    size += len(event)
                elif type(event) is PartBegin:
                    _ = event.name, event.filename
                    parts += 1
        parser.close()
        return parts, size

    return parse


def _multipart() -> Parse:
    module: Any = importlib.import_module("multipart")
    if not hasattr(module, "PushMultipartParser"):  # old releases of python-multipart take the name
        raise ImportError("`import multipart` does not find the distribution of this name")

    def parse(form: Form) -> Counts:
        _, options = module.parse_options_header(form.content_type)
        parts = size = 0
        with module.PushMultipartParser(options["boundary"]) as parser:
            for chunk in form.chunks:
                for event in parser.parse(chunk):
                    if type(event) is bytes:
                        size += len(event)
                    elif event is not None:
                        _ = event.name, event.filename
                        parts += 1
        return parts, size

    return parse


def _python_multipart() -> Parse:
    """As Starlette uses it: callbacks collect the pieces of a header, its own function reads them."""
    module: Any = importlib.import_module("python_multipart.multipart")
    logging.getLogger(module.__name__).disabled = True  # it logs what it then raises

    class Counting:
        def __init__(self, content_type: str) -> None:
            self.parts = self.size = 0
            self._name = self._value = b""
            self._disposition = b""
            names = ("part_data", "header_field", "header_value", "header_end", "headers_finished")
            callbacks = {f"on_{name}": getattr(self, name) for name in names}
            boundary = module.parse_options_header(content_type)[1][b"boundary"]
            self.parser = module.MultipartParser(boundary, callbacks)

        def part_data(self, data: bytes, start: int, end: int) -> None:
            self.size += len(data[start:end])

        def header_field(self, data: bytes, start: int, end: int) -> None:
            self._name += data[start:end]

        def header_value(self, data: bytes, start: int, end: int) -> None:
            self._value += data[start:end]

        def header_end(self) -> None:
            if self._name.lower() == b"content-disposition":
                self._disposition = self._value
            self._name = self._value = b""

        def headers_finished(self) -> None:
            _, options = module.parse_options_header(self._disposition)
            _ = options[b"name"].decode(), options.get(b"filename", b"").decode()
            self.parts += 1

    def parse(form: Form) -> Counts:
        counting = Counting(form.content_type)
        for chunk in form.chunks:
            counting.parser.write(chunk)
        counting.parser.finalize()
        return counting.parts, counting.size

    return parse


def _streaming_form_data() -> Parse:
    """It has to be told every name, and a target is a part's whole handling: one target counts for all names."""
    module: Any = importlib.import_module("streaming_form_data")
    targets: Any = importlib.import_module("streaming_form_data.targets")

    class Counting(targets.BaseTarget):  # type: ignore[misc]  # imported by name: it may not be installed
        def __init__(self) -> None:
            super().__init__()
            self.parts = self.size = 0

        def on_start(self) -> None:
            self.parts += 1

        def on_data_received(self, chunk: bytes) -> None:
            self.size += len(chunk)

    def parse(form: Form) -> Counts:
        parser = module.StreamingFormDataParser({"Content-Type": form.content_type})
        target = Counting()
        for name in form.names:
            parser.register(name, target)
        for chunk in form.chunks:
            parser.data_received(chunk)
        return target.parts, target.size

    return parse


def _werkzeug() -> Parse:
    module: Any = importlib.import_module("werkzeug.sansio.multipart")
    http: Any = importlib.import_module("werkzeug.http")
    need_data, epilogue = module.NEED_DATA, module.Epilogue

    def parse(form: Form) -> Counts:
        _, options = http.parse_options_header(form.content_type)
        decoder = module.MultipartDecoder(options["boundary"].encode("ascii"))
        parts = size = 0
        for chunk in (*form.chunks, None):
            decoder.receive_data(chunk)
            event = decoder.next_event()
            while event is not need_data:
                kind = type(event)
                if kind is module.Data:
                    size += len(event.data)
                elif kind is module.File or kind is module.Field:
                    _ = event.name, getattr(event, "filename", None)
                    parts += 1
                elif kind is epilogue:
                    break
                event = decoder.next_event()
        return parts, size

    return parse


def _django() -> Parse:
    """Files go to a handler that counts them as they come; Django itself decodes and keeps text values."""
    conf: Any = importlib.import_module("django.conf")
    if not conf.settings.configured:
        conf.settings.configure(
            DATA_UPLOAD_MAX_MEMORY_SIZE=None, DATA_UPLOAD_MAX_NUMBER_FIELDS=None, DATA_UPLOAD_MAX_NUMBER_FILES=None
        )
    module: Any = importlib.import_module("django.http.multipartparser")
    uploadhandler: Any = importlib.import_module("django.core.files.uploadhandler")

    class Counting(uploadhandler.FileUploadHandler):  # type: ignore[misc]  # imported by name: it may not be installed
        def __init__(self, chunk_size: int) -> None:
            super().__init__()
            self.chunk_size = chunk_size
            self.parts = self.size = 0

        def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
            self.size += len(raw_data)

        def file_complete(self, file_size: int) -> None:
            self.parts += 1

    def parse(form: Form) -> Counts:
        handler = Counting(form.chunk_size)
        meta = {"CONTENT_TYPE": form.content_type, "CONTENT_LENGTH": str(form.size)}
        values, _ = module.MultiPartParser(meta, _Chunks(form.chunks), [handler]).parse()
        texts = [text for _, texts in values.lists() for text in texts]
        return len(texts) + handler.parts, sum(map(len, texts)) + handler.size

    return parse


class _Chunks(io.RawIOBase):
    """A body as Django reads one: a chunk a read, no copy."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._left = iter(chunks)

    def read(self, size: int = -1) -> bytes:
        return next(self._left, b"")


def _floor(form: Form) -> Counts:
    """Searches every chunk for the delimiter and does nothing else. What it finds is not counted."""
    delimiter = b"\r\n--" + form.boundary
    for chunk in form.chunks:
        at = chunk.find(delimiter)
        while at >= 0:
            at = chunk.find(delimiter, at + len(delimiter))
    return form.parts, form.data
