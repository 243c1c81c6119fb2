"""Django's ASGI application under `asgi`, asked message by message: what its views take, and when.

Every request goes through Django's own handler. The client fails where two wait for a message at once, and after
every request no task may be left, nor an exception in Django's log.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.test import override_settings
from django.urls import path
from django.utils import translation
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt, csrf_protect, ensure_csrf_cookie
from django.views.decorators.http import require_POST
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.adapters.asgi_client import Answer, aask, ask, headers_of
from tests.adapters.django_project import CSRF, PROJECT, READS_BODY, READS_POST, Middleware
from tests.adapters.expectations import (
    AVATAR,
    HANDED,
    MISTAKES,
    Handed,
    Mistake,
    expect_mistake,
    expect_nothing_left,
    facts,
)

from uploadkit.adapters.django import asgi, receive, upload_handler
from uploadkit.errors import ClientDisconnected
from uploadkit.intake.asynchronous import _patrol_of
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

LOCALE = "django.middleware.locale.LocaleMiddleware"

for_forms = upload_handler(Uploader(MemoryStorage()).any())
SYNC_ONLY = f"{Middleware.__module__}.{Middleware.__qualname__}"

LARGE = FormBuilder().file("avatar", bytes(1_000_000), filename="x.bin")
CHUNK = 64 << 10
CHUNKS = [LARGE.body[at : at + CHUNK] for at in range(0, len(LARGE.body), CHUNK)]

EITHER_VIEW = pytest.mark.parametrize("is_async", [False, True], ids=["sync view", "async view"])


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    """A project without middleware."""
    with override_settings(**PROJECT, MIDDLEWARE=[]):
        yield


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged. No exception may be there that a test has not taken out, but what is wrong with a storage."""
    with caplog.at_level(logging.WARNING):
        yield caplog
    others = [record for record in caplog.get_records("call") if record.exc_info and record.name != "uploadkit"]
    assert [record.getMessage() for record in others] == []


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the view under test stores."""
    return MemoryStorage()


@pytest.fixture
def single(storage: MemoryStorage) -> Spec[UploadedFile]:
    """One file in the field `avatar`."""
    return Uploader(storage).single("avatar")


@pytest.fixture
def tiny(storage: MemoryStorage) -> Spec[UploadedFile]:
    """The same, with a file of at most three bytes."""
    return Uploader(storage, max_size=3).single("avatar")


def handling(
    spec: Spec[Any], handle: Callable[[Any], object] = lambda value: None, *, is_async: bool = False, **options: Any
) -> Callable[..., Any]:
    """A view that lets `handle` see its value, and answers."""
    if is_async:

        @receive(spec, **options)
        async def async_view(request: HttpRequest, value: Any) -> HttpResponse:
            handle(value)
            return HttpResponse("ok")

        return async_view

    @receive(spec, **options)
    def view(request: HttpRequest, value: Any) -> HttpResponse:
        handle(value)
        return HttpResponse("ok")

    return view


class Site:
    """A project with one view, at `/`, and with `urls`, whose application is under `asgi`."""

    def __init__(self, *views: Callable[..., Any], urls: tuple[Any, ...] = ()) -> None:
        self._settings = override_settings(ROOT_URLCONF=(*(path("", view) for view in views), *urls))

    def ask(self, form: FormBuilder | None = AVATAR, **request: Any) -> Answer:
        """The answer to a request that leaves no task behind."""
        with self._settings:
            answer = ask(asgi(get_asgi_application()), form, **request)
        assert answer.unfinished == []
        return answer

    def refuse_early(self, **request: Any) -> None:
        """Its view refuses a large file, and has taken one chunk of it."""
        answer = self.ask(LARGE, chunks=CHUNKS, **request)
        assert (answer.status, answer.json["code"], answer.taken) == (413, "limit_exceeded", 1)

    def take_all(self, status: int, **request: Any) -> None:
        """Django has the whole body before it answers."""
        answer = self.ask(LARGE, chunks=CHUNKS, **request)
        assert (answer.status, answer.taken) == (status, len(CHUNKS))


@EITHER_VIEW
@pytest.mark.parametrize("handed", HANDED, ids=lambda handed: handed.name)
def test_the_view_is_given_what_the_spec_promises(storage: MemoryStorage, handed: Handed, is_async: bool) -> None:
    """From a body of one piece, and of pieces of ten bytes."""
    given: list[object] = []
    site = Site(handling(handed.spec(Uploader(storage)), lambda value: given.append(facts(value)), is_async=is_async))
    body = handed.form.body
    assert site.ask(handed.form).body == b"ok"
    pieces = [b"", *(body[at : at + 10] for at in range(0, len(body), 10)), b""]
    assert site.ask(handed.form, chunks=pieces).body == b"ok"
    assert given == [handed.value] * 2


@EITHER_VIEW
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_an_error_is_answered_with_problem_details(mistake: Mistake, is_async: bool) -> None:
    """As without the wrapper."""
    storage = mistake.storage()
    headers = [(b"content-type", mistake.content_type.encode()), (b"content-length", b"%d" % len(mistake.body))]
    site = Site(handling(mistake.spec(storage), pytest.fail, is_async=is_async))
    answer = site.ask(None, headers=headers, chunks=[mistake.body])
    expect_mistake(mistake, storage, answer.status, answer.content_type, answer.body)


@EITHER_VIEW
@pytest.mark.parametrize("middleware", [[], [SYNC_ONLY], [CSRF]], ids=["none", "sync", "CSRF"])
def test_a_file_that_is_too_large_is_refused_at_its_first_chunk(
    storage: MemoryStorage, tiny: Spec[UploadedFile], is_async: bool, middleware: list[str]
) -> None:
    """The rest stays with the server. A sync middleware moves both kinds of view to other threads, and no more."""
    with override_settings(MIDDLEWARE=middleware):
        Site(handling(tiny, pytest.fail, is_async=is_async)).refuse_early()
    expect_nothing_left(storage)


@EITHER_VIEW
def test_a_body_that_says_it_is_too_long_is_refused_unread(storage: MemoryStorage, is_async: bool) -> None:
    """By its Content-Length alone."""
    view = handling(Uploader(storage, limits=Limits(body_size=10)).any(), pytest.fail, is_async=is_async)
    answer = Site(view).ask()
    assert (answer.status, answer.json["seen"], answer.taken) == (413, len(AVATAR.body), 0)


@EITHER_VIEW
def test_a_urlencoded_form_is_refused_early_too(storage: MemoryStorage, is_async: bool) -> None:
    """It is a form like the other."""
    view = handling(Uploader(storage, limits=Limits(field_size=10)).any(), pytest.fail, is_async=is_async)
    headers = [(b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")]
    answer = Site(view).ask(None, headers=headers, chunks=[b"a=" + b"x" * 100, b"x"])
    assert (answer.status, answer.taken) == (413, 1)


def test_what_is_no_form_stays_with_django(tiny: Spec[UploadedFile]) -> None:
    """Another media type, or none; a decorator above the view may have a use for it."""

    def json_or_form(request: HttpRequest) -> HttpResponse:
        if request.content_type == "application/json":
            return HttpResponse(request.body)
        return HttpResponse(decorated(request).content, status=413)

    decorated = handling(tiny)
    json_or_form.__dict__.update(decorated.__dict__)
    site = Site(json_or_form)
    answer = site.ask(None, headers=[(b"content-type", b"application/json")], chunks=[b"{", b"}"])
    assert (answer.body, answer.taken) == (b"{}", 2)
    site.refuse_early()
    site = Site(decorated)
    assert site.ask(None, headers=[], chunks=[b"a", b"b"]).taken == 2
    assert site.ask(None, method="GET").status == 415


def test_a_view_of_another_kind_has_its_form(tiny: Spec[UploadedFile]) -> None:
    """As the pages of Django's admin: `POST` and `FILES` are what they are without the wrapper."""

    def view(request: HttpRequest) -> JsonResponse:
        [file] = request.FILES.getlist("avatar")
        return JsonResponse([request.POST["title"], file.read().decode()], safe=False)

    form = FormBuilder().text("title", "x").file("avatar", b"data", filename="me.bin")
    site = Site(handling(tiny), urls=(path("admin/", view),))
    assert site.ask(form, path="/admin/", chunks=[form.body[:50], form.body[50:]]).json == ["x", "data"]


