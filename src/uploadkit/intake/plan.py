"""Turns a form's events into steps. Reads no clock, opens no file, knows no event loop.

One generator decides everything about one request: it yields steps, is sent their answers, and has their errors
thrown in. All files are staged; they are published together when the body has ended well and everything agrees.
Every way out but the good one, cancellation included, first yields a `Discard` or `Delete` for each file that was
opened, and then a `Refuse` for those that a register was told of. Every limit is checked before a step is made of the
bytes that it counts.

The first error ends a request. In a typed form an error of one field does not: from there on nothing more is stored,
and the rest is looked through for further errors, which are told together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from ..errors import (
    MAX_ERRORS,
    FieldError,
    FieldMissing,
    FieldRefused,
    FileRefused,
    InvalidForm,
    LimitExceeded,
    MalformedForm,
    SenderError,
    StorageFailed,
    TruncatedForm,
    UnexpectedField,
    UnsupportedMediaType,
    quoted,
)
from ..multipart.events import Event, FormParser, PartBegin, PartEnd
from ..multipart.headers import MULTIPART, URLENCODED, media_type
from ..multipart.parser import MultipartParser
from ..multipart.urlencoded import UrlencodedParser
from ..policy.accept import resolve
from ..policy.accounting import Account, exceeded
from ..policy.endings import check_head
from ..policy.fields import FileRule, FormRules
from ..policy.filenames import safe_filename
from ..policy.filters import IncomingFile
from ..policy.limits import Limits
from ..policy.media_types import extension_of
from ..policy.signatures import HEAD_SIZE
from ..storage.contract import Storage, StoredObject
from ..uploads import FieldValues, Register, Submission, UploadedFile
from .landing import Landing
from .spec import Received, Spec
from .steps import END, READ, Ask, Begin, Commit, Delete, Discard, Examine, Move, Open, Refuse, Stage, Steps, Write

T = TypeVar("T")


OnProgress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes received so far and the Content-Length, None where there is none, after every chunk.

It runs where the form is received, under ASGI in the event loop: it returns at once, and is no async function.
"""


OnRefused: TypeAlias = Callable[[SenderError, int], object]
"""Told what a rule of one field refused, and how many came in that field before it. The form goes on without it.

Where this raises the form has ended, as it does where nobody is told.
"""


class Gate(Protocol):
    """Lets an adapter judge a form by its text values while it arrives. Both may be async and may raise to refuse."""

    def text(self, name: str, value: str) -> object:
        """A text value has arrived."""
        ...

    def end(self) -> object:
        """The form has ended well; nothing is published yet."""
        ...


def plan(
    spec: Spec[T],
    content_type: str | None,
    *,
    content_length: int | None = None,
    gate: Gate | None = None,
    on_progress: OnProgress | None = None,
    on_refused: OnRefused | None = None,
    hold_text: Callable[[int], None] | None = None,
    parser: FormParser | None = None,
) -> Steps[Received[T]]:
    """The steps that receive one request; the generator returns what was received.

    `content_length` is what the client said, None where it said nothing. With `on_refused` what breaks a rule of its
    field is left out, and a typed form is none. `hold_text` is told of every byte of a text value before it is held,
    and may raise. `parser` is another one than the Content-Type asks for. Raises `SenderError`s, and what a step's
    performer throws in.
    """
    intake = _Intake(spec, content_type, content_length, gate, on_progress, on_refused, hold_text, parser)
    try:
        yield from intake.receive()
        return (yield from intake.publish(spec))
    except BaseException as error:
        yield from intake.withdraw(error)
        raise


GATHER_SIZE = 16 << 20
"""Bytes that are looked through for further errors after the first one of a typed form. So much is read on after any
early answer, so that clients see it."""


@dataclass(slots=True)
class _Text:
    """The text value that is open."""

    begin: PartBegin
    value: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Unchosen:
    """A file input in which nothing was chosen: no file name, and no byte so far."""

    begin: PartBegin


class _Refused:
    """A part with an error that was gathered: its data is of no use."""


@dataclass(slots=True, eq=False)
class _Landed:
    """A file whose sink was opened."""

    rule: FileRule
    incoming: IncomingFile
    key: str
    landing: Landing
    size: int = 0  # what was received, when all of it was
    stored: StoredObject | None = None


