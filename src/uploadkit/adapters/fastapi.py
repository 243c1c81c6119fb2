"""uploadkit for FastAPI: a dependency.

    @app.post("/profile")
    async def profile(avatar: Annotated[UploadedFile, receive(upload.single("avatar"))]): ...

An `UploadError` is answered with problem details, unless the application has its own handler for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

try:
    from fastapi import Depends, Request, Response
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.fastapi needs FastAPI: pip install 'pyuploadkit[fastapi]'", name=_missing.name
    ) from _missing

from ..errors import UploadError
from ..intake.asynchronous import akept_if_handled
from ..intake.plan import OnProgress
from ..intake.spec import Spec, check_spec
from .starlette import ProblemResponse, receive_request

T = TypeVar("T")


def receive(spec: Spec[T], *, progress: Callable[[Request], OnProgress | None] | None = None) -> Any:
    """A dependency that receives the request's form and gives the parameter what the spec promises.

    Use it once in a route, as `Annotated[UploadedFile, receive(spec)]`. Where the route raises, an `HTTPException`
    too, the files of the request are removed before the answer begins. `progress(request)` gives the `on_progress` of
    a request, None where nobody watches it. Raises `RuntimeError` at a request whose body
    was taken before: by a second `receive`, or a `Form()` or `File()` parameter.
    """
    check_spec(spec)

    async def received(request: Request) -> AsyncIterator[T]:
        _answer_errors(request)
        received = await receive_request(spec, request, progress)
        async with akept_if_handled(spec, received.submission):
            yield received.given

    # "function": the code after the yield runs before the answer begins, not after its body was sent.
    return Depends(received, scope="function")


def _answer_errors(request: Request) -> None:
    """Sees to it that an `UploadError` is answered, in the table of handlers that Starlette looks into for this
    request. A dependency cannot answer by itself, and an application should not need a line more to be correct. A
    handler of the application's own, for `UploadError` or a class below it, goes first."""
    handlers, _ = request.scope["starlette.exception_handlers"]
    handlers.setdefault(UploadError, _answer)


async def _answer(request: Request, error: UploadError) -> Response:
    return ProblemResponse(error)
