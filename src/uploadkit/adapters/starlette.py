"""uploadkit for Starlette: a decorator for endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction, isfunction
from typing import TypeVar

try:
    from starlette.datastructures import FormData
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.starlette needs Starlette: pip install 'pyuploadkit[starlette]'", name=_missing.name
    ) from _missing

from ..errors import ClientDisconnected, UploadError
from ..intake.asynchronous import akept_if_handled, areceive_submission
from ..intake.spec import Spec, check_spec
from ..uploads import Submission
from .asgi import form_headers
from .problem import PROBLEM_JSON, problem_body

T = TypeVar("T")


def receive(
    spec: Spec[T], *, raise_errors: bool = False
) -> Callable[[Callable[[Request, T], Awaitable[Response]]], Callable[[Request], Awaitable[Response]]]:
    """Decorates an endpoint that takes what the spec promises after its request.

    Errors are answered with problem details, or raised for Starlette's exception handlers with `raise_errors`. Where
    the endpoint raises, the files of the request are removed. In the endpoint `await request.form()` gives the text
    values. Raises `TypeError` where the endpoint is no async function.
    """
    check_spec(spec)

    def decorate(endpoint: Callable[[Request, T], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        if isfunction(endpoint) and not iscoroutinefunction(endpoint):
            raise TypeError(f"an endpoint under receive(...) is an async function, and {endpoint.__name__} is not")

        @wraps(endpoint)
        async def receiving(request: Request) -> Response:
            try:
                submission = await receive_request(spec, request)
                async with akept_if_handled(spec, submission):
                    return await endpoint(request, spec.give(submission))
            except UploadError as error:
                if raise_errors:
                    raise
                return problem_response(error)

        return receiving

    return decorate


async def receive_request(spec: Spec[object], request: Request) -> Submission:
    """The form of a Starlette request. Raises `UploadError`s, and `RuntimeError` where its body was read before."""
    if request._stream_consumed:
        raise _read_before()
    content_type, content_length = form_headers(request.scope["headers"])
    chunks = _chunks(request, content_length)
    submission = await areceive_submission(spec, content_type, chunks, content_length=content_length)
    request._form = FormData(list(submission.fields.multi_items()))  # what request.form() gives once it is there
    return submission


def problem_response(error: UploadError) -> Response:
    """The answer to an error of the upload."""
    return Response(problem_body(error), status_code=error.status, media_type=PROBLEM_JSON)


async def _chunks(request: Request, content_length: int | None) -> AsyncIterator[bytes]:
    received = False
    try:
        async for chunk in request.stream():
            received = received or bool(chunk)
            yield chunk
    except ClientDisconnect as error:
        raise ClientDisconnected from error
    if content_length and not received:  # no server ends a body so: a BaseHTTPMiddleware did that had read it
        raise _read_before()


def _read_before() -> RuntimeError:
    return RuntimeError(
        "the body of this request was read before uploadkit could: by request.form() or request.body(), by a Form() "
        "or File() parameter, by another receive(...) or in a middleware. Take all files and text values with one "
        "receive(upload.fields(...))"
    )
