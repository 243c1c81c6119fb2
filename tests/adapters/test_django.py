"""The adapter for Django, asked by Django's own clients: sync and async views, under WSGI and under ASGI.

Every test runs in a project of its own (`Site`), and every check against CSRF is on.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt, csrf_protect, ensure_csrf_cookie
from django.views.decorators.http import require_POST
from tests.adapters.django_project import CSRF, PROJECT, READS_BODY, READS_POST, Middleware
from tests.adapters.expectations import (
    AVATAR,
    HANDED,
    MISTAKES,
    MIXED,
    Handed,
    Mistake,
    asks_somebody,
    expect_mistake,
    expect_nothing_left,
    facts,
)

from uploadkit.adapters.django import receive
from uploadkit.errors import FileRefused, LimitExceeded, UploadError
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
MINE = f"{__name__}.MyCsrfMiddleware"


class MyCsrfMiddleware(CsrfViewMiddleware):
    """A check of the project's own: it lets `X-Trusted` through and answers in its own words."""

    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> HttpResponseForbidden | None:
        if "HTTP_X_TRUSTED" in request.META:
            return None
        refused = super().process_view(request, callback, callback_args, callback_kwargs)
        return refused and HttpResponseForbidden("not from here")


class AnswersUploadErrors(Middleware):
    """A project's own answer to an error."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return HttpResponse(f"mine: {error.code}", status=error.status) if isinstance(error, UploadError) else None


@ensure_csrf_cookie
def form_page(request: HttpRequest) -> HttpResponse:
    """A page with a form, as `{% csrf_token %}` makes it; in a project without the middleware too."""
    return HttpResponse(get_token(request))


class Site:
    """A project with one page, `/form`, and the view under test at `/`. Every client is its own browser."""

    def __init__(self, view: Callable[..., Any], *, asgi: bool = False, **headers: Any) -> None:
        urls = (path("", view), path("<int:number>/", view), path("form", form_page))
        self._urls = override_settings(ROOT_URLCONF=urls)
        client = AsyncClient if asgi else Client
        self.client: Any = client(enforce_csrf_checks=True, raise_request_exception=True)
        self._asgi = asgi

    def open(self, method: str, url: str, data: bytes = b"", content_type: str = "", **meta: Any) -> HttpResponse:
        """The answer to a request; `meta` goes into `request.META`, or is a header under ASGI."""
        with self._urls:
            if not self._asgi:
                return cast(HttpResponse, self.client.generic(method, url, data, content_type, **meta))
            headers = {name.removeprefix("HTTP_").replace("_", "-"): value for name, value in meta.items()}
            call = self.client.generic(method, url, data, content_type, headers=headers)
            return cast(HttpResponse, asyncio.run(call))

    def post(
        self, form: FormBuilder = AVATAR, url: str = "/", *, body: io.BytesIO | None = None, **meta: Any
    ) -> HttpResponse:
        """The answer to a form; `body` is where the server would read it."""
        if body is not None:
            meta["wsgi.input"] = body
        return self.open("POST", url, form.body, form.content_type, **meta)

    def token(self) -> str:
        """A form's token; the cookie is kept by the client."""
        return self.open("GET", "/form").content.decode()


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    """A project that checks against CSRF, as `startproject` makes it."""
    with override_settings(**PROJECT, MIDDLEWARE=[CSRF]):
        yield


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the view under test stores."""
    return MemoryStorage()


@pytest.fixture
def single(storage: MemoryStorage) -> Spec[UploadedFile]:
    """One file in the field `avatar`."""
    return Uploader(storage).single("avatar")


def handling(
    spec: Spec[Any], handle: Callable[[Any], object] = lambda value: None, *, is_async: bool = False, **options: Any
) -> Callable[..., Any]:
    """A view that lets `handle` see its value, and answers."""
    if is_async:

        @receive(spec, **options)
        async def async_view(request: HttpRequest, value: Any) -> HttpResponse:
            await asyncio.sleep(0)
            handle(value)
            return HttpResponse("ok")

        return async_view

    @receive(spec, **options)
    def view(request: HttpRequest, value: Any) -> HttpResponse:
        handle(value)
        return HttpResponse("ok")

    return view


EITHER_VIEW = pytest.mark.parametrize("is_async", [False, True], ids=["sync view", "async view"])
EITHER_SERVER = pytest.mark.parametrize("asgi", [False, True], ids=["WSGI", "ASGI"])


@EITHER_SERVER
@EITHER_VIEW
@pytest.mark.parametrize("handed", HANDED, ids=lambda handed: handed.name)
def test_the_view_is_given_what_the_spec_promises(
    storage: MemoryStorage, handed: Handed, is_async: bool, asgi: bool
) -> None:
    """After its request, whatever the kind of spec."""
    given: list[object] = []
    spec = handed.spec(Uploader(storage))
    view = handling(spec, lambda value: given.append(facts(value)), is_async=is_async, csrf=False)
    assert Site(view, asgi=asgi).post(handed.form).content == b"ok"
    assert given == [handed.value]


@EITHER_SERVER
@EITHER_VIEW
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_an_error_is_answered_with_problem_details(mistake: Mistake, is_async: bool, asgi: bool) -> None:
    """Status, media type and facts; the view is not called and nothing is stored."""
    storage = mistake.storage()
    view = handling(mistake.spec(storage), pytest.fail, is_async=is_async, csrf=False)
    answer = Site(view, asgi=asgi).open("POST", "/", mistake.body, mistake.content_type)
    expect_mistake(mistake, storage, answer.status_code, answer["Content-Type"], answer.content)


@EITHER_VIEW
def test_errors_may_go_to_the_middlewares_of_the_project(storage: MemoryStorage, is_async: bool) -> None:
    """With `raise_errors` an error is an exception of the view, with `process_exception` and all."""
    spec = Uploader(storage, max_size=3).any()
    site = Site(handling(spec, pytest.fail, is_async=is_async, csrf=False, raise_errors=True))
    with override_settings(MIDDLEWARE=[f"{__name__}.AnswersUploadErrors"]):
        answer = site.post()
    assert (answer.status_code, answer.content) == (413, b"mine: limit_exceeded")
    with pytest.raises(LimitExceeded):
        Site(handling(spec, is_async=is_async, csrf=False, raise_errors=True)).post()
    expect_nothing_left(storage)


def test_only_an_async_view_may_have_an_async_filter(storage: MemoryStorage) -> None:
    """In a sync view it is told when the view is decorated, not at the first upload."""
    spec = Uploader(storage).single("avatar", filter=asks_somebody)
    with pytest.raises(TypeError, match="async filter"):
        handling(spec)
    assert Site(handling(spec, is_async=True, csrf=False)).post().content == b"ok"


@EITHER_VIEW
@pytest.mark.parametrize(
    ("error", "status"), [(ZeroDivisionError(), 500), (Http404(), 404), (PermissionDenied(), 403)], ids=repr
)
def test_a_view_that_raises_loses_its_files(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool, error: Exception, status: int
) -> None:
    """What Django has an answer for is answered by Django."""

    def refuse(avatar: UploadedFile) -> None:
        assert storage.objects == {avatar.key: b"data"}
        raise error

    site = Site(handling(single, refuse, is_async=is_async, csrf=False))
    site.client.raise_request_exception = False
    assert site.post().status_code == status
    expect_nothing_left(storage)


def test_files_may_be_kept_where_the_view_raises(storage: MemoryStorage) -> None:
    """`on_error="keep"` leaves them."""
    with pytest.raises(ZeroDivisionError):
        Site(handling(Uploader(storage, on_error="keep").any(), lambda _: 1 / 0, csrf=False)).post()
    assert list(storage.objects.values()) == [b"data"]


@EITHER_VIEW
def test_a_view_may_refuse_by_an_upload_error(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """It is answered as the library's own are, and the files are removed."""

    def refuse(avatar: UploadedFile) -> None:
        raise FileRefused("not on a Sunday", field=avatar.field, filter="calendar")

    answer = Site(handling(single, refuse, is_async=is_async, csrf=False)).post()
    assert (answer.status_code, json.loads(answer.content)["detail"]) == (422, "not on a Sunday")
    expect_nothing_left(storage)


