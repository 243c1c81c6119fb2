"""uploadkit for Starlette: a decorator for endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction, isfunction
from typing import TypeVar

try:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.starlette needs Starlette: pip install 'pyuploadkit[starlette]'", name=_missing.name
    ) from _missing

from ..errors import TruncatedForm, UploadError
from ..intake.asynchronous import akept_if_handled, areceive_form
from ..intake.plan import OnProgress
from ..intake.spec import Received, Spec, check_spec
from .asgi import Body, Receive, Scope, Send, form_headers, send_problem
from .problem import problem_body, problem_headers

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
    where the endpoint is no async function.
    """
    check_spec(spec)

    def decorate(endpoint: Callable[[Request, T], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        if isfunction(endpoint) and not iscoroutinefunction(endpoint):
            raise TypeError(f"an endpoint under receive(...) is an async function, and {endpoint.__name__} is not")

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
    request._form = FormData(
        list(received.submission.fields.multi_items())
    )  # what request.form() gives once it is there
    return received


class ProblemResponse(Response):
    """The answer to an error of the upload."""

    def __init__(self, error: UploadError) -> None:
        super().__init__(problem_body(error), status_code=error.status, headers=problem_headers(error))
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: Body | None = scope.get(_BODY)
        if body is None:
            await super().__call__(scope, receive, send)
        else:
            await send_problem(scope, send, self._error, body)


def _read_before() -> RuntimeError:
    return RuntimeError(
        "the body of this request was read before uploadkit could: by request.form() or request.body(), by a Form() "
        "or File() parameter, by another receive(...) or in a middleware. Take all files and text values with one "
        "receive(upload.fields(...))"
    )
