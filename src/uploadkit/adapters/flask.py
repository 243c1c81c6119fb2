"""uploadkit for Flask: a decorator for views, sync and async."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

try:
    from flask import Response, current_app, request
    from flask.views import View
    from werkzeug.datastructures import ImmutableMultiDict
    from werkzeug.exceptions import ClientDisconnected as WerkzeugClientDisconnected
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.flask needs Flask: pip install 'pyuploadkit[flask]'", name=_missing.name
    ) from _missing

from ..errors import ClientDisconnected, UploadError
from ..intake.blocking import kept_if_handled, receive_submission
from ..intake.spec import Spec, check_spec
from ..uploads import Submission
from .problem import PROBLEM_JSON, problem_body
from .wsgi import READ_SIZE, drain, read_chunk

T = TypeVar("T")
P = ParamSpec("P")


def receive(
    spec: Spec[T], *, raise_errors: bool = False
) -> Callable[[Callable[Concatenate[T, P], Any]], Callable[P, Any]]:
    """Decorates a view that takes what the spec promises as its first argument.

        @app.post("/profile")
        @receive(upload.single("avatar"))
        def profile(avatar: UploadedFile): ...

    In the view `request.form` holds the text values. Errors are answered with problem details, or raised for Flask's
    error handlers with `raise_errors`. Where the view raises, `abort()` too, the files of the request are removed.
    Raises `TypeError` where the spec has an async filter: Flask's requests are read by a blocking driver.
    """
    check_spec(spec)
    spec.check_blocking()

    def decorate(view: Callable[Concatenate[T, P], Any]) -> Callable[P, Any]:
        @wraps(view)
        def receiving(*args: P.args, **kwargs: P.kwargs) -> Any:
            if args and isinstance(args[0], View):
                raise TypeError("receive(...) decorates a view function, and not a method of a class-based view")
            try:
                submission = _receive(spec)
                with kept_if_handled(spec, submission):
                    return current_app.ensure_sync(view)(spec.give(submission), *args, **kwargs)
            except UploadError as error:
                if raise_errors:
                    raise
                response = Response(problem_body(error), status=error.status, content_type=PROBLEM_JSON)
                response.call_on_close(partial(drain, request.environ))
                return response

        return receiving

    return decorate


def _receive(spec: Spec[object]) -> Submission:
    parsed = request.__dict__  # where werkzeug keeps what it has parsed
    if "form" in parsed or "_cached_data" in parsed:
        raise RuntimeError(
            "the body of this request was read before uploadkit could: request.form, request.files or request.data "
            "was used before the view. Take all files and text values with one receive(upload.fields(...))"
        )
    submission = receive_submission(
        spec, request.headers.get("Content-Type"), _chunks(), content_length=request.content_length
    )
    parsed["form"] = ImmutableMultiDict(submission.fields.multi_items())
    parsed["files"] = ImmutableMultiDict()
    return submission


def _chunks() -> Iterator[bytes]:
    try:
        while chunk := read_chunk(request.stream, READ_SIZE):
            yield chunk
    except WerkzeugClientDisconnected as error:
        if error.__context__ is not None:  # the socket failed
            raise ClientDisconnected from error
        # Else it is the end, and too early: that is judged, and answered, as it is everywhere.