def test_a_path_without_a_view_stays_with_django(tiny: Spec[UploadedFile]) -> None:
    """Its 404 needs no look at the body, but that is Django's."""
    Site(handling(tiny)).take_all(404, path="/nowhere")


def test_a_request_that_django_refuses_stays_with_django(
    tiny: Spec[UploadedFile], log: pytest.LogCaptureFixture
) -> None:
    """A query that is no text, which Django itself logs."""
    Site(handling(tiny)).take_all(400, path="/?\udcff")
    log.clear()


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_scopes_go_to_django(kind: str) -> None:
    """By its refusal a server sees that they are not supported."""
    with pytest.raises(ValueError, match="can only handle ASGI/HTTP"):
        asyncio.run(asgi(get_asgi_application())({"type": kind, "path": "/"}, pytest.fail, pytest.fail))  # type: ignore[arg-type]


def test_django_may_be_mounted_in_another_application(tiny: Spec[UploadedFile]) -> None:
    """With the prefix that Django itself is told, by `root_path` or by `FORCE_SCRIPT_NAME`."""
    site = Site(urls=(path("form", handling(tiny, pytest.fail)),))
    site.refuse_early(path="/form")
    site.refuse_early(path="/django/form", root_path="/django")
    site.take_all(404, path="/django/form")
    with override_settings(FORCE_SCRIPT_NAME="/forced"):
        site.refuse_early(path="/forced/form", root_path="/django")

    with override_settings(ROOT_URLCONF=(path("form", handling(tiny, pytest.fail)),)):
        outer = Starlette(routes=[Mount("/django", app=asgi(get_asgi_application()))])
        answer = ask(outer, LARGE, path="/django/form", chunks=CHUNKS)
    assert (answer.status, answer.taken) == (413, 1)


