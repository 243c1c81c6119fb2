"""Decorates a view, sync or async, so that it is given its form, and keeps the protection against CSRF.

`CsrfViewMiddleware` would read the whole form before the view. The decorated view is therefore exempt from it, and
the middleware's own check is made here: at once where the token is in a header, else as soon as the form's token has
arrived, and at the latest before anything is published. A request that fails it stores nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import lru_cache, partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.datastructures import MultiValueDict
from django.utils.module_loading import import_string
from django.views import View

from ...errors import UploadError
from ...intake.asynchronous import akept_if_handled, areceive_form
from ...intake.blocking import kept_if_handled, receive_form
from ...intake.plan import OnProgress
from ...intake.spec import Spec, check_spec
from ...uploads import Submission
from ..asgi import body_length
from ..problem import log_failure, problem_body, problem_headers
from ..wsgi import drain
from .body import FORMS, RECEIVES, abody_of, body_of, is_left_to_view, post_of

T = TypeVar("T")
P = ParamSpec("P")

_TOKEN_FIELD = "csrfmiddlewaretoken"
_DISPATCH = 'write @method_decorator(receive(...), name="dispatch")'


def receive(
    spec: Spec[T],
    *,
    raise_errors: bool = False,
    csrf: bool | None = None,
    progress: Callable[[HttpRequest], OnProgress | None] | None = None,
) -> Callable[[Callable[Concatenate[HttpRequest, T, P], Any]], Callable[Concatenate[HttpRequest, P], Any]]:
    """Decorates a view that takes what the spec promises after its request.

        @receive(upload.single("avatar"))
        def profile(request: HttpRequest, avatar: UploadedFile) -> HttpResponse: ...

    In the view `request.POST` holds the text values and `request.FILES` is empty. Errors are answered with problem
    details, or raised with `raise_errors`. Where the view raises, the files of the request are removed.

    `csrf` None checks the token where `CsrfViewMiddleware` is in `MIDDLEWARE` and the view itself is not
    `csrf_exempt`, which stands below this decorator: above it, it is not seen. True always checks, as `csrf_protect`
    would; False never. `progress(request)` gives the `on_progress` of a request, None where nobody watches it. Raises
    `TypeError` where a sync view has an async filter.

    Decorators that turn requests away, such as `login_required`, go above this one: nothing is then read or stored.
    For a class-based view write `@method_decorator(receive(spec), name="dispatch")`.
    """
    check_spec(spec)

    def decorate(view: Callable[Concatenate[HttpRequest, T, P], Any]) -> Callable[Concatenate[HttpRequest, P], Any]:
        exempt = csrf is False or (csrf is None and getattr(view, "csrf_exempt", False))

        def gate_for(request: HttpRequest) -> _Gate:
            if not isinstance(request, HttpRequest):
                raise TypeError(f"receive(...) decorates a function of a request: for a class-based view {_DISPATCH}")
            middleware = None if exempt else _csrf_middleware(tuple(settings.MIDDLEWARE))
            if middleware is None and csrf:
                middleware = CsrfViewMiddleware
                middleware(_unused).process_request(request)
            return _Gate(request, middleware)

        if is_async(view):
            decorated: Any = _async_view(view, spec, gate_for, progress, raise_errors=raise_errors)
        else:
            spec.check_blocking()
            decorated = _sync_view(view, spec, gate_for, progress, raise_errors=raise_errors)
        decorated.csrf_exempt = True if exempt or csrf else _CheckedHere()
        setattr(decorated, RECEIVES, FORMS)  # other decorators copy it, as they do csrf_exempt
        return cast(Callable[Concatenate[HttpRequest, P], Any], decorated)

    return decorate


def is_async(view: Callable[..., Any]) -> bool:
    """Whether a view is async, or is the bound `dispatch` of a class with async methods, of `method_decorator`."""
    instance = getattr(getattr(view, "func", None), "__self__", None)
    return iscoroutinefunction(view) or (isinstance(instance, View) and instance.view_is_async)


def _sync_view(
    view: Callable[..., Any],
    spec: Spec[Any],
    gate_for: Callable[[HttpRequest], _Gate],
    progress: Callable[[HttpRequest], OnProgress | None] | None,
    *,
    raise_errors: bool,
) -> Any:
    @wraps(view)
    def receiving(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            gate = gate_for(request)
            content_type, content_length = _form_headers(request)
            gate.begin()
            with closing(body_of(request, content_length, spec.limits)) as chunks:
                received = receive_form(
                    spec,
                    content_type,
                    chunks,
                    content_length=content_length,
                    gate=gate,
                    on_progress=None if progress is None else progress(request),
                )
            with kept_if_handled(spec, received.submission):
                _show(request, received.submission)
                response: HttpResponseBase = view(request, received.given, *args, **kwargs)
                return response
        except (UploadError, _Forbidden) as error:
            response = _answer(error, raise_errors=raise_errors)
            closers = response._resource_closers  # type: ignore[attr-defined]  # run when the answer was sent
            closers.append(partial(drain, request.META, error))
            return response

    return receiving


def _async_view(
    view: Callable[..., Awaitable[Any]],
    spec: Spec[Any],
    gate_for: Callable[[HttpRequest], _Gate],
    progress: Callable[[HttpRequest], OnProgress | None] | None,
    *,
    raise_errors: bool,
) -> Any:
    @wraps(view)
    async def receiving(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            gate = _AsyncGate(await sync_to_async(gate_for)(request))
            content_type, content_length = _form_headers(request)
            await gate.begin()
            received = await areceive_form(
                spec,
                content_type,
                abody_of(request),
                content_length=content_length,
                gate=gate,
                on_progress=None if progress is None else progress(request),
            )
            async with akept_if_handled(spec, received.submission):
                _show(request, received.submission)
                response: HttpResponseBase = await view(request, received.given, *args, **kwargs)
                return response
        except (UploadError, _Forbidden) as error:
            return _answer(error, raise_errors=raise_errors)

    return receiving


class _Forbidden(Exception):
    """The check against CSRF failed; `response` is Django's own answer."""

    def __init__(self, response: HttpResponseBase) -> None:
        super().__init__("CSRF verification failed")
        self.response = response


