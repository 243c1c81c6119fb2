"""What went wrong with a storage or a check is in the log, wherever it is answered.

A sender is told no more than that it did.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Annotated, Any, BinaryIO

import flask
import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.adapters import django_project as django_project  # settings, as startproject makes them
from tests.adapters.asgi_client import ask

from uploadkit import IncomingFile, MemoryStorage, UploadedFile, Uploader
from uploadkit.adapters import asgi, wsgi
from uploadkit.adapters import django as django_adapter
from uploadkit.adapters import fastapi as fastapi_adapter
from uploadkit.adapters import flask as flask_adapter
from uploadkit.adapters import starlette as starlette_adapter
from uploadkit.errors import CheckFailed, StorageFailed
from uploadkit.testing import FailingStorage, FormBuilder

FORM = FormBuilder().file("photo", b"\x89PNG\r\n\x1a\n", filename="me.png", content_type="image/png")


def spec() -> Any:
    """Of an uploader whose storage fails at its first commit, for a reason of its own."""
    error = StorageFailed("the storage could not publish a file: InvalidAccessKeyId", storage="bucket", key="me.png")
    error.__cause__ = OSError("the key AKIDEXAMPLE is not known")
    return Uploader(FailingStorage(MemoryStorage(), after=0, on="commit", fault=error)).single("photo")


def by_asgi() -> int:
    @asgi.receive(spec())
    async def app(scope: Any, receive: Any, send: Any, photo: UploadedFile) -> None: ...

    return ask(app, FORM).status


def by_starlette() -> int:
    @starlette_adapter.receive(spec())
    async def photo(request: Request, photo: UploadedFile) -> Response:
        return Response()

    return ask(Starlette(routes=[Route("/", photo, methods=["POST"])]), FORM).status


def by_fastapi() -> int:
    return _by_fastapi(spec())


def _by_fastapi(spec: Any) -> int:
    async def photo(photo) -> None: ...  # type: ignore[no-untyped-def]  # on the next line

    photo.__annotations__["photo"] = Annotated[UploadedFile, fastapi_adapter.receive(spec)]
    app = FastAPI()
    app.post("/")(photo)
    return ask(app, FORM).status


def by_flask() -> int:
    app = flask.Flask(__name__)

    @app.post("/")
    @flask_adapter.receive(spec())
    def photo(photo: UploadedFile) -> str:
        return ""

    return app.test_client().post("/", data=FORM.body, content_type=FORM.content_type).status_code


def by_django() -> int:
    @django_adapter.receive(spec(), csrf=False)
    def photo(request: Any, photo: UploadedFile) -> HttpResponse:
        return HttpResponse()

    status: int = photo(RequestFactory().post("/", data=FORM.body, content_type=FORM.content_type)).status_code
    return status


def by_wsgi() -> int:
    @wsgi.receive(spec())
    def app(environ: Any, start_response: Any, photo: UploadedFile) -> list[bytes]:
        return []

    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": FORM.content_type,
        "CONTENT_LENGTH": str(len(FORM.body)),
        "wsgi.input": io.BytesIO(FORM.body),
    }

    def start_response(status: str, headers: object, error: object = None, /) -> Callable[[bytes], object]:
        said.append(status)
        return lambda data: None

    list(app(environ, start_response))
    return int(said[0][:3])


@pytest.mark.parametrize("answered", [by_asgi, by_starlette, by_fastapi, by_flask, by_django, by_wsgi])
def test_what_is_wrong_with_a_storage_is_logged_once(
    answered: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    """With the storage, the key and the cause, which the answer does not have."""
    with caplog.at_level(logging.WARNING, logger="uploadkit"):
        assert answered() == 503
    [record] = [record for record in caplog.records if record.name == "uploadkit"]
    assert record.levelname == "ERROR"
    assert record.getMessage() == (
        "the storage could not publish a file: InvalidAccessKeyId (storage 'bucket', key 'me.png')"
    )
    assert "OSError: the key AKIDEXAMPLE is not known" in caplog.text


class Unreachable:
    """A check that cannot be made."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        raise CheckFailed(
            "the file could not be scanned", filter="scan", reason="no answer from clamd", field=file.field
        )


def test_a_check_that_cannot_be_made_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With its reason, which the answer does not have."""
    with caplog.at_level(logging.WARNING, logger="uploadkit"):
        assert _by_fastapi(Uploader(MemoryStorage()).single("photo", check=Unreachable())) == 503
    [record] = [record for record in caplog.records if record.name == "uploadkit"]
    assert record.levelname == "ERROR"
    assert record.getMessage() == "the file could not be scanned (check 'scan'): no answer from clamd"


def test_what_is_wrong_with_a_form_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is the sender's."""
    with caplog.at_level(logging.DEBUG, logger="uploadkit"):
        assert _by_fastapi(Uploader(MemoryStorage()).single("photo", max_size=3)) == 413
    assert not [record for record in caplog.records if record.name == "uploadkit"]
