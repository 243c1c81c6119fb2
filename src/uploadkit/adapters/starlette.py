"""uploadkit for Starlette: a decorator for endpoints, and one for endpoints that have `request.form()` already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import Parameter, iscoroutinefunction, isfunction, signature
from io import BytesIO
from typing import TypeVar

try:
    from starlette.datastructures import FormData, Headers, UploadFile
    from starlette.requests import Request
    from starlette.responses import Response
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.starlette needs Starlette: pip install 'pyuploadkit[starlette]'", name=_missing.name
    ) from _missing

from ..errors import TruncatedForm, UploadError
from ..intake.asynchronous import akept_if_handled, areceive_form
from ..intake.plan import OnProgress
from ..intake.spec import Received, Spec, check_spec, check_unregistered
from ..multipart.headers import MULTIPART, URLENCODED, media_type
from ..storage.threads import in_thread
from ..uploads import UploadedFile
from .asgi import Body, Receive, Scope, Send, form_headers, send_problem
from .kept import OF_A_FORM, Keepable, remove_unkept
from .problem import log_failure, problem_body, problem_headers

T = TypeVar("T")

_BODY = "uploadkit.body"
"""Where a scope has the `Body` of its request, for the answer to an error."""


def receive(
    spec: Spec[T], *, raise_errors: bool = False, progress: Callable[[Request], OnProgress | None] | None = None
) -> Callable[[Callable[[Request, T], Awaitable[Response]]], Callable[[Request], Awaitable[Response]]]:
    """Decorates an endpoint that takes what the spec promises after its request.

    Errors are answered with problem details, or raised for Starlette's exception handlers with `raise_errors`. Where
    the endpoint raises, the files of the request are removed. In the endpoint `await request.form()` gives the text
    values. `progress(request)` gives the `on_progress` of a request, None where nobody watches it. Raises `TypeError`
    where the endpoint is no async function, or a method.
    """
    check_spec(spec)

    def decorate(endpoint: Callable[[Request, T], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        _check_endpoint(endpoint, "receive", takes=2)

        @wraps(endpoint)
        async def receiving(request: Request) -> Response:
            try:
                received = await receive_request(spec, request, progress)
                async with akept_if_handled(spec, received.submission):
                    return await endpoint(request, received.given)
            except UploadError as error:
                if raise_errors:
                    raise
                return ProblemResponse(error)

        return receiving

    return decorate


def request_form(
    spec: Spec[object], *, raise_errors: bool = False
) -> Callable[[Callable[[Request], Awaitable[Response]]], Callable[[Request], Awaitable[Response]]]:
    """Decorates an endpoint whose `request.form()` is to come from uploadkit; nothing else of it changes.

        @request_form(upload.any(accept=IMAGES))
        async def profile(request: Request) -> Response:
            async with request.form() as form:
                avatar = form["avatar"]

    The files are `StoredFile`s. What was not kept is removed when the form is closed, at the latest when the endpoint
    ends, before its answer begins. The form is received when it is first asked for; limits are those of the spec, and
    arguments of `form()` change nothing. Errors are answered with problem details, or raised for Starlette's exception
    handlers with `raise_errors`. Raises `TypeError` where the endpoint is no async function, or a method, and where the
    spec has a pipeline.
    """
    check_spec(spec, taker="request_form", example="upload.any()")
    check_unregistered(spec, taker="request_form", why=OF_A_FORM)

    def decorate(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        _check_endpoint(endpoint, "request_form", takes=1)

        @wraps(endpoint)
        async def serving(request: Request) -> Response:
            async def get_form(**_: object) -> FormData:
                return await _form_of(request, spec)

            # What form() asks for the form. Starlette makes its requests itself, and has no setting for their class.
            request._get_form = get_form  # type: ignore[method-assign]
            try:
                return await endpoint(request)
            except UploadError as error:
                if raise_errors:
                    raise
                return ProblemResponse(error)
            finally:
                await request.close()

        return serving

    return decorate


class StoredFile(Keepable, UploadFile):
    """A file of `request.form()`, over one that is stored already.

    `filename` is safe to show and to save, `content_type` what the file's own bytes show; the rest is in `uploaded`. It
    is removed when its form is closed, unless `keep` was called.
    """

    def __init__(self, uploaded: UploadedFile) -> None:
        super().__init__(
            uploaded.open(),
            size=uploaded.size,
            filename=uploaded.filename,
            headers=Headers({"content-type": uploaded.content_type}),
        )
        self.uploaded = uploaded


class _StoredForm(FormData):
    def __init__(self, received: Received[object]) -> None:
        """Opens the files: it may block."""
        self._stored = tuple(map(StoredFile, received.submission.files))
        unchosen = [(name, UploadFile(BytesIO(), size=0, filename="")) for name in received.unchosen]
        stored = [(file.uploaded.field, file) for file in self._stored]
        super().__init__([*received.submission.fields.multi_items(), *unchosen, *stored])

    async def close(self) -> None:
        await in_thread(self._close)

    def _close(self) -> None:
        stored, self._stored = self._stored, ()
        for file in stored:
            file.file.close()
        remove_unkept(stored)


async def _form_of(request: Request, spec: Spec[object]) -> FormData:
    if request._form is None:
        content_type, _ = form_headers(request.scope["headers"])
        if media_type(content_type) not in (MULTIPART, URLENCODED):
            request._form = FormData()  # as Starlette has it, which leaves the body unread
        else:
            received = await receive_request(spec, request, None)
            async with akept_if_handled(spec, received.submission):
                request._form = await in_thread(_StoredForm, received)
    return request._form


async def receive_request(
    spec: Spec[T], request: Request, progress: Callable[[Request], OnProgress | None] | None
) -> Received[T]:
    """The form of a Starlette request. Raises `UploadError`s, and `RuntimeError` where its body was read before."""
    if request._stream_consumed:
        raise _read_before()
    request._stream_consumed = True
    body = request.scope[_BODY] = Body(request.receive)
    content_type, content_length = form_headers(request.scope["headers"])
    try:
        received = await areceive_form(
            spec,
            content_type,
            body,
            content_length=content_length,
            on_progress=None if progress is None else progress(request),
        )
    except TruncatedForm as error:
        if content_length and not body.received:  # no server ends a body so: a BaseHTTPMiddleware did that had read it
            raise _read_before() from error
        raise
    # What request.form() gives once it is there.
    request._form = FormData(list(received.submission.fields.multi_items()))
    return received


class ProblemResponse(Response):
    """The answer to an error of the upload."""

    def __init__(self, error: UploadError) -> None:
        super().__init__(problem_body(error), status_code=error.status, headers=problem_headers(error))
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: Body | None = scope.get(_BODY)
        if body is None:
            log_failure(self._error)
            await super().__call__(scope, receive, send)
        else:
            await send_problem(scope, send, self._error, body)


def _check_endpoint(endpoint: Callable[..., object], decorator: str, *, takes: int) -> None:
    """`takes` is how many arguments an endpoint is called with; a method has one more."""
    if not isfunction(endpoint):
        return
    if not iscoroutinefunction(endpoint):
        raise TypeError(f"an endpoint under {decorator}(...) is an async function, and {endpoint.__name__} is not")
    parameters = signature(endpoint, follow_wrapped=False).parameters.values()
    needed = [each for each in parameters if each.default is each.empty and each.kind in _POSITIONAL]
    if len(needed) > takes:
        raise TypeError(f"{decorator}(...) decorates an endpoint function, and not a method of an HTTPEndpoint")


_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def _read_before() -> RuntimeError:
    return RuntimeError(
        "the body of this request was read before uploadkit could: by request.form() or request.body(), by a Form() "
        "or File() parameter, by another receive(...) or in a middleware. Take all files and text values with one "
        "receive(upload.fields(...))"
    )
