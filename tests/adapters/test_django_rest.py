"""Django REST framework over the forms that uploadkit receives: its parser, requests and serializers, unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.adapters.django_project import CSRF, PROJECT, READS_BODY, READS_POST

# What follows wants the settings that this module has made.
# isort: split

import pytest
from django.http import HttpResponseBase
from django.test import Client, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import api_view, authentication_classes, renderer_classes
from rest_framework.parsers import FileUploadParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from tests.adapters.expectations import AVATAR

from uploadkit.adapters.django import StoredFile, upload_handler, upload_rules
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder
from uploadkit.uploader import Uploader

rules: list[Spec[Any]] = []
for_forms = upload_handler(lambda request: rules[-1])
ERRORS = "uploadkit.adapters.django.UploadErrors"


class AvatarSerializer(serializers.Serializer):  # type: ignore[type-arg]  # it takes none when it runs
    title = serializers.CharField(required=False, max_length=3)
    avatar = serializers.FileField(max_length=20)


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    """A project with the one installed line."""
    with override_settings(**PROJECT, MIDDLEWARE=[ERRORS], FILE_UPLOAD_HANDLERS=[f"{__name__}.for_forms"]):
        yield
    rules.clear()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def ask(
    handle: Callable[[Request], Response], form: FormBuilder = AVATAR, method: str = "POST", authentication: Any = ()
) -> HttpResponseBase:
    """The answer of a view that has only the parser of forms."""

    class Page(APIView):
        authentication_classes = authentication
        parser_classes = (MultiPartParser,)
        renderer_classes = (JSONRenderer,)

        def post(self, request: Request) -> Response:
            return handle(request)

        put = post

    with override_settings(ROOT_URLCONF=(path("", Page.as_view()),)):
        return Client(raise_request_exception=False).generic(method, "/", form.body, form.content_type)


def validated(request: Request) -> Response:
    form = AvatarSerializer(data=request.data)
    form.is_valid(raise_exception=True)
    avatar = form.validated_data["avatar"]
    assert isinstance(avatar, StoredFile)
    return Response([avatar.name, avatar.size, avatar.read().decode()])


def told(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.json()


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_serializer_is_given_the_file(storage: MemoryStorage, method: str) -> None:
    """Whatever the method: it is the parser of Django REST framework that asks."""
    rules.append(Uploader(storage).any())
    assert told(ask(validated, method=method)) == (200, ["me.bin", 4, "data"])
    assert (storage.objects, storage.unfinished) == ({}, [])


@pytest.mark.parametrize("reader", [READS_POST, READS_BODY])
def test_a_middleware_may_have_read_the_form_or_its_body(storage: MemoryStorage, reader: str) -> None:
    """Then Django REST framework takes what Django has, or reads from what is in memory."""
    rules.append(Uploader(storage).any())
    with override_settings(MIDDLEWARE=[ERRORS, reader]):
        assert told(ask(validated)) == (200, ["me.bin", 4, "data"])
    assert storage.objects == {}


def test_a_refused_file_is_an_error_of_its_field(storage: MemoryStorage) -> None:
    """Beside those of the other fields, in one answer."""
    rules.append(Uploader(storage).any(accept=IMAGES))
    form = FormBuilder().text("title", "long").file("avatar", b"text\n", filename="a.png")
    assert told(ask(validated, form)) == (
        400,
        {
            "title": ["Ensure this field has no more than 3 characters."],
            "avatar": ["file 'avatar' is text/plain, which the field does not accept"],
        },
    )
    assert storage.objects == {}


def test_a_view_may_have_rules_of_its_own(storage: MemoryStorage) -> None:
    """A class at its `dispatch`, a function above `api_view`."""
    rules.append(Uploader(storage, max_size=1).any())
    own = upload_rules(Uploader(storage).any())

    @method_decorator(own, name="dispatch")
    class Page(APIView):
        authentication_classes = ()
        renderer_classes = (JSONRenderer,)

        def post(self, request: Request) -> Response:
            return validated(request)

    @own
    @api_view(["POST"])
    @authentication_classes([])
    @renderer_classes([JSONRenderer])
    def page(request: Request) -> Response:
        return validated(request)

    for view in (Page.as_view(), page):
        with override_settings(ROOT_URLCONF=(path("", view),), MIDDLEWARE=[CSRF]):
            answer = Client(enforce_csrf_checks=True).generic("POST", "/", AVATAR.body, AVATAR.content_type)
        assert told(answer) == (200, ["me.bin", 4, "data"])
    assert storage.objects == {}


def test_a_copy_of_the_data_has_the_file_itself(storage: MemoryStorage) -> None:
    """`request.data.copy()` is a habit, and with Django's own large files an error."""
    rules.append(Uploader(storage).any())

    def handle(request: Request) -> Response:
        data: Any = request.data
        return Response(data.copy()["avatar"] is request.FILES["avatar"])

    assert told(ask(handle)) == (200, True)
    assert storage.objects == {}


def test_a_body_that_cannot_be_taken_is_a_problem(storage: MemoryStorage) -> None:
    """With its own status; without the middleware it is a parse error of Django REST framework."""
    rules.append(Uploader(storage, limits=Limits(body_size=10)).any())
    status, problem = told(ask(validated))
    assert (status, problem["code"]) == (413, "limit_exceeded")
    with override_settings(MIDDLEWARE=[]):
        status, problem = told(ask(validated))
    assert (status, problem) == (
        400,
        {"detail": "Multipart form parse error - the body has more than 10 bytes"},
    )
    rules.append(Uploader(FailingStorage(storage, after=0, on="write")).any())
    assert told(ask(validated))[0] == 503
    assert (storage.objects, storage.unfinished) == ({}, [])


def test_the_check_against_csrf_of_a_session_reads_the_form(storage: MemoryStorage) -> None:
    """Of a view whose user has a session: without a token nothing is left."""
    rules.append(Uploader(storage).any())

    class Session(SessionAuthentication):
        def authenticate(self, request: Request) -> None:
            request._request._dont_enforce_csrf_checks = False  # type: ignore[attr-defined]  # the test client's
            self.enforce_csrf(request)

    status, answer = told(ask(validated, authentication=(Session,)))
    assert (status, "CSRF Failed" in answer["detail"]) == (403, True)
    assert (storage.objects, storage.unfinished) == ({}, [])


def test_a_raw_body_is_left_to_the_handlers_behind(storage: MemoryStorage) -> None:
    """`FileUploadParser` has no form. Where no other handler stands behind, it says so itself."""
    rules.append(Uploader(storage).any())

    class Raw(APIView):
        authentication_classes = ()
        parser_classes = (FileUploadParser,)
        renderer_classes = (JSONRenderer,)

        def post(self, request: Request) -> Response:
            data: Any = request.data
            return Response(data["file"].read().decode())

    def put_raw() -> tuple[int, Any]:
        named = {"Content-Disposition": "attachment; filename=me.bin"}
        return told(Client().generic("POST", "/", b"raw", "application/octet-stream", headers=named))

    with override_settings(ROOT_URLCONF=(path("", Raw.as_view()),)):
        assert put_raw()[0] == 400
        behind = "django.core.files.uploadhandler.MemoryFileUploadHandler"
        with override_settings(FILE_UPLOAD_HANDLERS=[f"{__name__}.for_forms", behind]):
            assert put_raw() == (200, "raw")
    assert storage.objects == {}
