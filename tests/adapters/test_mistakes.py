"""What newcomers write first, and what every adapter tells them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any, cast

import pytest
from flask import Flask
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.adapters.asgi_client import ask

from uploadkit import MemoryStorage, UploadedFile, Uploader
from uploadkit.adapters import flask, starlette
from uploadkit.testing import FormBuilder

ADAPTERS = ["asgi", "wsgi", "starlette", "fastapi", "flask", "django"]
upload = Uploader(MemoryStorage())


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_is_no_spec_is_refused_when_the_route_is_made(name: str) -> None:
    """The uploader itself, one of its methods, or the view under a bare `@receive`."""
    receive: Any = import_module(f"uploadkit.adapters.{name}").receive
    for given in (upload, upload.single, test_what_is_no_spec_is_refused_when_the_route_is_made):
        with pytest.raises(TypeError, match=r"receive takes a spec, as in receive\(upload\.single\('avatar'\)\)"):
            receive(given)


@pytest.mark.parametrize(
    ("name", "framework", "extra"),
    [
        ("starlette", "starlette", "starlette"),
        ("fastapi", "fastapi", "fastapi"),
        ("flask", "flask", "flask"),
        ("django", "asgiref", "django"),
        ("streaming_form_data", "streaming_form_data", "streaming-form-data"),
    ],
)
def test_an_adapter_without_its_framework_says_what_to_install(name: str, framework: str, extra: str) -> None:
    """In place of a name that the reader has not written."""
    program = f"import sys; sys.modules[{framework!r}] = None; import uploadkit.adapters.{name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"pip install 'pyuploadkit[{extra}]'" in done.stderr


def test_a_method_of_a_flask_class_is_told_that_it_is_none() -> None:
    """Its arguments would be swapped silently."""

    class Page(MethodView):
        @flask.receive(upload.single("avatar"))  # type: ignore[arg-type]  # a type checker finds it too
        def post(self, avatar: UploadedFile) -> str:  # type: ignore[misc]  # the same
            return avatar.filename

    app = Flask(__name__)
    app.testing = True
    app.add_url_rule("/", view_func=Page.as_view("page"))
    with pytest.raises(TypeError, match="not a method of a class-based view"):
        app.test_client().post("/", data=b"")


def test_a_sync_endpoint_is_refused_by_starlettes_adapter() -> None:
    """Starlette would run it in a thread; uploadkit awaits it."""
    sync: Any = lambda request, avatar: JSONResponse({})  # noqa: E731  # the shortest function there is
    with pytest.raises(TypeError, match="is an async function"):
        starlette.receive(upload.single("avatar"))(sync)


def test_a_method_is_refused_by_starlettes_adapter() -> None:
    """Of an `HTTPEndpoint`: it is told when the class is made, and not by Python at the first request."""

    async def get(self: object, request: object) -> Any: ...

    async def post(self: object, request: object, avatar: object) -> Any: ...

    with pytest.raises(TypeError, match=r"request_form\(\.\.\.\) decorates .* not a method of an HTTPEndpoint"):
        starlette.request_form(upload.any())(cast(Any, get))
    with pytest.raises(TypeError, match=r"receive\(\.\.\.\) decorates .* not a method of an HTTPEndpoint"):
        starlette.receive(upload.single("avatar"))(cast(Any, post))


def test_starlettes_request_form_gives_the_text_values() -> None:
    """As `request.form` does in Flask and `request.POST` in Django."""

    @starlette.receive(upload.none())
    async def endpoint(request: Request, _: object) -> Response:
        return JSONResponse((await request.form()).multi_items())

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    form = FormBuilder().text("tag", "a").text("tag", "b")
    assert ask(app, form).json == [["tag", "a"], ["tag", "b"]]
