"""uploadkit for users of streaming-form-data: their parser reads the form, and everything else is uploadkit's.

    with FormTargets(upload.single("avatar", accept=IMAGES)) as form:
        parser = StreamingFormDataParser(headers=request.headers)
        form.register(parser)
        for chunk in chunks:
            parser.data_received(chunk)
        avatar = form.finish()

The parts that the parser tells of become the events of `intake.plan`, which decides as it does for a form of our own
parser: limits, names, types, filters, checks, all files or none. What the parser does not tell, nobody here knows: how
the parts were framed, what stood in their other headers, and whether the last boundary has come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from traceback import walk_tb
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar

try:
    from streaming_form_data.parser import ParseFailedException, StreamingFormDataParser, UnexpectedPartException
    from streaming_form_data.targets import BaseTarget
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.streaming_form_data needs streaming-form-data: "
        "pip install 'pyuploadkit[streaming-form-data]'",
        name=_missing.name,
    ) from _missing

from ..errors import MalformedForm, TruncatedForm, UnexpectedField, UploadError, quoted
from ..intake.blocking import Pushed, kept_if_handled
from ..intake.spec import Spec, check_spec
from ..multipart.events import PART_END, Event, PartBegin
from ..multipart.headers import check_names
from ..policy.limits import Limits

T = TypeVar("T")

_control = re.compile(r"[\x00-\x1f\x7f]").search


class FormTargets(Generic[T]):
    """The targets of one form, for a `StreamingFormDataParser`: they stage its files, and `finish` publishes all.

    Used once, in a `with` block. Where the block ends without `finish`, nothing is stored; where it raises after
    `finish`, the files are removed, unless the spec keeps them. What the parser raises leaves the block as an
    `UploadError`: `MalformedForm`, or in its strict mode `UnexpectedField`. Raises `TypeError` where the spec has an
    async filter or key maker, and `Overloaded` where its capacity has no place.
    """

    def __init__(self, spec: Spec[T]) -> None:
        check_spec(spec)
        spec.check_blocking()
        self._spec = spec
        self._parts = _Parts(spec.limits)
        self._intake: Pushed[T] | None = None
        self._failure: BaseException | None = None  # is raised again, whoever has caught it
        self._kept: AbstractContextManager[None] | None = None  # when it was received
        self._left = False

    def __enter__(self) -> Self:
        if self._intake is not None:
            raise RuntimeError("the targets of a form are for one form; make new ones for the next")
        self._intake = Pushed(self._spec, self._parts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        intake, self._left = self._intake, True
        self._failure = None  # its frames hold this form
        if self._kept is not None:
            self._kept.__exit__(kind, error, traceback)
        elif intake is not None and not intake.ended:
            _abandon(intake, error)
        refusal = None if error is None else _refusal(error)
        if refusal is not None:
            raise refusal from error

    def register(self, parser: StreamingFormDataParser) -> None:
        """Takes every part of the form, but those of fields that were registered before.

        So a file in a field that the spec does not declare is refused, and not dropped. It comes last: the parser
        would give every part to what is registered after it too.
        """
        target = _FieldTarget(self, "every field")

        def matches(_: str, name: str) -> bool:
            target.name = name
            return True

        parser.register(target.name, target, matches)

    def target(self, name: str) -> Any:
        """The `BaseTarget` of one field, for `parser.register(name, form.target(name))`: beside targets of your own.

        Raises `ValueError` for a field that the spec does not declare; which texts a typed form has, its model says.
        """
        form = self._spec.form
        if self._spec.typed is None and form.rule_for(name) is None and name not in form.texts:
            declared = ", ".join(map(repr, [*form.files, *form.texts])) or "none"
            raise ValueError(f"the spec declares no field {name!r}; it declares {declared}")
        return _FieldTarget(self, name)

    def finish(self) -> T:
        """The whole body went through the parser: publishes the files, and returns what the spec promises.

        Raises `TruncatedForm` where a part has not ended, and else what `receive` raises at the end of a body.
        """
        intake = self._running()
        try:
            received = intake.end()
        except BaseException as error:
            self._failure = error
            raise
        self._kept = kept_if_handled(self._spec, received.submission)
        self._kept.__enter__()
        return received.given

    def _begin(self, target: _FieldTarget) -> None:
        self._running()
        self._parts.begin(target)

    def _feed(self, chunk: bytes) -> None:
        intake = self._running()
        try:
            self._parts.tell_begin()
            intake.feed(chunk)
        except BaseException as error:
            self._fail(intake, error)

    def _end(self) -> None:
        intake = self._running()
        try:
            self._parts.end()
            intake.feed(b"")
        except BaseException as error:
            self._fail(intake, error)

    def _fail(self, intake: Pushed[T], error: BaseException) -> NoReturn:
        self._failure = error
        intake.abandon(error)
        raise error

    def _running(self) -> Pushed[T]:
        if self._intake is None or self._left:
            raise RuntimeError("the targets of a form are used inside of their block: with FormTargets(spec) as form")
        if self._failure is not None:
            raise self._failure
        if self._kept is not None:
            raise RuntimeError("the form was finished before")
        return self._intake


class _FieldTarget(BaseTarget):  # type: ignore[misc]  # which ships no types
    """A target that hands its parts to a form."""

    multipart_content_type: str | None

    def __init__(self, form: FormTargets[Any], name: str) -> None:
        super().__init__()
        self.name = name
        self._form = form

    def on_start(self) -> None:
        # The parser knows its filename by now, and tells its type afterwards, where it has one. Without this a part
        # that has none would have that of the part before.
        self.multipart_content_type = None
        self._form._begin(self)

    def on_data_received(self, chunk: bytes) -> None:
        self._form._feed(chunk)

    def on_finish(self) -> None:
        self._form._end()

    async def on_start_async(self) -> None:
        _refuse_async()

    async def on_data_received_async(self, chunk: bytes) -> None:
        _refuse_async()

    async def on_finish_async(self) -> None:
        _refuse_async()


class _Parts:
    """What a parser tells its targets, as the events of a `FormParser` whose chunks are the data of the parts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._events: list[Event] = []
        self._open: _FieldTarget | None = None
        self._told = False  # that it began

    def begin(self, target: _FieldTarget) -> None:
        self._open, self._told = target, False

    def tell_begin(self) -> None:
        """With the first data, when all headers of the part were read."""
        if self._open is None:
            # A parser that fails in the middle of a part ends it twice.
            raise MalformedForm("the form cannot be parsed")
        if not self._told:
            self._events.append(_part_begin(self._open, self._limits))
            self._told = True

    def end(self) -> None:
        self.tell_begin()
        self._open = None
        self._events.append(PART_END)

    def feed(self, chunk: bytes) -> Iterable[Event]:
        events, self._events = self._events, []
        return [*events, chunk] if chunk else events

    def close(self) -> Iterable[Event]:
        if self._open is not None:
            raise TruncatedForm
        return ()