@dataclass(slots=True)
class _File:
    """A file that is arriving: its head is held until it has been judged. It has landed when its sink was opened."""

    begin: PartBegin
    rule: FileRule
    size: int = 0
    head: list[bytes] = field(default_factory=list)
    judged: bool = False
    begun: str | None = None  # its id, when the register knows of it
    landed: _Landed | None = None


class _Intake:
    def __init__(
        self,
        spec: Spec[object],
        content_type: str | None,
        content_length: int | None,
        gate: Gate | None,
        on_progress: OnProgress | None,
        on_refused: OnRefused | None,
        hold_text: Callable[[int], None] | None,
        parser: FormParser | None,
    ) -> None:
        self._spec = spec
        self._form = spec.form
        self._content_type = content_type
        self._content_length = content_length
        self._gate = gate
        self._on_progress = on_progress
        self._on_refused = on_refused
        self._hold_text = hold_text
        self._parser = parser
        self._account = Account(spec.limits)
        self._open: _Text | _Unchosen | _File | _Refused | None = None
        self._files: list[_Landed] = []  # in the order of their arrival
        self._register = spec.register
        self._begun: list[str] = []  # of what the register was told, and not yet that it came to nothing
        self._batch = ""
        self._values: list[tuple[str, str]] = []
        self._unchosen: list[str] = []
        self._counts: dict[str, int] = {}  # files, and values of declared text fields
        self._typed = spec.typed
        self._judged = 0  # so many of the values a typed form has seen
        self._text_errors: list[FieldError] = []  # what it said of them
        self._errors: list[FieldError] = []  # of files, and of how often a field was sent
        self._until = math.inf  # after so many bytes of the body no further errors are looked for: there is one

    def receive(self) -> Steps[None]:
        """Takes the body, and stages its files."""
        account = self._account
        parser = self._parser or _parser_for(self._content_type, self._spec.limits)
        if self._content_length is not None:
            account.expect_body(self._content_length)
        while True:
            chunk = yield READ
            if chunk is END:
                break
            yield from self._take(self._events(parser, chunk))
            account.check_body()
            if self._on_progress is not None:
                self._on_progress(account.body, self._content_length)
            if account.body >= self._until:
                self._check_typed(ended=False)
            del chunk  # nobody holds it while the next one is read, which finds its memory free
        yield from self._take(parser.close())
        if self._content_length is not None and account.body < self._content_length:
            raise TruncatedForm("the body is shorter than its Content-Length")

    def _events(self, parser: FormParser, chunk: object) -> Iterable[Event]:
        if not isinstance(chunk, bytes):  # another buffer may change while its bytes are still held
            raise TypeError(f"a body comes in chunks of bytes, not of {type(chunk).__name__}")
        inside = self._account.count_body(len(chunk))
        return parser.feed(chunk if inside == len(chunk) else chunk[:inside])

    def publish(self, spec: Spec[T]) -> Steps[Received[T]]:
        """Makes all files visible, when nothing is missing and the handler can be given what it expects."""
        self._check_required()
        if not self._stores:
            self._check_typed(ended=True)
        if self._gate is not None:
            yield Ask(self._gate.end, ())
        submission = Submission(
            files=[_uploaded(file, self._register) for file in self._files], fields=FieldValues(self._values)
        )
        received = Received(submission, spec.give(submission), unchosen=tuple(self._unchosen))
        for file in self._files:
            if file.rule.staging is not None:
                yield Move(file.landing)
        for file in self._files:
            file.stored = stored = yield Commit(file.landing)
            _check_whole(file, stored)
        return received

    def withdraw(self, error: BaseException) -> Steps[None]:
        """Leaves nothing behind. An error meanwhile stops none of it: it is noted on the one that is the reason.

        What is no `Exception`, such as a second Ctrl-C, is raised in its place when all is done.
        """
        urgent: BaseException | None = None
        for file in reversed(self._files):
            try:
                if file.stored is not None:
                    yield Delete(file.rule.storage, file.stored.key)
                else:
                    yield Discard(file.landing)
            except GeneratorExit:
                raise
            except BaseException as also:
                urgent = urgent if isinstance(also, Exception) else also
                error.add_note(f"and the file in field {quoted(file.incoming.field)} could not be removed: {also!r}")
        begun, self._begun = self._begun, []  # it is told once, whatever it answers
        try:
            if self._register is not None and begun:
                yield Refuse(self._register, tuple(begun), error)
        except GeneratorExit:
            raise
        except BaseException as also:
            urgent = urgent if isinstance(also, Exception) else also
            error.add_note(f"and its register could not be told: {also!r}")
        if urgent is not None:
            raise urgent

    def _take(self, events: Iterable[Event]) -> Steps[None]:
        for event in events:
            try:
                if isinstance(event, bytes):
                    if isinstance(self._open, _Text):
                        self._take_text(self._open, event)
                    else:
                        yield from self._take_data(event)
                elif isinstance(event, PartBegin):
                    self._begin(event)
                elif isinstance(event, PartEnd):
                    if isinstance(self._open, _File):
                        yield from self._end_file(self._open)
                    elif isinstance(self._open, _Text):
                        self._end_text(self._open)
                        if self._gate is not None:
                            yield Ask(self._gate.text, self._values[-1])
                    elif isinstance(self._open, _Unchosen):
                        self._unchosen.append(self._open.begin.name)
                    self._open = None
            except SenderError as error:
                if not self._goes_on or not _is_of_a_field(error):
                    raise
                self._gather(error)
                yield from self._give_up(event, error)

    @property
    def _goes_on(self) -> bool:
        """Whether the form is received further after an error of one field."""
        return self._typed is not None or self._on_refused is not None

    def _gather(self, error: SenderError) -> None:
        """An error of one field: there may be more of them."""
        if error.field is None and isinstance(self._open, _File):
            error.field = self._open.begin.name
        if self._on_refused is not None:
            self._on_refused(error, max(0, self._counts.get(error.field or "", 0) - 1))
            return
        if len(self._errors) < MAX_ERRORS:
            self._errors.append(FieldError.of(error))
        self._end_storing()

    @property
    def _stores(self) -> bool:
        """Whether a typed form has no error so far."""
        return self._until == math.inf

    def _end_storing(self) -> None:
        self._until = min(self._until, self._account.body + GATHER_SIZE)

    def _give_up(self, event: Event, error: SenderError) -> Steps[None]:
        """The part that had an error: nothing of it is kept, and the rest of it is not looked at."""
        opened, self._open = self._open, None if isinstance(event, PartEnd) else _Refused()
        if isinstance(opened, _File) and opened.landed is not None:
            yield Discard(opened.landed.landing)
            self._files.remove(opened.landed)
        if isinstance(opened, _File) and opened.begun is not None and self._register is not None:
            self._begun.remove(opened.begun)
            yield Refuse(self._register, (opened.begun,), error)

    def _check_typed(self, *, ended: bool) -> None:
        """Raises all errors of a typed form."""
        texts = self._typed.errors(self._values, ended=ended) if self._typed is not None else []
        told = {error.field for error in self._errors}  # a value that was refused is not missing as well
        raise InvalidForm([*self._errors, *(text for text in texts or self._text_errors if text.field not in told)])

    def _begin(self, begin: PartBegin) -> None:
        self._account.begin_part()
        if begin.filename is None:
            self._account.begin_field(begin.name)
            if begin.name in self._form.texts:
                self._count(begin.name, self._form.texts[begin.name].max_count)
            self._open = _Text(begin)
        else:
            self._open = self._begin_file(begin) if begin.filename else _Unchosen(begin)

    def _begin_file(self, begin: PartBegin) -> _File:
        rule = self._form.rule_for(begin.name)
        if rule is None:
            raise UnexpectedField(_unexpected(begin.name, self._form), field=begin.name)
        self._account.begin_file(begin.name, rule.max_size)
        self._count(begin.name, rule.max_count)
        return _File(begin, rule)

    def _count(self, name: str, allowed: int | None) -> None:
        seen = self._counts[name] = self._counts.get(name, 0) + 1
        if allowed is not None and seen > allowed:
            raise exceeded("max_count", allowed, seen, name)

    def _take_text(self, text: _Text, data: bytes) -> None:
        self._account.count_field(len(data))
        if self._hold_text is not None:
            self._hold_text(len(data))
        text.value += data

    def _take_data(self, data: bytes) -> Steps[None]:
        opened = self._open
        if isinstance(opened, _Refused):
            return
        if isinstance(opened, _Unchosen):
            opened = self._open = self._begin_file(opened.begin)
        if not isinstance(opened, _File):
            raise RuntimeError("a parser gave data outside of a part")
        if not opened.judged:
            # Judged by its head before more of it is counted, so that the same reason is named wherever a chunk ends.
            missing = HEAD_SIZE - opened.size
            if len(data) >= missing and not opened.head:  # a head and more of one piece is written as it came
                self._count_data(opened, missing)
                yield from self._land(opened, data[:missing])
                self._count_data(opened, len(data) - missing)
                if opened.landed is not None:
                    yield Write(opened.landed.landing, data)
                return
            head, data = data[:missing], data[missing:]
            self._count_data(opened, len(head))
            opened.head.append(head)
            if opened.size < HEAD_SIZE:
                return
            yield from self._land_head(opened)
        if data:
            self._count_data(opened, len(data))
            if opened.landed is not None:
                yield Write(opened.landed.landing, data)

    def _count_data(self, file: _File, size: int) -> None:
        self._account.count_file(size)
        file.size += size

    def _land_head(self, file: _File) -> Steps[None]:
        """Lands a file whose head came in pieces, or is all of it."""
        held = b"".join(file.head)
        file.head.clear()
        yield from self._land(file, held)
        if held and file.landed is not None:
            yield Write(file.landed.landing, held)

    def _land(self, file: _File, head: bytes) -> Steps[None]:
        """Judges a file by its head, and the text values before it, and opens its sink, where no error was found."""
        file.judged = True
        self._judge_texts()
        rule = file.rule
        incoming = self._incoming(file, head)
        check_head(incoming, rule.accept)
        if rule.filter is not None:
            agreed = yield Ask(rule.filter, (incoming,))
            check_agreed(agreed, rule.filter, incoming)
        if not self._stores:
            return
        if rule.key_maker is None:
            key = self._spec.new_key(extension_of(incoming.content_type))
        else:
            key = yield Ask(rule.key_maker, (incoming,))
        if self._register is not None:
            yield from self._tell(self._register, file, incoming, key)
        landing = yield Open(
            rule=rule, key=key, file=incoming, digest=self._spec.digests, max_size=self._account.file_room
        )
        file.landed = _Landed(rule, incoming, key, landing)
        self._files.append(file.landed)

    def _tell(self, register: Register, file: _File, incoming: IncomingFile, key: str) -> Steps[None]:
        """The register knows of a file before anything of it is stored."""
        self._batch = self._batch or self._spec.new_key("")
        storage, own = file.rule.storage, file.rule.key_maker is None
        yield Begin(register=register, file=incoming, storage=storage, key=key if own else None, batch=self._batch)
        file.begun = incoming.id
        self._begun.append(incoming.id)

    def _judge_texts(self) -> None:
        """What is wrong with the text values of a typed form is known before the next file is stored."""
        if self._typed is not None and self._stores and self._judged < len(self._values):
            fresh = self._values[self._judged :]  # each value is judged once, however many files come between them
            self._judged = len(self._values)
            self._text_errors = self._typed.errors(fresh, ended=False)
            if self._text_errors:
                self._end_storing()

    def _incoming(self, file: _File, head: bytes) -> IncomingFile:
        begin, rule = file.begin, file.rule
        client_filename = begin.filename or ""
        content_type = resolve(
            head, filename=client_filename, declared_type=begin.content_type, accept=rule.accept, field=begin.name
        )
        return IncomingFile(
            id=self._spec.new_key(""),
            field=begin.name,
            filename=shown_name(client_filename, content_type),
            client_filename=client_filename,
            content_type=content_type,
            declared_type=begin.content_type,
            head=head,
            fields=tuple(self._values),
        )

    def _end_file(self, file: _File) -> Steps[None]:
        if file.size < file.rule.min_size:
            text = f"the file in field {quoted(file.begin.name)} has fewer than {file.rule.min_size} bytes"
            raise FileRefused(text, field=file.begin.name, filter="min_size")
        if not file.judged:
            yield from self._land_head(file)
        landed = file.landed
        if landed is None:
            return
        landed.size = file.size
        yield Stage(landed.landing)
        for check in landed.rule.staged_checks:
            yield Examine(landed.landing, check, landed.incoming)

    def _end_text(self, text: _Text) -> None:
        name = text.begin.name
        try:
            value = text.value.decode(text.begin.charset)
        except UnicodeDecodeError:
            raise MalformedForm(f"the value of field {quoted(name)} is not in its charset", field=name) from None
        rule = self._form.texts.get(name)
        if rule is not None and rule.max_length is not None and len(value) > rule.max_length:
            raise FieldRefused(f"field {quoted(name)} has more than {rule.max_length} characters", field=name)
        self._values.append((name, value))

    def _check_required(self) -> None:
        missing = [*self._missing()]
        if missing and not self._goes_on:
            raise missing.pop(0)  # which no frame of its own traceback holds
        for error in missing:
            self._gather(error)

    def _missing(self) -> Iterator[FieldMissing]:
        for name, rule in self._form.files.items():
            if rule.min_count and name not in self._counts and any(name == sent for sent, _ in self._values):
                why = f"field {quoted(name)} was sent as text: a form sends files with enctype={quoted(MULTIPART)}"
                yield FieldMissing(why, field=name)
            else:
                yield from _too_few(name, self._counts.get(name, 0), rule.min_count)
        for name, text in self._form.texts.items():
            yield from _too_few(name, self._counts.get(name, 0), int(text.required))
        rest = self._form.any_file
        if rest is not None and len(self._files) < rest.min_count:
            yield FieldMissing(f"the form has {len(self._files)} files, at least {rest.min_count} are needed")