def test_a_returned_refusal_keeps_the_files_unless_it_discards_them(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The library looks at no status: a view that answers has handled its files, or takes them back."""

    @receive(single, csrf=False)
    def view(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        if request.GET:
            avatar.discard()
        return HttpResponse(status=400)

    assert Site(view).post().status_code == 400
    assert list(storage.objects.values()) == [b"data"]
    assert Site(view).post(url="/?discard=1").status_code == 400
    assert list(storage.objects.values()) == [b"data"]


def test_parts_of_the_path_come_after_the_file(single: Spec[UploadedFile]) -> None:
    """As keywords, as Django gives them."""

    @receive(single, csrf=False)
    def view(request: HttpRequest, avatar: UploadedFile, number: int = 0) -> JsonResponse:
        return JsonResponse({"number": number, "size": avatar.size})

    assert json.loads(Site(view).post(url="/7/").content) == {"number": 7, "size": 4}


@EITHER_SERVER
@EITHER_VIEW
def test_post_holds_the_texts(storage: MemoryStorage, is_async: bool, asgi: bool) -> None:
    """In their order, repeated names too; it cannot be changed, and `FILES` is empty."""
    seen: list[object] = []

    def look(request: HttpRequest) -> HttpResponse:
        with pytest.raises(AttributeError, match="immutable"):
            request.POST["new"] = "x"
        seen.extend([dict(request.FILES), request.POST["title"], request.POST.getlist("tag"), dict(request.POST)])
        return HttpResponse("ok")

    @receive(Uploader(storage).any(), csrf=False)
    def view(request: HttpRequest, submission: Submission) -> HttpResponse:
        return look(request)

    @receive(Uploader(storage).any(), csrf=False)
    async def async_view(request: HttpRequest, submission: Submission) -> HttpResponse:
        return look(request)

    assert Site(async_view if is_async else view, asgi=asgi).post(MIXED).content == b"ok"
    assert seen == [{}, "Été", ["new", "blue"], {"tag": ["new", "blue"], "title": ["Été"]}]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_a_request_without_a_form_is_refused(single: Spec[UploadedFile], method: str) -> None:
    """A view that should not be asked with these says so by `require_POST`."""
    answer = Site(handling(single, pytest.fail, csrf=False)).open(method, "/")
    assert (answer.status_code, answer["Content-Type"]) == (415, "application/problem+json")


def test_a_chunked_body_is_received(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Where the server ends the input itself: Django alone would take it for an empty one."""
    environ: dict[str, Any] = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    assert Site(handling(single, csrf=False)).post(body=io.BytesIO(AVATAR.body), **environ).content == b"ok"
    assert list(storage.objects.values()) == [b"data"]


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(storage: MemoryStorage) -> None:
    """By its Content-Length alone, where the server does not read it first."""
    counted = Counted(AVATAR.body)
    spec = Uploader(storage, limits=Limits(body_size=10)).any()
    answer = Site(handling(spec, pytest.fail, csrf=False)).post(body=counted)
    assert (answer.status_code, json.loads(answer.content)["seen"]) == (413, len(AVATAR.body))
    assert counted.reads == 0


@pytest.mark.parametrize("length", ["-1", "abc", "1" * 5000])
def test_a_length_that_is_none_is_refused(storage: MemoryStorage, single: Spec[UploadedFile], length: str) -> None:
    """Where a server lets it through at all."""
    answer = Site(handling(single, pytest.fail, csrf=False)).post(CONTENT_LENGTH=length)
    assert (answer.status_code, b"malformed_form" in answer.content) == (400, True)


@EITHER_VIEW
def test_a_connection_that_breaks_leaves_nothing(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """Django's `UnreadablePostError` is a client that went away, and no error of the service."""
    counted = Counted(AVATAR.body[:-10], breaks=True)
    site = Site(handling(single, pytest.fail, is_async=is_async, csrf=False))
    assert site.post(body=counted).status_code == 499
    expect_nothing_left(storage)


def test_a_body_that_a_middleware_holds_is_received_all_the_same(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """`request.body` keeps what it has read."""
    with override_settings(MIDDLEWARE=[READS_BODY]):
        assert Site(handling(single)).post().content == b"ok"
    assert list(storage.objects.values()) == [b"data"]


@EITHER_VIEW
def test_a_form_that_a_middleware_has_parsed_is_a_mistake_of_the_program(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """The client is not to blame, and the message says what to do."""
    with (
        override_settings(MIDDLEWARE=[READS_POST, CSRF]),
        pytest.raises(RuntimeError, match=r"read before.*receive\(upload\.fields"),
    ):
        Site(handling(single, pytest.fail, is_async=is_async)).post()


def test_a_second_receive_is_a_mistake_of_the_program(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """The first one has the body; its files are removed."""

    @receive(single, csrf=False)
    @receive(Uploader(storage).single("gallery"))
    def view(request: HttpRequest, gallery: UploadedFile, avatar: UploadedFile) -> HttpResponse:
        pytest.fail("there is no body for both")

    with pytest.raises(RuntimeError, match=r"receive\(upload\.fields"):
        Site(view).post()
    expect_nothing_left(storage)


@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
def test_other_decorators_work_on_either_side(storage: MemoryStorage, single: Spec[UploadedFile], above: bool) -> None:
    """What they turn away from above is never read; below, the file is there already, and stays where they return."""

    def bare(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        return HttpResponse(avatar.filename)

    turned_away = (require_POST, logged_in)
    decorators = (*turned_away, receive(single)) if above else (receive(single), *turned_away)
    view: Any = bare
    for decorator in reversed(decorators):
        view = decorator(view)
    site = Site(view)
    form = with_token(site.token())
    counted = Counted(form.body)

    assert site.post(form, body=counted).status_code == 401
    assert bool(counted.reads) != above
    assert bool(storage.objects) != above
    assert site.open("PUT", "/", content_type="text/plain", HTTP_X_CSRFTOKEN=site.token()).status_code == (
        405 if above else 415
    )
    assert site.post(form, HTTP_AUTHORIZATION="me").content == b"me.bin"


def logged_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A decorator as `login_required`, without a database."""

    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "HTTP_AUTHORIZATION" not in request.META:
            return HttpResponse(status=401)
        return view(request, *args, **kwargs)

    guarded.__dict__.update(view.__dict__)  # as functools.wraps does
    return guarded


class Counted(io.BytesIO):
    """A body that counts how often it was read, and may break instead of ending."""

    def __init__(self, body: bytes, *, breaks: bool = False) -> None:
        super().__init__(body)
        self.reads = 0
        self.breaks = breaks

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        data = super().read(size)
        if not data and self.breaks:
            raise ConnectionResetError("the client is gone")
        return data


def with_token(token: str, *, after: FormBuilder | None = None) -> FormBuilder:
    """A form with a token before its file, or `after` what is there already."""
    if after is not None:
        return after.text("csrfmiddlewaretoken", token)
    return FormBuilder().text("csrfmiddlewaretoken", token).file("avatar", b"data", filename="me.bin")


PLACES: dict[str, Callable[[str], FormBuilder]] = {
    "first": lambda token: with_token(token),
    "last": lambda token: with_token(token, after=FormBuilder().text("a", "b").file("avatar", b"data", filename="x")),
    "between": lambda token: with_token(token).text("z", "end"),
    "after a large file": lambda token: with_token(token, after=large()),
}
"""Where in a form its token may stand."""


def large() -> FormBuilder:
    """A form whose file needs a few reads."""
    return FormBuilder().file("avatar", bytes(300_000), filename="x.bin")


@EITHER_SERVER
@EITHER_VIEW
@pytest.mark.parametrize("place", PLACES)
def test_a_good_token_may_stand_anywhere_in_the_form(
    storage: MemoryStorage,
    single: Spec[UploadedFile],
    is_async: bool,
    asgi: bool,
    place: str,
) -> None:
    """Before the file and after it."""
    site = Site(handling(single, is_async=is_async), asgi=asgi)
    assert site.post(PLACES[place](site.token())).content == b"ok"
    assert len(storage.objects) == 1


@EITHER_SERVER
@EITHER_VIEW
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("token", ["x" * 64, "", "no token"], ids=["wrong", "empty", "malformed"])
def test_a_bad_token_stores_nothing(
    storage: MemoryStorage,
    single: Spec[UploadedFile],
    is_async: bool,
    asgi: bool,
    place: str,
    token: str,
) -> None:
    """It is answered by Django's own page, and what was staged is gone."""
    site = Site(handling(single, pytest.fail, is_async=is_async), asgi=asgi)
    site.token()
    expect_forbidden(site.post(PLACES[place](token)))
    expect_nothing_left(storage)


@EITHER_VIEW
def test_a_missing_token_stores_nothing(storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool) -> None:
    """Neither without a token nor without a cookie."""
    site = Site(handling(single, pytest.fail, is_async=is_async))
    token = site.token()
    expect_forbidden(site.post())
    expect_forbidden(Site(handling(single, pytest.fail, is_async=is_async)).post(with_token(token)))
    expect_nothing_left(storage)


def test_a_bad_token_ends_the_upload_at_once(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """What comes after it is not read."""
    site = Site(handling(single, pytest.fail))
    site.token()
    form = FormBuilder().text("csrfmiddlewaretoken", "x" * 64).file("avatar", bytes(1_000_000), filename="x.bin")
    counted = Counted(form.body)
    expect_forbidden(site.post(form, body=counted))
    assert counted.tell() <= 1 << 16


@EITHER_VIEW
def test_a_token_in_the_header_is_judged_before_anything_is_read(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """A bad one is refused by zero reads, also beside a good one in the form; a good one is enough."""
    site = Site(handling(single, is_async=is_async))
    token = site.token()
    counted = Counted(with_token(token).body)
    expect_forbidden(site.post(with_token(token), HTTP_X_CSRFTOKEN="x" * 64, body=counted))
    assert counted.reads == 0
    expect_nothing_left(storage)

    assert site.post(HTTP_X_CSRFTOKEN=token).content == b"ok"
    assert site.open("PUT", "/", AVATAR.body, AVATAR.content_type, HTTP_X_CSRFTOKEN=token).content == b"ok"


def test_the_token_of_another_method_is_in_its_header(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Django takes a form's token for POST alone."""
    site = Site(handling(single, pytest.fail))
    form = with_token(site.token())
    expect_forbidden(site.open("PUT", "/", form.body, form.content_type))
    expect_nothing_left(storage)


@EITHER_VIEW
def test_origin_and_referer_are_checked(storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool) -> None:
    """As Django does: a good token from elsewhere is none, and under HTTPS a request says where it comes from."""
    site = Site(handling(single, is_async=is_async))
    form = with_token(site.token())
    secure: Any = {"wsgi.url_scheme": "https", "SERVER_PORT": "443"}
    expect_forbidden(site.post(form, HTTP_ORIGIN="http://evil.example"))
    expect_forbidden(site.post(form, **secure))
    expect_forbidden(site.post(form, HTTP_REFERER="https://evil.example/", **secure))
    expect_nothing_left(storage)
    assert site.post(form, HTTP_ORIGIN="http://testserver").content == b"ok"
    assert site.post(form, HTTP_REFERER="https://testserver/form", **secure).content == b"ok"
    with override_settings(CSRF_TRUSTED_ORIGINS=["http://friend.example"]):
        assert site.post(form, HTTP_ORIGIN="http://friend.example").content == b"ok"


@EITHER_SERVER
@EITHER_VIEW
def test_the_secret_may_be_in_the_session(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool, asgi: bool
) -> None:
    """`CSRF_USE_SESSIONS`."""
    with override_settings(MIDDLEWARE=[SESSIONS, CSRF], CSRF_USE_SESSIONS=True):
        site = Site(handling(single, is_async=is_async), asgi=asgi)
        token = site.token()
        assert list(site.client.cookies) == ["sessionid"]
        expect_forbidden(site.post(with_token("x" * 64)))
        expect_nothing_left(storage)
        assert site.post(with_token(token)).content == b"ok"


def test_the_name_of_the_header_is_the_projects(single: Spec[UploadedFile]) -> None:
    """`CSRF_HEADER_NAME`."""
    with override_settings(CSRF_HEADER_NAME="HTTP_X_MINE"):
        site = Site(handling(single))
        assert site.post(HTTP_X_MINE=site.token()).content == b"ok"
        expect_forbidden(site.post(HTTP_X_CSRFTOKEN=site.token()))


def test_a_failure_view_of_the_project_answers(single: Spec[UploadedFile]) -> None:
    """`CSRF_FAILURE_VIEW`."""
    with override_settings(CSRF_FAILURE_VIEW=f"{__name__}.my_failure"):
        answer = Site(handling(single)).post()
    assert (answer.status_code, answer.content) == (403, b"my own page: CSRF cookie not set.")


def my_failure(request: HttpRequest, reason: str) -> HttpResponse:
    """A page for a failed check."""
    return HttpResponse(f"my own page: {reason}", status=403)


@EITHER_VIEW
def test_a_project_without_the_check_needs_no_token(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """It has taken the middleware out; `csrf=True` checks all the same, as `csrf_protect` would."""
    with override_settings(MIDDLEWARE=[]):
        assert Site(handling(single, is_async=is_async)).post().content == b"ok"
        storage.delete(next(iter(storage.objects)))

        site = Site(handling(single, is_async=is_async, csrf=True))
        expect_forbidden(site.post())
        expect_nothing_left(storage)
        assert site.post(with_token(site.token())).content == b"ok"


@EITHER_VIEW
def test_a_view_may_need_no_token(storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool) -> None:
    """By `csrf=False`, or as an exempt view below; `csrf=True` goes first."""
    exempt = csrf_exempt(_bare_async if is_async else _bare)
    assert Site(receive(single, csrf=False)(_bare_async if is_async else _bare)).post().content == b"me.bin"
    assert Site(receive(single)(exempt)).post().content == b"me.bin"
    assert len(storage.objects) == 2
    expect_forbidden(Site(receive(single, csrf=True)(exempt)).post())
    assert len(storage.objects) == 2


def test_an_exemption_above_is_not_seen(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """On the safe side: Django does not show it to the view below, so the token is checked."""
    expect_forbidden(Site(csrf_exempt(receive(single)(_bare))).post())
    expect_nothing_left(storage)
    assert Site(csrf_exempt(receive(single, csrf=False)(_bare))).post().content == b"me.bin"


def _bare(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
    return HttpResponse(avatar.filename)


async def _bare_async(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
    return HttpResponse(avatar.filename)


@EITHER_VIEW
def test_a_check_of_the_projects_own_is_the_one_that_is_made(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """A subclass of the middleware in `MIDDLEWARE`, with its own exceptions and its own answer."""
    with override_settings(MIDDLEWARE=[MINE]):
        site = Site(handling(single, is_async=is_async))
        answer = site.post()
        assert (answer.status_code, answer.content) == (403, b"not from here")
        expect_nothing_left(storage)
        assert site.post(HTTP_X_TRUSTED="1").content == b"ok"
        exempt = Site(receive(single, csrf=True)(csrf_exempt(_bare)))
        assert exempt.post().content == b"not from here"
        assert exempt.post(HTTP_X_TRUSTED="1").content == b"me.bin"
        assert site.post(with_token(site.token())).content == b"ok"


@pytest.mark.parametrize("protect", [csrf_protect, ensure_csrf_cookie], ids=lambda protect: protect.__name__)
def test_csrf_decorators_above_work_where_the_project_has_the_check(
    storage: MemoryStorage, single: Spec[UploadedFile], protect: Callable[..., Any]
) -> None:
    """They add nothing, and take nothing away."""
    site = Site(protect(handling(single)))
    expect_forbidden(site.post())
    expect_nothing_left(storage)
    assert site.post(with_token(site.token())).content == b"ok"


def test_csrf_protect_above_is_never_switched_off_silently(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """In a project without the middleware it reads the form before the view can: told loudly, with the remedy."""
    with override_settings(MIDDLEWARE=[]):
        site = Site(csrf_protect(handling(single, pytest.fail)))
        expect_forbidden(site.post())
        with pytest.raises(RuntimeError, match="csrf=True"):
            site.post(with_token(site.token()))
        expect_nothing_left(storage)

        site = Site(csrf_protect(handling(single, csrf=True)))
        expect_forbidden(site.post())
        expect_nothing_left(storage)
        assert site.post(with_token(site.token())).content == b"ok"


@EITHER_VIEW
@pytest.mark.parametrize("middleware", [[CSRF], []], ids=["with the middleware", "csrf=True"])
def test_the_view_may_show_the_form_again(single: Spec[UploadedFile], is_async: bool, middleware: list[str]) -> None:
    """`get_token` in the view works as in every view: the next form passes by it."""
    csrf = None if middleware else True

    @receive(single, csrf=csrf)
    def view(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        return HttpResponse(get_token(request))

    @receive(single, csrf=csrf)
    async def async_view(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        return HttpResponse(get_token(request))

    with override_settings(MIDDLEWARE=middleware):
        site = Site(async_view if is_async else view)
        answer = site.post(with_token(site.token()))
        assert ("csrftoken" in answer.cookies) == bool(middleware)
        assert site.post(with_token(answer.content.decode())).status_code == 200


def test_the_texts_of_the_form_have_the_token_too(storage: MemoryStorage) -> None:
    """As in every Django view; the submission has it as it has all texts."""
    seen: list[object] = []

    @receive(Uploader(storage).any())
    def view(request: HttpRequest, submission: Submission) -> HttpResponse:
        seen.append(list(request.POST))
        seen.append(list(submission.fields))
        return HttpResponse("ok")

    site = Site(view)
    site.post(with_token(site.token()).text("title", "x"))
    assert seen == [["csrfmiddlewaretoken", "title"]] * 2


def test_an_error_is_answered_where_the_token_never_came(storage: MemoryStorage) -> None:
    """The form is refused before its token: nothing is stored, and neither is anything said about the token."""
    site = Site(handling(Uploader(storage, max_size=3).single("avatar"), pytest.fail))
    form = with_token(site.token(), after=FormBuilder().file("avatar", b"data", filename="me.bin"))
    assert site.post(form).status_code == 413
    expect_nothing_left(storage)


def test_a_client_that_is_told_not_to_check_does_not(single: Spec[UploadedFile]) -> None:
    """Django's own switch for tests, `Client(enforce_csrf_checks=False)`, is its default."""
    site = Site(handling(single))
    site.client = Client()
    assert site.post().content == b"ok"


class Profile(View):
    """A class-based view that is decorated as a whole: each of its methods is given the file."""

    def post(self, request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        return HttpResponse(avatar.filename)


class AsyncProfile(View):
    """The same, async: as Django marks it, and not a coroutine function to Python."""

    async def post(self, request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        return HttpResponse(await avatar.aread())


@EITHER_VIEW
def test_a_class_based_view_is_decorated_as_a_whole(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """`receive(spec)(Profile.as_view())`."""
    site = Site(receive(single)((AsyncProfile if is_async else Profile).as_view()))
    expect_forbidden(site.post())
    expect_nothing_left(storage)
    answer = site.post(with_token(site.token()))
    assert answer.content == (b"data" if is_async else b"me.bin")


def test_a_class_based_view_may_be_decorated_at_its_dispatch(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """By `method_decorator`, as everything else in Django."""

    class Decorated(Profile):
        dispatch = method_decorator(receive(single))(View.dispatch)

    site = Site(Decorated.as_view())
    expect_forbidden(site.post())
    expect_nothing_left(storage)
    assert site.post(with_token(site.token())).content == b"me.bin"


@EITHER_SERVER
def test_an_async_class_that_is_decorated_at_its_dispatch_is_an_async_view(
    storage: MemoryStorage, single: Spec[UploadedFile], asgi: bool
) -> None:
    """Its `dispatch` is none to Python: what its method raises only later removes the files all the same."""

    @method_decorator(receive(single, csrf=False), name="dispatch")
    class Decorated(View):
        async def post(self, request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
            await asyncio.sleep(0)
            assert storage.objects == {avatar.key: b"data"}
            if request.GET:
                raise PermissionDenied
            return HttpResponse(await avatar.aread())

    site = Site(Decorated.as_view(), asgi=asgi)
    assert site.post(url="/?refused=1").status_code == 403
    expect_nothing_left(storage)
    assert site.post().content == b"data"


def test_one_method_of_a_class_may_be_decorated_where_the_class_is_exempt(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """Django asks the class alone whether it is exempt; the method's own check is made all the same."""

    class Page(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(get_token(request))

        @method_decorator(receive(single))
        def post(self, request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
            return HttpResponse(avatar.filename)

    site = Site(csrf_exempt(Page.as_view()))
    expect_forbidden(site.post())
    expect_nothing_left(storage)
    assert site.post(with_token(site.open("GET", "/").content.decode())).content == b"me.bin"
    forgotten = Site(Page.as_view())
    form = with_token(forgotten.token())
    with pytest.raises(RuntimeError, match="read before"):
        forgotten.post(form)


def expect_forbidden(answer: HttpResponse) -> None:
    """Django's own page for a failed check."""
    assert answer.status_code == 403
    assert answer["Content-Type"].startswith("text/html")
    assert b"CSRF verification failed" in answer.content
