"""A spec with a pipeline under every adapter: what its register is told, and when, seen from the answer.

Before anything of an answer is sent all files of its request were accepted; where they were not, it is a 503.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.adapters.asgi_client import ask
from tests.adapters.django_project import PROJECT
from tests.adapters.test_wsgi import environ_of
from tests.intake.called import CalledStorage
from tests.intake.receiving import left_in
from tests.intake.registers import FakeRegister

from uploadkit.adapters import asgi, django, fastapi, flask, starlette, wsgi
from uploadkit.errors import LedgerFailed
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader

FORM = FormBuilder().file("a", b"one", filename="1.txt").file("b", bytes(200_000), filename="2.bin")

Handle = Callable[[Any], object]
Answered = Callable[[], object]


class Adapter(Protocol):
    """Posts a form to a handler under one adapter. `answered` is called when the answer begins. Returns its status."""

    def __call__(self, spec: Spec[Any], handle: Handle, form: FormBuilder, answered: Answered) -> int: ...


def call_wsgi(app: Any, form: FormBuilder, answered: Answered) -> int:
    """As a server does: the status is what was said last before the first bytes."""
    statuses: list[str] = []
    environ = environ_of(form, SERVER_NAME="testserver", **{"wsgi.errors": io.StringIO()})
    answer = app(environ, lambda status, headers, exc_info=None: statuses.append(status))
    try:
        for number, _ in enumerate(answer):
            if not number:
                answered()
    finally:
        getattr(answer, "close", bool)()
    return int(statuses[-1].split()[0])


def call_asgi(app: Any, form: FormBuilder, answered: Answered) -> int:
    return ask(app, form, on_start=answered).status


def under_wsgi(spec: Spec[Any], handle: Handle, form: FormBuilder, answered: Answered) -> int:
    @wsgi.receive(spec)
    def app(environ: Any, start_response: Any, received: Any) -> Any:
        start_response("200 OK", [])
        handle(received)
        return [b"ok"]

    return call_wsgi(app, form, answered)


def under_flask(spec: Spec[Any], handle: Handle, form: FormBuilder, answered: Answered) -> int:
    app = Flask("app")

    @app.post("/")
    @flask.receive(spec)
    def view(received: Any) -> str:
        handle(received)
        return "ok"

    return call_wsgi(app, form, answered)


def under_asgi(spec: Spec[Any], handle: Handle, form: FormBuilder, answered: Answered) -> int:
    @asgi.receive(spec)
    async def app(scope: Any, receive: Any, send: Any, received: Any) -> None:
        handle(received)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return call_asgi(app, form, answered)


def under_starlette(spec: Spec[Any], handle: Handle, form: FormBuilder, answered: Answered) -> int:
    @starlette.receive(spec)
    async def endpoint(request: Request, received: Any) -> Response:
        handle(received)
        return PlainTextResponse("ok")

    return call_asgi(Starlette(routes=[Route("/", endpoint, methods=["POST"])]), form, answered)


def under_fastapi(spec: Spec[Any], handle: Handle, form: FormBuilder, answered: Answered, *, sync: bool = False) -> int:
    app, received = FastAPI(), fastapi.receive(spec)
    if sync:

        @app.post("/")
        def route(given: Any = received) -> str:
            handle(given)
            return "ok"
    else:

        @app.post("/")
        async def aroute(given: Any = received) -> str:
            handle(given)
            return "ok"

    return call_asgi(app, form, answered)


def under_django(
    spec: Spec[Any], handle: Handle, form: FormBuilder, answered: Answered, *, handler: str = "wsgi"
) -> int:
    @django.receive(spec)
    def view(request: HttpRequest, received: Any) -> HttpResponse:
        handle(received)
        return HttpResponse("ok")

    @django.receive(spec)
    async def aview(request: HttpRequest, received: Any) -> HttpResponse:
        handle(received)
        return HttpResponse("ok")

    sync = handler != "async"
    with override_settings(**PROJECT, MIDDLEWARE=[], ROOT_URLCONF=(path("", view if sync else aview),)):
        if handler == "wsgi":
            return call_wsgi(WSGIHandler(), form, answered)
        return call_asgi(django.asgi(ASGIHandler()), form, answered)


ADAPTERS: dict[str, Adapter] = {
    "wsgi": under_wsgi,
    "flask": under_flask,
    "asgi": under_asgi,
    "starlette": under_starlette,
    "fastapi": under_fastapi,
    "fastapi, sync": partial(under_fastapi, sync=True),
    "django": under_django,
    "django, asgi, sync": partial(under_django, handler="sync"),
    "django, asgi": partial(under_django, handler="async"),
}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Every one that gives a handler its files as an argument."""
    return ADAPTERS[request.param]