def test_a_middleware_of_asgi_may_stand_between(tiny: Spec[UploadedFile]) -> None:
    """Also one that hands on a copy of the scope."""

    async def between(scope: Any, receive: Any, send: Any) -> None:
        await get_asgi_application()(dict(scope), receive, send)

    with override_settings(ROOT_URLCONF=(path("", handling(tiny, pytest.fail)),)):
        answer = ask(asgi(between), LARGE, chunks=CHUNKS)
    assert (answer.status, answer.taken) == (413, 1)


@pytest.mark.parametrize("prefix_default", [True, False])
def test_a_path_may_begin_with_its_language(
    monkeypatch: pytest.MonkeyPatch, tiny: Spec[UploadedFile], prefix_default: bool
) -> None:
    """`i18n_patterns`, whatever language the request before had."""
    real: Any = translation
    monkeypatch.setattr(real, "_trans", type(real._trans)())  # it keeps what USE_I18N was when it was first used
    languages: Any = {"USE_I18N": True, "LANGUAGES": [("en", "English"), ("de", "Deutsch")], "LANGUAGE_CODE": "en"}
    with override_settings(**languages, MIDDLEWARE=[LOCALE]):
        view = path("form", handling(tiny, pytest.fail))
        site = Site(urls=tuple(i18n_patterns(view, prefix_default_language=prefix_default)))
        for _ in range(2):
            site.refuse_early(path="/de/form")
            site.refuse_early(path="/en/form" if prefix_default else "/form")
        site.take_all(404, path="/fr/form")


