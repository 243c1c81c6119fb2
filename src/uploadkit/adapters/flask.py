"""uploadkit for Flask: a decorator for views, sync and async."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial, wraps
from io import BytesIO
from typing import Any, Concatenate, ParamSpec, TypeVar

try:
    from flask import Request, Response, current_app, request
    from flask.views import View
    from werkzeug.datastructures import ImmutableMultiDict
    from werkzeug.exceptions import RequestEntityTooLarge
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.flask needs Flask: pip install 'pyuploadkit[flask]'", name=_missing.name
    ) from _missing

from ..errors import UploadError
from ..intake.blocking import kept_if_handled, receive_form
from ..intake.plan import OnProgress
from ..intake.spec import Received, Spec, check_spec
from ..policy.limits import Limits
from .asgi import body_length
from .problem import problem_body, problem_headers
from .wsgi import body_chunks, drain

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
                response = Response(problem_body(error), status=error.status, headers=problem_headers(error))
                response.call_on_close(partial(drain, request.environ, error))
                return response

        return receiving

    return decorate


def _receive(spec: Spec[T], on_progress: OnProgress | None) -> Received[T]:
    parsed = request.__dict__  # where werkzeug keeps what it has parsed
    if "form" in parsed or "_cached_data" in parsed:
        raise RuntimeError(
            "the body of this request was read before uploadkit could: request.form, request.files or request.data "
            "was used before the view. Take all files and text values with one receive(upload.fields(...))"
        )
    _ = request.stream  # raises where the Content-Length is more than Flask's own limit
    # From here on nobody else reads the body, whatever becomes of it.
    parsed["stream"], parsed["form"], parsed["files"] = BytesIO(), ImmutableMultiDict(), ImmutableMultiDict()
    length = body_length(request.environ.get("CONTENT_LENGTH"))
    with closing(_chunks(length, spec.limits)) as chunks:
        received = receive_form(
            spec, request.headers.get("Content-Type"), chunks, content_length=length, on_progress=on_progress
        )
    parsed["form"] = ImmutableMultiDict(received.submission.fields.multi_items())
    return received


def _chunks(length: int | None, limits: Limits) -> Generator[bytes]:
    """The body. What Flask's own `max_content_length` says of it holds too, with Flask's own error."""
    rest = request.max_content_length
    with closing(body_chunks(request.environ, length, limits)) as chunks:
        for chunk in chunks:
            if rest is not None:
                rest -= len(chunk)
                if rest < 0:
                    raise RequestEntityTooLarge
            yield chunk
            del chunk