def _parser_for(content_type: str | None, limits: Limits) -> FormParser:
    kind = media_type(content_type)
    if kind == MULTIPART:
        return MultipartParser(content_type, limits)
    if kind == URLENCODED:
        return UrlencodedParser(content_type, limits)
    sent = quoted(kind) if kind else "none"
    raise UnsupportedMediaType(f"a form is sent as {MULTIPART} or {URLENCODED}; the Content-Type is {sent}")


def shown_name(client_filename: str, content_type: str) -> str:
    """The client's name for a file, made safe to show and to save."""
    try:
        return safe_filename(client_filename)
    except ValueError:  # nothing of it is left
        return "file" + extension_of(content_type)


def _unexpected(name: str, form: FormRules) -> str:
    """Tells the fields that are taken: a wrong name is the first mistake that everybody makes."""
    text = f"no file is taken in field {quoted(name)}"
    return f"{text}, only in {', '.join(map(quoted, form.files))}" if form.files else text


def check_agreed(agreed: object, asked: Callable[..., object], file: IncomingFile) -> None:
    """Raises `FileRefused` where a filter that was `asked` has not `agreed`, `TypeError` where it has not answered."""
    name = getattr(asked, "__name__", type(asked).__name__)
    if not isinstance(agreed, bool):
        raise TypeError(f"filter {name!r} returned {agreed!r}; a filter returns True or False")
    if not agreed:
        text = f"the file in field {quoted(file.field)} was refused"
        raise FileRefused(text, field=file.field, filter=name, detected=file.content_type)