class _Gate:
    """Judges the CSRF token of a form while it arrives, with the check of `middleware`; None: no token is needed."""

    def __init__(self, request: HttpRequest, middleware: type[CsrfViewMiddleware] | None) -> None:
        self._request = request
        self._middleware = middleware or CsrfViewMiddleware
        self.judged = middleware is None

    def begin(self) -> None:
        if not self.judged and settings.CSRF_HEADER_NAME in self._request.META:
            self._judge("")

    def text(self, name: str, value: str) -> None:
        if self.waits_for(name):
            self._judge(value)

    def end(self) -> None:
        if not self.judged:
            self._judge("")

    def waits_for(self, name: str) -> bool:
        return not self.judged and name == _TOKEN_FIELD

    def _judge(self, token: str) -> None:
        self.judged = True
        post = QueryDict(mutable=True)
        post[_TOKEN_FIELD] = token
        self._request.POST = post  # type: ignore[assignment]  # where the middleware looks for the token
        response = self._middleware(_unused).process_view(self._request, _unused, (), {})
        if response is not None:
            raise _Forbidden(response)


class _CheckedHere:
    """The `csrf_exempt` of a decorated view: true in a project whose check the gate makes in its place.

    In a project without that check it is false, so that no `csrf_protect` above the view is switched off silently.
    """

    def __bool__(self) -> bool:
        return _csrf_middleware(tuple(settings.MIDDLEWARE)) is not None


class _AsyncGate:
    """A gate for an async view. The check may load a session: that goes where Django's blocking code goes."""

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate

    async def begin(self) -> None:
        if not self._gate.judged:
            await sync_to_async(self._gate.begin)()

    async def text(self, name: str, value: str) -> None:
        if self._gate.waits_for(name):
            await sync_to_async(self._gate.text)(name, value)

    async def end(self) -> None:
        if not self._gate.judged:
            await sync_to_async(self._gate.end)()


@lru_cache
def _csrf_middleware(middleware: tuple[str, ...]) -> type[CsrfViewMiddleware] | None:
    """The check against CSRF that the project has installed, None where it has none."""
    for path in middleware:
        installed = import_string(path)
        if isinstance(installed, type) and issubclass(installed, CsrfViewMiddleware):
            return installed
    return None


def _unused(*args: object, **kwargs: object) -> HttpResponse:
    """Stands for the view and for `get_response` where only the middleware's check is wanted."""
    return HttpResponse()


def _form_headers(request: HttpRequest) -> tuple[str | None, int | None]:
    used = hasattr(request, "_post")
    if is_left_to_view(request) and (used or getattr(request, "_read_started", False)):
        raise RuntimeError(
            "request.POST, request.FILES or request.body was used before the view, and was empty there: under "
            "uploadkit.adapters.django.asgi(...) nobody but the view has the body of a form. Where csrf_protect did "
            "that, use receive(spec, csrf=True) in its place"
        )
    if used:
        raise RuntimeError(
            "the body of this request was read before uploadkit could: request.POST or request.FILES was used before "
            "the view. Where csrf_protect did that, use receive(spec, csrf=True) in its place; take all files and text "
            "values with one receive(upload.fields(...))"
        )
    return request.META.get("CONTENT_TYPE") or None, body_length(request.META.get("CONTENT_LENGTH"))


def _show(request: HttpRequest, submission: Submission) -> None:
    request.POST = post_of(submission)  # type: ignore[assignment]  # django-stubs has that of a finished request
    request._files = MultiValueDict()  # type: ignore[attr-defined]  # what FILES reads once it is there


def _answer(error: UploadError | _Forbidden, *, raise_errors: bool) -> HttpResponseBase:
    if isinstance(error, _Forbidden):
        return error.response
    if raise_errors:
        raise error
    log_failure(error)
    return HttpResponse(problem_body(error), status=error.status, headers=problem_headers(error))