def _part_begin(target: _FieldTarget, limits: Limits) -> PartBegin:
    """What the parser lets through in names and our own does not is refused; `%22` is a quote (HTML Standard)."""
    name, filename, declared = target.name, target.multipart_filename, target.multipart_content_type
    if _control(name) or _control(filename or ""):
        raise MalformedForm("a part has a header with control characters")
    begin = PartBegin(
        name=name.replace("%22", '"'),
        filename=None if filename is None else filename.replace("%22", '"'),
        content_type=declared.lower() if declared else None,
    )
    check_names(begin, limits)
    return begin


def _abandon(intake: Pushed[T], error: BaseException | None) -> None:
    """The block was left. Where nothing was wrong, only a file that could not be removed is told."""
    reason = RuntimeError("the form was left before finish()") if error is None else error
    intake.abandon(reason)
    if error is None and hasattr(reason, "__notes__"):
        raise reason


def _refusal(error: BaseException) -> UploadError | None:
    """What the parser or one of its own targets says of a bad form, in the words of uploadkit; None for all else."""
    if isinstance(error, UnexpectedPartException):
        name: str = error.part_name
        return UnexpectedField(f"no field {quoted(name)} is taken", field=name)
    if isinstance(error, ParseFailedException):
        return MalformedForm("the form cannot be parsed")
    if isinstance(error, UnicodeDecodeError) and _comes_from_parser(error):
        return MalformedForm("a part has a header or a value that is not UTF-8")
    return None


def _comes_from_parser(error: BaseException) -> bool:
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("streaming_form_data.")


def _refuse_async() -> NoReturn:
    raise RuntimeError(
        "FormTargets write where they are called: feed the parser with data_received, under asyncio in a thread, "
        "or take the form with uploadkit.areceive"
    )