@EITHER_VIEW
@pytest.mark.parametrize("at", ["as_view", "dispatch"])
def test_a_class_is_found_by_its_decorator(
    storage: MemoryStorage, single: Spec[UploadedFile], tiny: Spec[UploadedFile], is_async: bool, at: str
) -> None:
    """Around what `as_view` gives, or at `dispatch`."""

    class Page(View):
        def post(self, request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
            return HttpResponse(avatar.read())

    class AsyncPage(View):
        async def post(self, request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
            return HttpResponse(await avatar.aread())

    def view(spec: Spec[UploadedFile]) -> Any:
        page: Any = AsyncPage if is_async else Page
        if at == "as_view":
            return receive(spec)(page.as_view())
        decorated: Any = method_decorator(receive(spec), name="dispatch")(type("Decorated", (page,), {}))
        return decorated.as_view()

    assert Site(view(single)).ask().body == b"data"
    Site(view(tiny)).refuse_early()
    assert list(storage.objects.values()) == [b"data"]


def test_a_class_with_one_decorated_method_is_as_without(tiny: Spec[UploadedFile]) -> None:
    """Django does not show what its methods carry: the form is refused, only not early."""

    class Page(View):
        @method_decorator(receive(tiny))
        def post(self, request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
            pytest.fail("too large")

    Site(csrf_exempt(Page.as_view())).take_all(413)


def test_decorators_above_turn_a_request_away_unread(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Nothing of the form is taken, and nothing stored."""
    answer = Site(require_POST(handling(single, pytest.fail))).ask(method="PUT")
    assert (answer.status, answer.taken) == (405, 0)
    expect_nothing_left(storage)


@EITHER_VIEW
@pytest.mark.parametrize("sent", [0, 1, 3, len(CHUNKS)])
@pytest.mark.parametrize("middleware", [[], [SYNC_ONLY]], ids=["no middleware", "sync middleware"])
def test_a_client_that_goes_away_leaves_nothing(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool, sent: int, middleware: list[str]
) -> None:
    """Before its first chunk, in the middle, and when it has sent all but the word that this is all."""
    with override_settings(MIDDLEWARE=middleware):
        site = Site(handling(single, pytest.fail, is_async=is_async))
        answer = site.ask(LARGE, chunks=CHUNKS[:sent], leaves=True)
    assert answer.taken == sent
    expect_nothing_left(storage)


@pytest.mark.parametrize("end", [[], [b""]], ids=["with its last bytes", "by itself"])
def test_a_view_is_cancelled_where_its_client_does_not_wait_for_the_answer(
    storage: MemoryStorage, single: Spec[UploadedFile], end: list[bytes]
) -> None:
    """Django sees the disconnect that comes after the body, however that ends, and the files are removed."""
    seen: list[object] = []

    @receive(single)
    async def view(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        seen.append(list(storage.objects.values()))
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("cancelled")
        return HttpResponse()

    answer = Site(view).ask(chunks=[AVATAR.body, *end], headers=headers_of(AVATAR), leaves_answer=True)
    assert (answer.messages, seen) == ([], [[b"data"], "cancelled"])
    expect_nothing_left(storage)


def test_a_sync_view_ends_as_it_would_where_its_client_does_not_wait_for_the_answer(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """Nobody can stop a thread: it has the file, and handles it. The disconnect follows the body at once."""
    site = Site(handling(single))
    for _ in range(20):
        site.ask(leaves_answer=True)
    assert list(storage.objects.values()) == [b"data"] * 20


@EITHER_VIEW
def test_nothing_is_sent_to_a_client_that_is_gone(single: Spec[UploadedFile], is_async: bool) -> None:
    """By the specification of ASGI a server may take that for an error."""
    answer = Site(handling(single, pytest.fail, is_async=is_async)).ask(LARGE, chunks=CHUNKS[:2], leaves=True)
    assert answer.messages == []


@EITHER_VIEW
@pytest.mark.parametrize("large", [True, False])
def test_the_server_is_asked_in_its_own_context(
    single: Spec[UploadedFile], tiny: Spec[UploadedFile], is_async: bool, large: bool
) -> None:
    """It may begin the next request in the context of a call, where nothing of this one may be."""
    seen: list[object] = []

    def look(*_: object) -> None:
        seen.extend(value for value in copy_context().values() if type(value).__module__.startswith("asgiref"))

    async def before_chunk(chunk: int) -> None:
        look()

    site = Site(handling(tiny if large else single, is_async=is_async))
    # In an empty context, since asgiref leaves its threads in that of whoever has used it in this process before.
    Context().run(site.ask, LARGE, chunks=CHUNKS, before_chunk=before_chunk, on_start=look)
    assert seen == []


def test_a_disconnect_may_go_to_the_middlewares_of_the_project(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """With `raise_errors` it is an exception of the view like any other."""
    seen: list[object] = []

    def notes(view: Callable[..., Any]) -> Callable[..., Any]:
        def noting(request: HttpRequest) -> HttpResponse:
            with pytest.raises(ClientDisconnected) as raised:
                view(request)
            seen.append(raised.type)
            return HttpResponse()

        noting.__dict__.update(view.__dict__)
        return noting

    Site(notes(handling(single, pytest.fail, raise_errors=True))).ask(LARGE, chunks=CHUNKS[:2], leaves=True)
    assert seen == [ClientDisconnected]
    expect_nothing_left(storage)


@EITHER_VIEW
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"
)
def test_a_server_that_gives_up_leaves_nothing(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """It cancels the request in the middle of the body, and then its loop ends. The thread of a sync view may live
    longer, as long as a server's process waits for its threads."""
    others = set(threading.enumerate())

    async def give_up() -> None:
        begun = asyncio.Event()

        async def stalls(chunk: int) -> None:
            if chunk == 2:
                begun.set()
                await asyncio.get_running_loop().create_future()

        app = asgi(get_asgi_application())
        request = asyncio.create_task(aask(app, LARGE, chunks=CHUNKS, before_chunk=stalls))
        await begun.wait()
        assert storage.unfinished
        request.cancel()

    with override_settings(ROOT_URLCONF=(path("", handling(single, pytest.fail, is_async=is_async)),)):
        asyncio.run(give_up())
    for thread in set(threading.enumerate()) - others:
        if not thread.name.startswith("uploadkit"):
            thread.join(10)
    expect_nothing_left(storage)
    gc.collect()  # Django 5.2 closes the file of an empty body only so where it is cancelled


@EITHER_VIEW
def test_many_uploads_arrive_at_once(storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool) -> None:
    """Each sync view has a thread of its own: the second chunk of any comes when all have asked for theirs."""
    count = 50

    async def upload_all() -> list[Answer]:
        all_wait = asyncio.Barrier(count)

        async def meets(chunk: int) -> None:
            if chunk == 1:
                await all_wait.wait()

        app = asgi(get_asgi_application())
        chunks = [LARGE.body[:CHUNK], LARGE.body[CHUNK:]]
        return await asyncio.gather(*(aask(app, LARGE, chunks=chunks, before_chunk=meets) for _ in range(count)))

    with override_settings(ROOT_URLCONF=(path("", handling(single, is_async=is_async)),)):
        answers = asyncio.run(asyncio.wait_for(upload_all(), 30))
    assert [answer.body for answer in answers] == [b"ok"] * count
    assert [len(stored) for stored in storage.objects.values()] == [1_000_000] * count


@EITHER_VIEW
@pytest.mark.parametrize("reader", [READS_POST, READS_BODY], ids=["POST", "body"])
def test_a_middleware_that_has_looked_for_the_form_is_a_mistake_of_the_program(
    storage: MemoryStorage,
    single: Spec[UploadedFile],
    log: pytest.LogCaptureFixture,
    is_async: bool,
    reader: str,
) -> None:
    """It has seen an empty one, which must not go unnoticed: the message says so, and nothing of the form is taken."""
    with override_settings(MIDDLEWARE=[reader]):
        answer = Site(handling(single, pytest.fail, is_async=is_async)).ask()
    assert (answer.status, answer.taken) == (500, 0)
    expect_mistake_logged(log, "was empty there: under uploadkit.adapters.django.asgi")
    expect_nothing_left(storage)


def test_the_handler_of_a_projects_forms_leaves_the_form_to_a_decorated_view(
    storage: MemoryStorage, single: Spec[UploadedFile], log: pytest.LogCaptureFixture
) -> None:
    """Where a middleware asks it too early, it takes nothing of what the view is to have: the mistake is the same."""
    with override_settings(MIDDLEWARE=[READS_POST], FILE_UPLOAD_HANDLERS=[f"{__name__}.for_forms"]):
        answer = Site(handling(single, pytest.fail)).ask()
    assert (answer.status, answer.taken) == (500, 0)
    expect_mistake_logged(log, "was empty there: under uploadkit.adapters.django.asgi")
    expect_nothing_left(storage)


def test_forms_of_djangos_own_are_received_beside_decorated_views(storage: MemoryStorage) -> None:
    """In a project that has both, a view that reads `request.FILES` finds them there."""

    def view(request: HttpRequest) -> HttpResponse:
        [avatar] = request.FILES.getlist("avatar")
        return HttpResponse(avatar.read())

    with override_settings(FILE_UPLOAD_HANDLERS=[f"{__name__}.for_forms"]):
        assert Site(csrf_exempt(view)).ask().body == b"data"


def test_csrf_protect_above_is_a_mistake_of_the_program(
    storage: MemoryStorage, single: Spec[UploadedFile], log: pytest.LogCaptureFixture
) -> None:
    """It finds no form to look for the token in, and refuses; where the header has the token, the view tells."""
    urls = (path("form", ensure_csrf_cookie(lambda request: HttpResponse(get_token(request)))),)
    site = Site(csrf_protect(handling(single, pytest.fail)), urls=urls)
    assert site.ask().status == 403
    assert site.ask(headers=[*headers_of(AVATAR), *cookie_and_token(site)]).status == 500
    expect_mistake_logged(log, "use receive(spec, csrf=True) in its place")
    expect_nothing_left(storage)


def test_a_second_receive_is_a_mistake_of_the_program(
    storage: MemoryStorage, single: Spec[UploadedFile], log: pytest.LogCaptureFixture
) -> None:
    """The first one has the body; its files are removed."""

    @receive(single)
    @receive(Uploader(storage).single("gallery"))
    def view(request: HttpRequest, gallery: UploadedFile, avatar: UploadedFile) -> HttpResponse:
        pytest.fail("there is no body for both")

    assert Site(view).ask().status == 500
    expect_mistake_logged(log, "take all files and text values with one receive(upload.fields(...))")
    expect_nothing_left(storage)


@EITHER_VIEW
def test_the_token_is_judged_while_the_form_arrives(
    storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """A bad one in the header by no chunk, a bad one in the form by the first; a good one is enough."""
    urls = (path("form", ensure_csrf_cookie(lambda request: HttpResponse(get_token(request)))),)
    with override_settings(MIDDLEWARE=[CSRF]):
        site = Site(handling(single, is_async=is_async), urls=urls)
        (cookie, token) = cookie_and_token(site)

        def post(form: FormBuilder, *headers: tuple[bytes, bytes]) -> tuple[int, int]:
            half = len(form.body) // 2
            chunks = [form.body[:half], form.body[half:]]
            answer = site.ask(headers=[*headers_of(form), *headers], chunks=chunks)
            return answer.status, answer.taken

        def with_token(value: str) -> FormBuilder:
            return FormBuilder().text("csrfmiddlewaretoken", value).file("avatar", bytes(1000), filename="x")

        assert post(with_token("x" * 64), cookie, (b"x-csrftoken", b"x" * 64)) == (403, 0)
        assert post(with_token("x" * 64), cookie) == (403, 1)
        assert post(with_token(token[1].decode())) == (403, 1)
        expect_nothing_left(storage)
        assert post(with_token(token[1].decode()), cookie) == (200, 2)
        assert post(LARGE, cookie, token) == (200, 2)


def cookie_and_token(site: Site) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """The headers of a client that has seen a page with a form."""
    page = site.ask(None, path="/form", method="GET")
    [cookie] = [value for name, value in page.messages[0]["headers"] if name == b"Set-Cookie"]
    return (b"cookie", cookie.partition(b";")[0]), (b"x-csrftoken", page.body)


def expect_mistake_logged(log: pytest.LogCaptureFixture, text: str) -> None:
    """Django has logged one exception, a `RuntimeError` that says `text`."""
    [error] = [record.exc_info[1] for record in log.records if record.exc_info]
    assert isinstance(error, RuntimeError)
    assert text in str(error)
    log.clear()


@EITHER_VIEW
@pytest.mark.parametrize("large", [True, False])
def test_no_wait_is_looked_after_when_the_view_has_ended(
    single: Spec[UploadedFile], tiny: Spec[UploadedFile], is_async: bool, large: bool
) -> None:
    """Whether it has received its form or refused it: the event loop keeps nothing of the request."""
    left: list[int] = []
    site = Site(handling(tiny if large else single, is_async=is_async))
    site.ask(LARGE, chunks=CHUNKS, on_start=lambda: left.append(len(_patrol_of(asyncio.get_running_loop()).waits)))
    assert left == [0]
