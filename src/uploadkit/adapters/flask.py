"""uploadkit for Flask: a decorator for views, sync and async, and a request class for views that are there already.

`receive` gives a view its files as an argument; they stay when it returns. `request_class` puts them where views and
Flask-WTF look for them, into `request.files`; they go when the request ends, unless they were kept. Under neither does
werkzeug's parser see a byte of a form.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial, wraps
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar
from weakref import finalize

try:
    from flask import Request, Response, after_this_request, current_app, has_request_context, request
    from flask.views import View
    from werkzeug.datastructures import FileStorage, ImmutableMultiDict
    from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, default_exceptions
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.flask needs Flask: pip install 'pyuploadkit[flask]'", name=_missing.name
    ) from _missing

from ..errors import MAX_ERRORS, FieldError, FileRefused, InvalidForm, UploadError
from ..intake.blocking import kept_if_handled, receive_form
from ..intake.plan import OnProgress
from ..intake.spec import Received, Spec, TypedForm, check_spec, check_unregistered
from ..multipart.headers import MULTIPART, URLENCODED
from ..policy.fields import FormRules
from ..policy.limits import Limits
from ..storage.contract import LocalPaths
from ..uploads import UploadedFile
from .asgi import body_length
from .kept import OF_A_FORM, Keepable, remove_unkept
from .problem import log_failure, problem_body, problem_headers
from .sockets import READ_SIZE, Interruption
from .wsgi import body_chunks, drain

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

T = TypeVar("T")
P = ParamSpec("P")


def receive(
    spec: Spec[T],
    *,
    raise_errors: bool = False,
    progress: Callable[[Request], OnProgress | None] | None = None,
) -> Callable[[Callable[Concatenate[T, P], Any]], Callable[P, Any]]:
    """Decorates a view that takes what the spec promises as its first argument.

        @app.post("/profile")
        @receive(upload.single("avatar"))
        def profile(avatar: UploadedFile): ...

    In the view `request.form` holds the text values. Errors are answered with problem details, or raised for Flask's
    error handlers with `raise_errors`. Where the view raises, `abort()` too, the files of the request are removed.
    `progress(request)` gives the `on_progress` of a request, None where nobody watches it. Raises `TypeError` where
    the spec has an async filter: Flask's requests are read by a blocking driver.
    """
    check_spec(spec)
    spec.check_blocking()

    def decorate(view: Callable[Concatenate[T, P], Any]) -> Callable[P, Any]:
        @wraps(view)
        def receiving(*args: P.args, **kwargs: P.kwargs) -> Any:
            if args and isinstance(args[0], View):
                raise TypeError("receive(...) decorates a view function, and not a method of a class-based view")
            try:
                received = _receive(spec, None if progress is None else progress(request))
                with kept_if_handled(spec, received.submission):
                    return current_app.ensure_sync(view)(received.given, *args, **kwargs)
            except UploadError as error:
                if raise_errors:
                    raise
                log_failure(error)
                response = Response(problem_body(error), status=error.status, headers=problem_headers(error))
                return _then_drained(request.environ, error, response)

        return receiving

    return decorate


def request_class(spec: Spec[object], *, errors_in_form: bool = False, base: type[Request] = Request) -> type[Request]:
    """A class for `app.request_class`: `request.form` and `request.files` come from uploadkit in every view.

        app.request_class = request_class(upload.any(accept=IMAGES))

    Nothing else changes, in Flask-WTF neither. The files are `StoredFile`s: what was not kept by then is removed when
    the request ends. An error of the upload is an `UploadProblem` where the form is first looked at. Limits are those
    of the spec; of Flask's own `MAX_CONTENT_LENGTH` holds too. `base` is the request class that the application had.

    With `errors_in_form` a file that breaks a rule of its field is no such error. The view has the text values, and the
    file is a `RefusedFile`, of which Flask-WTF shows the reason in the form; no other file of that form is there.
    Raises `TypeError` where the spec has an async filter, or a pipeline.
    """
    check_spec(spec, taker="request_class", example="upload.any()")
    check_unregistered(spec, taker="request_class", why=OF_A_FORM)
    spec.check_blocking()
    return type("UploadRequest", (_UploadRequest, base), {"_spec": spec, "_errors_in_form": errors_in_form})


class StoredFile(Keepable, FileStorage):
    """A file of `request.files`, over one that is stored already.

    `filename` is safe to show and to save, `content_type` what the file's own bytes show, `content_length` its size;
    the rest is in `uploaded`. It is removed when the request ends, unless `keep` was called.
    """

    def __init__(self, uploaded: UploadedFile) -> None:
        super().__init__(
            uploaded.open(),
            filename=uploaded.filename,
            name=uploaded.field,
            content_type=uploaded.content_type,
            content_length=uploaded.size,
        )
        self.uploaded = uploaded

    def save(self, dst: str | os.PathLike[str] | IO[bytes], buffer_size: int = 1 << 16) -> None:
        """Copies the file, or what of it was not read yet, as werkzeug does; from disk to disk within the kernel."""
        if isinstance(dst, str | os.PathLike) and isinstance(self.uploaded.storage, LocalPaths) and not self.tell():
            shutil.copyfile(self.uploaded.path, dst)
        else:
            super().save(dst, buffer_size)


class RefusedFile(FileStorage):
    """A file of `request.files` that breaks a rule of its field: `reason` says which, safe to show.

    Whatever else is asked of it raises an `UploadProblem`, which answers, and is a `ValueError` too: by such a one
    WTForms learns what is wrong with the value of a field. `error` is that of the whole form.
    """

    def __init__(self, name: str, reason: str, error: UploadError) -> None:
        self.name = name
        self.reason = reason
        self.error = error

    def __getattr__(self, name: str) -> Any:
        """Called for all that a file has and this one has not: its name, its stream, its headers."""
        if name.startswith("__"):  # asked by Python itself, and by those who look what an object can do
            raise AttributeError(name)
        raise self._problem()

    def __bool__(self) -> bool:
        raise self._problem()

    def save(self, dst: str | os.PathLike[str] | IO[bytes], buffer_size: int = 0) -> None:
        raise self._problem()

    def close(self) -> None:
        """There is nothing to close."""

    def __repr__(self) -> str:
        return f"<RefusedFile {self.name!r}: {self.reason}>"

    def _problem(self) -> UploadProblem:
        problem = _problem_class(self.error.status, ValueError)(self.error)
        problem.args = (self.reason,)  # what WTForms shows
        return problem


class UploadProblem(HTTPException):
    """An `UploadError` as the exception that werkzeug has for its status, answered with problem details.

    `@app.errorhandler(413)` sees it as it sees werkzeug's own. `error` is the `UploadError`.
    """

    def __init__(self, error: UploadError) -> None:
        super().__init__(description=str(error))
        self.error = error

    def get_body(self, *_: object, **__: object) -> str:
        log_failure(self.error)
        return problem_body(self.error).decode("ascii")

    def get_headers(self, *_: object, **__: object) -> list[tuple[str, str]]:
        return list(problem_headers(self.error).items())


class _UploadRequest(Request):
    _spec: ClassVar[Spec[object]]
    _errors_in_form: ClassVar[bool]
    _end: Callable[[], object] | None = None

    def _load_form_data(self) -> None:
        # Whatever werkzeug would parse, and nothing else: the body of another request stays unread.
        if "form" not in self.__dict__ and self.mimetype in (MULTIPART, URLENCODED):
            try:
                self._receive_in_form() if self._errors_in_form else self._receive(self._spec)
            except UploadError as error:
                if has_request_context():
                    after_this_request(partial(_then_drained, self.environ, error))
                raise _problem_class(error.status)(error) from error
        super()._load_form_data()  # finds the form; in debug mode it helps where the form has the wrong enctype

    def _receive_in_form(self) -> None:
        gathered = _Gathered(self._spec.typed)
        try:
            self._receive(replace(self._spec, typed=gathered))
        except InvalidForm as error:
            of_files = all(_is_of_a_file(each, self._spec.form) for each in error.errors)
            if not (of_files and gathered.ended and len(error.errors) < MAX_ERRORS):  # or there are more than are told
                raise
            told = error.with_traceback(None)  # its frames hold this request
            fields = [(each.field or "", each.message) for each in error.errors]
            self._show(gathered.values, [(field, RefusedFile(field, reason, told)) for field, reason in fields])

    def _receive(self, spec: Spec[object]) -> None:
        received = _read_form(self, spec)
        with kept_if_handled(spec, received.submission):
            files = [StoredFile(file) for file in received.submission.files]
        # Where a teardown function raises, Flask does not close the request: then it ends when nobody holds it.
        self._end = finalize(self, remove_unkept, files)
        stored = [(file.uploaded.field, file) for file in files]
        unchosen = [(name, FileStorage(filename="", name=name)) for name in received.unchosen]
        self._show(received.submission.fields.multi_items(), [*stored, *unchosen])

    def _show(self, texts: Sequence[tuple[str, str]], files: Sequence[tuple[str, FileStorage]]) -> None:
        values = self.parameter_storage_class
        self.__dict__["form"], self.__dict__["files"] = values(texts), values(files)

    def close(self) -> None:
        super().close()
        if self._end is not None:
            self._end()


class _Gathered:
    """Has the plan look for all errors of a form, as in a typed one, and notes the text values that it saw meanwhile.

    `ended` is whether the form was looked through to its end.
    """

    def __init__(self, typed: TypedForm | None) -> None:
        self._typed = typed
        self.values: Sequence[tuple[str, str]] = ()
        self.ended = False

    def errors(self, values: Sequence[tuple[str, str]], *, ended: bool) -> list[FieldError]:
        self.values, self.ended = tuple(values), ended
        return [] if self._typed is None else self._typed.errors(values, ended=ended)


def _is_of_a_file(error: FieldError, form: FormRules) -> bool:
    """Whether a view finds the error when it looks at a file. Every other one it would never see."""
    if error.field is None or error.field in form.texts:
        return False
    return error.code == FileRefused.code or error.limit in _LIMITS_OF_A_FILE or error.field in form.files


_LIMITS_OF_A_FILE = ("max_size", "max_count", "file_size")


@cache
def _problem_class(status: int, *also: type[Exception]) -> type[UploadProblem]:
    """Flask finds the handler for a status by the class of an exception, whose `code` it is."""
    like = default_exceptions.get(status, HTTPException)
    return type("UploadProblem", (UploadProblem, like, *also), {"code": status})


def _then_drained(environ: WSGIEnvironment, error: UploadError, response: Response) -> Response:
    response.call_on_close(partial(drain, environ, error))
    return response


def _receive(spec: Spec[T], on_progress: OnProgress | None) -> Received[T]:
    parsed = request.__dict__  # where werkzeug keeps what it has parsed
    if "form" in parsed or "_cached_data" in parsed:
        raise RuntimeError(
            "the body of this request was read before uploadkit could: request.form, request.files or request.data "
            "was used before the view. Take all files and text values with one receive(upload.fields(...))"
        )
    received = _read_form(request, spec, on_progress)
    parsed["form"] = ImmutableMultiDict(received.submission.fields.multi_items())
    return received


def _read_form(request: Request, spec: Spec[T], on_progress: OnProgress | None = None) -> Received[T]:
    """Receives the form. Nobody else reads the body from here on, whatever becomes of it."""
    parsed = request.__dict__
    length = body_length(request.environ.get("CONTENT_LENGTH"))
    chunks = body_of(request, length, spec.limits)
    parsed["form"], parsed["files"] = ImmutableMultiDict(), ImmutableMultiDict()
    with closing(chunks):
        return receive_form(
            spec, request.headers.get("Content-Type"), chunks, content_length=length, on_progress=on_progress
        )


def body_of(
    request: Request, length: int | None, limits: Limits, interruption: Interruption | None = None
) -> Generator[bytes]:
    """The body of a request, as far as nobody has begun to read it by other ways; closed after use. Nobody else reads
    it from here on. `length` is the request's, None where it has none.

    Raises Flask's own error where that is more than its own limit.
    """
    parsed = request.__dict__
    data, stream = parsed.get("_cached_data"), parsed.get("stream")
    if data is None and stream is None:
        _ = request.stream  # raises where the Content-Length is more than Flask's own limit
    parsed["stream"] = BytesIO()
    if data is not None:
        return (chunk for chunk in [data])
    if stream is not None:
        return (chunk for chunk in iter(partial(stream.read, READ_SIZE), b""))
    return _unread_chunks(request, length, limits, interruption)


def _unread_chunks(
    request: Request, length: int | None, limits: Limits, interruption: Interruption | None
) -> Generator[bytes]:
    """The body. What Flask's own `max_content_length` says of it holds too, with Flask's own error."""
    rest = request.max_content_length
    with closing(body_chunks(request.environ, length, limits, interruption)) as chunks:
        for chunk in chunks:
            if rest is not None:
                rest -= len(chunk)
                if rest < 0:
                    raise RequestEntityTooLarge
            yield chunk
            del chunk
