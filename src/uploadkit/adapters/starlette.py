"""uploadkit for Starlette: a decorator for endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..errors import ClientDisconnected, UploadError
from ..intake.asynchronous import akept_if_handled, areceive_submission
from ..intake.spec import Spec
from ..uploads import Submission
from .asgi import form_headers
from .problem import PROBLEM_JSON, problem_body

T = TypeVar("T")


def receive(
    spec: Spec[T], *, raise_errors: bool = False
) -> Callable[[Callable[[Request, T], Awaitable[Response]]], Callable[[Request], Awaitable[Response]]]:
    """Decorates an endpoint that takes what the spec promises after its request.

    Errors are answered with problem details, or raised for Starlette's exception handlers with `raise_errors`. Where
    the endpoint raises, the files of the request are removed.
    """

    def decorate(endpoint: Callable[[Request, T], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
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
    if request._stream_consumed or request._form is not None or hasattr(request, "_body"):
        raise RuntimeError(
            "the body of this request was read before uploadkit could: by request.form() or request.body(), or by a "
            "Form() or File() parameter. Take all files and text values with one receive(upload.fields(...))"
        )
    content_type, content_length = form_headers(request.scope["headers"])
    return await areceive_submission(spec, content_type, _chunks(request), content_length=content_length)


def problem_response(error: UploadError) -> Response:
    """The answer to an error of the upload."""
    return Response(problem_body(error), status_code=error.status, media_type=PROBLEM_JSON)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise ClientDisconnected from error