def fails_at(call: str) -> Callable[[str], None]:
    def called(made: str) -> None:
        if made == call:
            raise LedgerFailed("the ledger is away")

    return called


class Posted:
    """What a form came to under an adapter: `noted` are the calls from the first commit on, and `status`."""

    def __init__(
        self,
        adapter: Adapter,
        handle: Handle = lambda _: None,
        *,
        fails: str = "",
        form: FormBuilder = FORM,
        limits: Limits | None = None,
    ) -> None:
        self.register = FakeRegister(fails_at(fails))
        self.storage = CalledStorage(self.register.note)
        spec = Uploader(self.storage, pipeline=self.register, limits=limits or Limits()).any()

        def handled(received: Any) -> None:
            self.register.note("handler")
            handle(received)

        self.status = adapter(spec, handled, form, lambda: self.register.note("answer"))

    @property
    def noted(self) -> list[str]:
        calls = self.register.calls
        return calls[calls.index("commit") :]


def test_files_are_accepted_after_the_handler_and_before_the_answer(adapter: Adapter) -> None:
    """Once, all of them."""
    posted = Posted(adapter)
    assert posted.status == 200
    assert posted.noted == ["commit", "commit", "handler", "accept", "answer"]
    assert posted.register.ends() == ["accepted", "accepted"]


def test_a_request_whose_files_are_not_accepted_is_answered_503(adapter: Adapter) -> None:
    """Though its handler has made an answer; nothing of the files is left."""
    posted = Posted(adapter, fails="accept")
    assert posted.status == 503
    assert posted.noted == ["commit", "commit", "handler", "accept", "delete", "delete", "refuse", "answer"]
    assert posted.register.ends() == ["refused", "refused"]
    assert left_in(posted.storage.inner) == []


def test_a_register_that_knows_of_no_file_lets_none_in(adapter: Adapter) -> None:
    """The first byte is not stored; 503."""
    posted = Posted(adapter, fails="begin")
    assert posted.status == 503
    assert posted.register.calls == ["begin", "answer"]


def test_a_refused_form_is_refused_before_it_is_answered(adapter: Adapter) -> None:
    """The second file is one too many."""
    posted = Posted(adapter, limits=Limits(files=1))
    assert posted.status == 413
    assert posted.register.calls[-3:] == ["discard", "refuse", "answer"]
    assert posted.register.ends() == ["refused"]


def test_the_files_of_a_handler_that_raises_are_refused(adapter: Adapter) -> None:
    """Whatever the framework makes of its error."""

    def raises(_: object) -> None:
        raise LedgerFailed("of the handler")

    posted = Posted(adapter, raises)
    assert posted.status == 503
    assert posted.noted == ["commit", "commit", "handler", "delete", "delete", "refuse", "answer"]
    assert left_in(posted.storage.inner) == []


def test_a_handler_takes_files_back_through_the_register(adapter: Adapter) -> None:
    """They are deleted, and the other files accepted."""
    posted = Posted(adapter, lambda received: received.files[0].discard())
    assert posted.status == 200
    assert posted.register.ends() == ["deleted", "accepted"]


def test_a_form_without_files_is_not_accepted(adapter: Adapter) -> None:
    """There is nothing to remember."""
    posted = Posted(adapter, form=FormBuilder().text("t", "x"))
    assert posted.register.calls == ["handler", "answer"]


# A plain ASGI application answers itself


def test_an_application_that_swallows_what_its_answer_raises_is_answered_for() -> None:
    """It tries to send twice, and returns: nothing is sent by it, and the files are gone."""
    register = FakeRegister(fails_at("accept"))
    storage = CalledStorage(register.note)

    @asgi.receive(Uploader(storage, pipeline=register).any())
    async def app(scope: Any, receive: Any, send: Any, received: Any) -> None:
        for _ in range(2):
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            except LedgerFailed:
                register.note("caught")

    answer = ask(app, FORM)
    assert answer.status == 503
    assert register.calls[-6:] == ["accept", "delete", "delete", "refuse", "caught", "caught"]
    assert register.ends() == ["refused", "refused"]


