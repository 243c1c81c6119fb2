"""Django's own forms: `request.POST` and `request.FILES` are received by uploadkit, whoever reads them.

So everything that is built on them has its limits, rules and storages unchanged: forms, model forms, the admin, and
the parser of Django REST framework. Nothing outlives its request unless it was saved.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import markcoroutinefunction
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.deprecation import MiddlewareMixin

from ...errors import FieldMissing, FieldRefused, LimitExceeded, SenderError, UploadError
from ...intake.blocking import kept_if_handled, receive_form
from ...intake.spec import Spec, check_spec, check_unregistered, whole
from ...uploads import Submission
from ..asgi import body_length
from ..kept import OF_A_FORM
from ..problem import log_failure, problem_body, problem_headers
from ..sockets import Readable
from ..wsgi import drain
from .body import body_of, is_left_to_view, post_of, read_chunks
from .files import FileNotTaken, FormRefused, RefusedFile, stored_file
from .views import is_async

V = TypeVar("V", bound=Callable[..., Any])

_ERROR = "_uploadkit_error"
"""Where a request has the reason why its form was not taken."""


def upload_handler(spec: Spec[Any] | Callable[[HttpRequest], Spec[Any]]) -> Callable[[HttpRequest], UploadHandler]:
    """Makes an entry of `FILE_UPLOAD_HANDLERS`: from then on the project's forms are received as the spec says.

        for_forms = upload_handler(upload.any(accept=IMAGES))      # in project/uploads.py
        FILE_UPLOAD_HANDLERS = ["project.uploads.for_forms"]       # in project/settings.py

    A function of the request in place of a spec chooses one. A view finds text values in `request.POST` and files in
    `request.FILES`: a `StoredFile` for each that is stored, a `RefusedFile` for each that a rule of its field has
    refused, which is an error of the form's field. What breaks the form as a whole, a limit of `Limits` or a rule of a
    `Text` is raised as `FormRefused`.

    The limits are those of the spec, and no longer Django's `DATA_UPLOAD_MAX_...`, which still hold for URL-encoded
    forms: these Django reads itself. What a form needs it says itself: `required` and `min_count` have no say, and
    neither has a model of `upload.form`. Raises `TypeError` where the spec has an async filter, or a pipeline.
    """
    if isinstance(spec, Spec) or not callable(spec):
        _check(spec, "upload_handler")

    def handler(request: HttpRequest) -> UploadHandler:
        return UploadHandler(request, spec)

    return handler


def upload_rules(spec: Spec[Any]) -> Callable[[V], V]:
    """Decorates a view, sync or async, whose form has rules of its own, in place of those of the project's handler.

        @upload_rules(upload.fields(File("photo", accept=IMAGES, max_size="5 MB")))
        def profile(request: HttpRequest) -> HttpResponse: ...

    They hold before the view runs too, as in the check against CSRF. For a class-based view write
    `@method_decorator(upload_rules(spec), name="dispatch")`. In a project whose `FILE_UPLOAD_HANDLERS` have no
    `upload_handler` the view raises `RuntimeError`.
    """
    _check(spec, "upload_rules")

    def decorate(view: V) -> V:
        @wraps(view)
        def ruled(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            _handler_of(request).use(spec)
            return view(request, *args, **kwargs)

        ruled.uploadkit_rules = spec  # type: ignore[attr-defined]  # other decorators copy it, as they do csrf_exempt
        return markcoroutinefunction(ruled) if is_async(view) else ruled  # type: ignore[return-value]  # as `view` is

    return decorate


class UploadHandler(FileUploadHandler):
    """Receives the whole form of one request, in place of Django's parser. Made by `upload_handler`."""

    def __init__(self, request: HttpRequest, rules: Spec[Any] | Callable[[HttpRequest], Spec[Any]]) -> None:
        super().__init__(request)
        self._rules = rules
        self._used: Spec[Any] | None = None

    def use(self, spec: Spec[Any]) -> None:
        """From now on these rules hold. Raises `RuntimeError` where the form was received under others."""
        if self._used is not None and self._used is not spec:
            raise RuntimeError(
                "the form was read before the rules of its view were known: a middleware used request.POST before the "
                'view was found, or upload_rules(...) is not at the view as a whole (a class has it at its "dispatch")'
            )
        self._rules = spec

    def handle_raw_input(
        self,
        input_data: Readable,
        META: dict[str, Any],
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> tuple[QueryDict, MultiValueDict[str, Any]] | None:
        """All of `request.POST` and `request.FILES`; None for a body that is no form, as Django REST framework has it.

        Raises `FormRefused`, and what is wrong with the service.
        """
        if boundary is None:
            return None
        if is_left_to_view(self._request):
            return QueryDict(encoding=encoding), MultiValueDict()
        try:
            return self._receive(input_data, META, encoding)
        except BaseException as error:
            self._request._mark_post_parse_error()  # who describes the error looks at request.POST
            if isinstance(error, UploadError):
                setattr(self._request, _ERROR, error)
                _drain_when_answered(self._request, error)
            if isinstance(error, SenderError):
                raise FormRefused(error) from error
            raise

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Of a body that is no form: left to the handlers that stand after this one."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The same."""

    def _receive(
        self, input_data: Readable, meta: dict[str, Any], encoding: str | None
    ) -> tuple[QueryDict, MultiValueDict[str, Any]]:
        self._used = self._spec()
        spec: Spec[Submission] = replace(self._used, give=whole, typed=None, keeps_on_error=False)
        refusals = _Refusals(spec)
        length = body_length(meta.get("CONTENT_LENGTH"))
        is_unread = input_data is self._request
        chunks = body_of(self._request, length, spec.limits) if is_unread else read_chunks(input_data)
        with closing(chunks):
            received = receive_form(
                spec, meta.get("CONTENT_TYPE"), chunks, content_length=length, on_refused=refusals.add
            )
        with kept_if_handled(spec, received.submission):  # until each file removes itself
            return post_of(received.given, encoding), _files_of(received.given, refusals)

    @property
    def _request(self) -> Any:
        return self.request

    def _spec(self) -> Spec[Any]:
        """The rules of the view, where it has some, else those of the project."""
        found = getattr(self._request, "resolver_match", None)
        spec = getattr(getattr(found, "func", None), "uploadkit_rules", self._rules)
        if not isinstance(spec, Spec):
            spec = spec(self._request)
            _check(spec, "upload_handler")
        return spec


class UploadErrors(MiddlewareMixin):
    """A middleware that answers what was wrong with an upload as RFC 9457 problem details, with its own status.

        MIDDLEWARE = ["uploadkit.adapters.django.UploadErrors", ...]

    Without it a form that could not be taken is answered by Django, with the page of `handler400`, and what is wrong
    with the service with that of `handler500`. A view that answers such an error itself, in another way than with
    status 400 or 500, has the last word.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        error = exception.error if isinstance(exception, FormRefused | FileNotTaken) else exception
        if isinstance(error, UploadError):
            setattr(request, _ERROR, error)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        error: UploadError | None = getattr(request, _ERROR, None)
        if error is None or response.status_code not in (400, 500):
            return response
        log_failure(error)
        return HttpResponse(problem_body(error), status=error.status, headers=problem_headers(error))


def _check(spec: Any, taker: str) -> None:
    check_spec(spec, taker=taker, example="upload.any()")
    check_unregistered(spec, taker=taker, why=OF_A_FORM)
    spec.check_blocking()


def _handler_of(request: HttpRequest) -> UploadHandler:
    for handler in request.upload_handlers:
        if isinstance(handler, UploadHandler):
            return handler
    raise RuntimeError("upload_rules(...) needs an upload_handler(...) in FILE_UPLOAD_HANDLERS")


def _drain_when_answered(request: HttpRequest, error: UploadError) -> None:
    """Django closes a request when its answer was sent, whoever made it."""
    close = request.close

    def closing() -> None:
        drain(request.META, error)
        close()

    request.close = closing  # type: ignore[method-assign]  # of this one request


class _Refusals:
    """The files of one form that were refused, as errors for its fields."""

    def __init__(self, spec: Spec[Any]) -> None:
        self._texts = spec.form.texts
        self.files: list[tuple[SenderError, int]] = []

    def add(self, error: SenderError, nth: int) -> None:
        """Raises the error of a text value: there is no object that could carry it to its field."""
        if isinstance(error, FieldMissing):
            return  # a form says itself what it needs: one that changes a model's file may come without
        if isinstance(error, FieldRefused) or error.field in self._texts or _is_of_a_text(error):
            raise error
        self.files.append((error.with_traceback(None), nth))  # of which a frame holds the data that was refused


def _is_of_a_text(error: SenderError) -> bool:
    return isinstance(error, LimitExceeded) and error.limit == "field_size"


def _files_of(submission: Submission, refusals: _Refusals) -> MultiValueDict[str, Any]:
    """`request.FILES`, each field in the order of arrival."""
    files: dict[str, list[Any]] = {}
    for upload in submission.files:
        files.setdefault(upload.field, []).append(stored_file(upload))
    for error, nth in refusals.files:
        files.setdefault(error.field or "", []).insert(nth, RefusedFile(error))
    return MultiValueDict(files)