def _too_few(name: str, seen: int, needed: int) -> Iterator[FieldMissing]:
    if seen == 0 < needed:
        yield FieldMissing(f"field {quoted(name)} is missing", field=name)
    elif seen < needed:
        yield FieldMissing(f"field {quoted(name)} was sent {seen} times, at least {needed} are needed", field=name)


def _is_of_a_field(error: SenderError) -> bool:
    """Whether a rule of one field was broken. What breaks the form, or a limit that protects the process, ends it."""
    if isinstance(error, LimitExceeded):
        return error.limit in ("max_size", "max_count", "file_size", "field_size")
    return isinstance(error, FileRefused | FieldRefused | FieldMissing | UnexpectedField)


def _check_whole(file: _Landed, stored: StoredObject) -> None:
    """A storage may lose bytes and not know it; what it says it has is looked at here."""
    if stored.key != file.key:
        raise StorageFailed("the storage kept the file under another key", storage=file.rule.storage.name, key=file.key)
    if stored.size != file.size:
        text = f"the storage kept {stored.size} of {file.size} bytes"
        raise StorageFailed(text, storage=file.rule.storage.name, key=stored.key)


def _uploaded(file: _Landed, register: Register | None) -> UploadedFile:
    digest = file.landing.digest
    return uploaded(file.incoming, file.key, file.rule.storage, size=file.size, sha256=digest, register=register)


def uploaded(
    incoming: IncomingFile,
    key: str,
    storage: Storage,
    *,
    size: int,
    sha256: str | None,
    register: Register | None = None,
) -> UploadedFile:
    """What a handler is given of a file that came in and is stored under `key`."""
    return UploadedFile(
        id=incoming.id,
        field=incoming.field,
        filename=incoming.filename,
        client_filename=incoming.client_filename,
        content_type=incoming.content_type,
        declared_type=incoming.declared_type,
        size=size,
        sha256=sha256,
        key=key,
        storage=storage,
        register=register,
    )