@pytest.mark.parametrize("on_error", ["discard", "keep"])
def test_an_application_that_raises_in_its_answer_has_its_files_deleted(on_error: Any) -> None:
    """They were accepted before it: so they are deleted, with what was made of them, unless they are kept."""
    register = FakeRegister()
    storage = CalledStorage(register.note)

    @asgi.receive(Uploader(storage, pipeline=register, on_error=on_error).any())
    async def app(scope: Any, receive: Any, send: Any, received: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        ask(app, FORM)
    assert set(register.ends()) == {"deleted" if on_error == "discard" else "accepted"}
    assert len(left_in(storage.inner)) == (0 if on_error == "discard" else 2)
    assert register.calls.count("accept") == 1


def test_an_application_that_answers_nothing_has_its_files_accepted() -> None:
    """When it returns."""
    register = FakeRegister()

    @asgi.receive(Uploader(MemoryStorage(), pipeline=register).any())
    async def app(scope: Any, receive: Any, send: Any, received: Any) -> None: ...

    ask(app, FORM)
    assert register.ends() == ["accepted", "accepted"]


# An answer under WSGI that is not sent is closed


def test_an_answer_that_is_not_sent_is_closed() -> None:
    """PEP 3333: the server would have closed it, and is not given it."""
    closed: list[bool] = []

    class Blocks:
        def __iter__(self) -> Iterator[bytes]:
            yield pytest.fail("it was sent")

        def close(self) -> None:
            closed.append(True)

    register = FakeRegister(fails_at("accept"))

    @wsgi.receive(Uploader(MemoryStorage(), pipeline=register).any())
    def app(environ: Any, start_response: Any, received: Any) -> Any:
        start_response("200 OK", [])
        return Blocks()

    assert call_wsgi(app, FORM, bool) == 503
    assert closed == [True]


# Another parser


def test_targets_of_streaming_form_data_are_accepted_when_their_block_ends() -> None:
    """And refused where it raises, is left early, or they cannot be accepted."""
    pytest.importorskip("streaming_form_data", reason="it has no wheel for this Python")
    from tests.adapters.test_streaming_form_data import parser_of

    from uploadkit.adapters.streaming_form_data import FormTargets

    def sent(register: FakeRegister, end: str) -> None:
        storage = CalledStorage(register.note)
        with FormTargets(Uploader(storage, pipeline=register).any()) as targets:
            parser_of(targets, FORM).data_received(FORM.body)
            if end == "left early":
                return
            targets.finish()
            register.note("handler")
            if end == "raises":
                raise RuntimeError(end)

    good = FakeRegister()
    sent(good, "well")
    assert good.calls[-4:] == ["commit", "commit", "handler", "accept"]
    for register, end, error in (
        (FakeRegister(), "raises", RuntimeError),
        (FakeRegister(fails_at("accept")), "well", LedgerFailed),
    ):
        with pytest.raises(error):
            sent(register, end)
        assert register.calls[-3:] == ["delete", "delete", "refuse"]
        assert register.ends() == ["refused", "refused"]
    early = FakeRegister()
    sent(early, "left early")
    assert early.calls[-3:] == ["discard", "discard", "refuse"]


# Forms of the frameworks


@pytest.mark.parametrize(
    ("taker", "take"),
    [
        ("request_class", flask.request_class),
        ("request_form", starlette.request_form),
        ("upload_handler", django.upload_handler),
        ("upload_rules", django.upload_rules),
    ],
)
def test_a_form_of_the_framework_takes_no_pipeline(taker: str, take: Callable[[Any], object]) -> None:
    """Its files go when the request ends, after the answer: told when it is set up, with what to use."""
    spec = Uploader(MemoryStorage(), pipeline=FakeRegister()).any()
    with pytest.raises(
        TypeError, match=rf"^{taker} takes no spec of an Uploader with a pipeline: .* receive\(\.\.\.\)$"
    ):
        take(spec)


def test_a_chosen_spec_of_djangos_forms_has_no_pipeline_either() -> None:
    """There it is known when a request chooses it."""
    spec = Uploader(MemoryStorage(), pipeline=FakeRegister()).any()
    handler: Any = django.upload_handler(lambda request: spec)(HttpRequest())
    with pytest.raises(TypeError, match="upload_handler takes no spec of an Uploader with a pipeline"):
        handler.handle_raw_input(io.BytesIO(FORM.body), {"CONTENT_TYPE": FORM.content_type}, len(FORM.body), b"x")
