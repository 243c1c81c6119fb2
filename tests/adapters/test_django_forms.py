"""`request.POST` and `request.FILES` by uploadkit: forms, model forms and views of Django, none of which knows of it.

Every test runs in a project of its own, with every check against CSRF on, and asks it by Django's own test client.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django import forms
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import UploadedFile as DjangoFile
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.db import connection, models
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.html import escape
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from PIL import Image
from tests.adapters.asgi_client import ask
from tests.adapters.django_project import CSRF, PROJECT, READS_BODY, READS_POST
from tests.adapters.expectations import AVATAR, EMPTY, MIXED, MIXED_FILES, asks_somebody

from uploadkit.adapters.django import FormRefused, RefusedFile, StoredFile, receive, upload_handler, upload_rules
from uploadkit.errors import SenderError
from uploadkit.intake.capacity import Capacity
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.limits import Limits
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

ERRORS = "uploadkit.adapters.django.UploadErrors"
EITHER_SERVER = pytest.mark.parametrize("asgi", [False, True], ids=["WSGI", "ASGI"])

rules: list[Spec[Any]] = []
"""The rules of the project under test."""

for_forms = upload_handler(lambda request: rules[-1])
FOR_FORMS = f"{__name__}.for_forms"


def picture_bytes() -> bytes:
    """A PNG of 3 by 2 pixels."""
    out = io.BytesIO()
    Image.new("RGB", (3, 2)).save(out, "PNG")
    return out.getvalue()


PICTURE = picture_bytes()


class Profile(models.Model):
    """A model as a project has it, with Django's own storage."""

    title = models.CharField(max_length=20, blank=True)
    avatar = models.FileField(upload_to="avatars", blank=True)
    picture = models.ImageField(upload_to="pictures", blank=True, width_field="width", height_field="height")
    width = models.IntegerField(null=True, editable=False)
    height = models.IntegerField(null=True, editable=False)

    class Meta:
        app_label = "forms_of_django"


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # only its stubs are generic
    class Meta:
        model = Profile
        fields = ("title", "avatar", "picture")


class AvatarForm(forms.Form):
    title = forms.CharField(required=False)
    avatar = forms.FileField()


class Site:
    """A project with the view under test at `/`, and at `/token` a form's token; its client is a browser."""

    def __init__(self, view: Callable[..., Any], *, asgi: bool = False, csrf: bool = False) -> None:
        self._urls = override_settings(ROOT_URLCONF=(path("", view), path("token", _token)))
        self._asgi = asgi
        self.client: Any = (AsyncClient if asgi else Client)(enforce_csrf_checks=csrf, raise_request_exception=False)

    def post(self, form: FormBuilder, **headers: str) -> HttpResponse:
        """The answer to a form."""
        return self._ask("generic", "POST", "/", form.body, form.content_type, headers=headers)

    def token(self) -> str:
        return self._ask("get", "/token").content.decode()

    def _ask(self, method: str, *args: Any, **options: Any) -> HttpResponse:
        with self._urls:
            answer = getattr(self.client, method)(*args, **options)
            return cast(HttpResponse, asyncio.run(answer) if self._asgi else answer)


def _token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Iterator[None]:
    """A project as `startproject` makes it, and the one installed line."""
    media = {"MEDIA_ROOT": str(tmp_path / "media"), "FILE_UPLOAD_TEMP_DIR": str(tmp_path / "nothing")}
    with override_settings(**PROJECT, **media, MIDDLEWARE=[ERRORS, CSRF], FILE_UPLOAD_HANDLERS=[FOR_FORMS]):
        yield
    rules.clear()


@pytest.fixture(params=["memory", "disk"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryStorage | DiskStorage:
    """Where the project's forms are received."""
    return MemoryStorage() if request.param == "memory" else DiskStorage(tmp_path / "uploads")


@pytest.fixture
def memory() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def table() -> Iterator[None]:
    """A database with the model."""
    with connection.schema_editor() as editor:
        editor.create_model(Profile)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Profile)


def stored(storage: MemoryStorage | DiskStorage) -> list[bytes]:
    """What lies in a storage. Nothing may be unfinished there."""
    if isinstance(storage, MemoryStorage):
        assert storage.unfinished == []
        return list(storage.objects.values())
    root = storage.path("x").parent
    return [file.read_bytes() for file in root.rglob("*") if file.is_file()]


def saved(tmp_path: Path) -> dict[str, bytes]:
    """What lies in the media of the project, by name."""
    media = tmp_path / "media"
    return {str(file.relative_to(media)): file.read_bytes() for file in media.rglob("*") if file.is_file()}


def seeing(see: Callable[[HttpRequest], object]) -> Callable[[HttpRequest], HttpResponse]:
    """A view that lets `see` look at its request, and answers with what it returns."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(see(request)))

    return view


def avatar_of(request: HttpRequest) -> StoredFile:
    file = request.FILES["avatar"]
    assert isinstance(file, StoredFile)
    return file


# What a view finds


@EITHER_SERVER
def test_a_view_finds_text_values_and_files_where_django_has_them(
    storage: MemoryStorage | DiskStorage, asgi: bool
) -> None:
    """Each file with a safe name, its size, the type that its bytes show, and its bytes, to be read in any way."""
    rules.append(Uploader(storage).any())
    seen: list[object] = []

    def see(request: HttpRequest) -> None:
        seen.append(list(request.POST.lists()))
        for field, files in request.FILES.lists():
            for file in files:
                assert isinstance(file, DjangoFile)
                assert file.size == len(file) == len(file.read())
                assert b"".join(file.chunks(3)) == b"".join(file.open()) == file.open().read()
                assert file.seek(1) == 1
                assert file.read() == file.open().read()[1:]
                assert (file.charset, file.multiple_chunks(), bool(file), str(file)) == (None, False, True, file.name)
                seen.append((field, file.name, file.open().read()))

    assert Site(seeing(see), asgi=asgi).post(MIXED).content == b"None"
    assert seen == [[("tag", ["new", "blue"]), ("title", ["Été"])], *MIXED_FILES]
    assert stored(storage) == []


def test_a_file_is_what_its_bytes_show_and_has_a_safe_name(memory: MemoryStorage) -> None:
    """Whatever the client calls it; what uploadkit knows of it is there too."""
    rules.append(Uploader(memory).any())
    seen: list[object] = []

    def see(request: HttpRequest) -> None:
        file = avatar_of(request)
        seen.extend([file.name, file.content_type, file.uploaded.client_filename, file.uploaded.declared_type])
        seen.append(memory.objects[file.uploaded.key] == PICTURE)

    form = FormBuilder().file("avatar", PICTURE, filename="..\\.me.png", content_type="application/octet-stream")
    Site(seeing(see)).post(form)
    assert seen == ["me.png", "image/png", "..\\.me.png", "application/octet-stream", True]


def test_a_form_of_djangos_own_test_client_is_taken(memory: MemoryStorage) -> None:
    """The tests that a project has go on as they were."""
    rules.append(Uploader(memory).any())
    site = Site(seeing(lambda request: (request.POST["title"], avatar_of(request).read())))
    upload = io.BytesIO(b"data")
    upload.name = "me.bin"
    answer = site._ask("post", "/", {"title": "Été", "avatar": upload})
    assert answer.content.decode() == "('Été', b'data')"
    assert site._ask("post", "/", {"title": "only"}).status_code == 500, "no file, and the view wants one"
    assert stored(memory) == []


@pytest.mark.parametrize("reader", [READS_POST, READS_BODY])
@EITHER_SERVER
def test_a_middleware_may_have_read_the_form_or_its_body(memory: MemoryStorage, reader: str, asgi: bool) -> None:
    """As with Django's own parser."""
    rules.append(Uploader(memory).any())
    with override_settings(MIDDLEWARE=[ERRORS, reader]):
        answer = Site(seeing(lambda request: avatar_of(request).read()), asgi=asgi).post(AVATAR)
    assert answer.content == b"b'data'"
    assert stored(memory) == []


def test_an_empty_form_and_one_without_files_are_legal(memory: MemoryStorage) -> None:
    """No part at all, a text alone, and an input in which nothing was chosen."""
    rules.append(Uploader(memory).any())
    site = Site(seeing(lambda request: (dict(request.POST), dict(request.FILES))))
    unchosen = FormBuilder().text("a", "1").file("avatar", b"", filename="")
    assert [site.post(form).content.decode() for form in (EMPTY, unchosen)] == ["({}, {})", "({'a': ['1']}, {})"]


# Forms and models


@EITHER_SERVER
def test_a_plain_form_takes_the_file(storage: MemoryStorage | DiskStorage, asgi: bool) -> None:
    """Its `cleaned_data` have it, and an error is that of the form."""
    rules.append(Uploader(storage).any())

    def see(request: HttpRequest) -> object:
        form = AvatarForm(request.POST, request.FILES)
        return form.cleaned_data["avatar"].read() if form.is_valid() else dict(form.errors)

    site = Site(seeing(see), asgi=asgi)
    assert site.post(AVATAR).content == b"b'data'"
    assert b"This field is required" in site.post(FormBuilder().text("title", "x")).content
    assert b"The submitted file is empty" in site.post(FormBuilder().file("avatar", b"", filename="a.bin")).content
    assert stored(storage) == []


@pytest.mark.usefixtures("table")
def test_a_model_form_saves_its_files_into_djangos_own_storage(
    storage: MemoryStorage | DiskStorage, tmp_path: Path
) -> None:
    """Under the names and with the mode that Django gives; in the storage of the uploads nothing stays."""
    rules.append(Uploader(storage).any())

    def see(request: HttpRequest) -> object:
        form = ProfileForm(request.POST, request.FILES)
        assert form.is_valid(), form.errors
        profile = form.save()
        return profile.avatar.name, profile.picture.name, profile.width, profile.height

    form = FormBuilder().text("title", "me").file("avatar", b"data", filename="me.bin")
    form.file("picture", PICTURE, filename="pixel.png", content_type="image/png")
    answer = Site(seeing(see)).post(form)
    assert answer.content.decode() == "('avatars/me.bin', 'pictures/pixel.png', 3, 2)"
    assert saved(tmp_path) == {"avatars/me.bin": b"data", "pictures/pixel.png": PICTURE}
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "media").rglob("*.*")} == {0o644}
    assert stored(storage) == []


def test_a_file_on_this_machine_is_moved_and_not_copied(tmp_path: Path) -> None:
    """It is the same file of the file system, under another name."""
    rules.append(Uploader(DiskStorage(tmp_path / "uploads")).any())
    inodes = []

    def see(request: HttpRequest) -> None:
        file = avatar_of(request)
        inodes.append(Path(file.uploaded.path).stat().st_ino)
        FileSystemStorage().save("me.bin", file)

    Site(seeing(see)).post(AVATAR)
    assert [(tmp_path / "media" / "me.bin").stat().st_ino] == inodes


@pytest.mark.usefixtures("table")
def test_a_file_may_be_saved_more_than_once(storage: MemoryStorage | DiskStorage, tmp_path: Path) -> None:
    """As a small file of Django's own: the first save moves it, and the next one copies what it is."""
    rules.append(Uploader(storage).any())

    def save(request: HttpRequest) -> str:
        file = avatar_of(request)
        profiles = [Profile.objects.create(avatar=file) for _ in range(2)]
        copy = FileSystemStorage().save("copy.bin", file)
        return " ".join([*(str(profile.avatar) for profile in profiles), copy])

    names = Site(seeing(save)).post(AVATAR).content.decode().split()
    assert saved(tmp_path) == dict.fromkeys(names, b"data")
    assert len(names) == 3
    assert stored(storage) == []


def test_pillow_judges_a_picture(storage: MemoryStorage | DiskStorage) -> None:
    """Through the `ImageField` of a form, which opens it by its path or by its bytes."""
    rules.append(Uploader(storage).any())

    class PictureForm(forms.Form):
        picture = forms.ImageField()

    def see(request: HttpRequest) -> object:
        form = PictureForm(request.POST, request.FILES)
        return form.cleaned_data["picture"].image.size if form.is_valid() else form.errors["picture"][0]

    site = Site(seeing(see))
    assert site.post(FormBuilder().file("picture", PICTURE, filename="a.png")).content == b"(3, 2)"
    cut = FormBuilder().file("picture", PICTURE[:40], filename="a.png")
    assert site.post(cut).content.startswith(b"Upload a valid image")
    assert stored(storage) == []


# What is left


@EITHER_SERVER
def test_a_file_that_nobody_saved_goes_with_its_request(storage: MemoryStorage | DiskStorage, asgi: bool) -> None:
    """It is stored while the view runs, and is gone when the answer was given, also where the view raises."""
    rules.append(Uploader(storage).any())

    def fails(request: HttpRequest) -> object:
        assert stored(storage) == [avatar_of(request).read()]
        raise ValueError("as it should")

    assert (
        Site(seeing(lambda request: len(request.FILES) + len(stored(storage))), asgi=asgi).post(AVATAR).content == b"2"
    )
    assert stored(storage) == []
    assert Site(seeing(fails), asgi=asgi).post(AVATAR).status_code == 500
    assert stored(storage) == []


def test_a_file_may_be_kept_where_it_is(storage: MemoryStorage | DiskStorage) -> None:
    """Under the key that uploadkit gave it."""
    rules.append(Uploader(storage).any())
    kept: list[UploadedFile] = []
    Site(seeing(lambda request: kept.append(avatar_of(request).keep()))).post(AVATAR)
    assert [file.read() for file in kept] == stored(storage) == [b"data"]


def test_a_file_that_was_closed_is_gone_as_djangos_own_are(memory: MemoryStorage) -> None:
    """One that is kept may be opened again."""
    rules.append(Uploader(memory).any())

    def see(request: HttpRequest) -> None:
        with avatar_of(request).open() as file:
            assert (file.read(), stored(memory)) == (b"data", [b"data"])
        assert (file.closed, stored(memory)) == (True, [])
        with pytest.raises(ValueError, match="keep"):
            file.open()

    def see_kept(request: HttpRequest) -> None:
        file = avatar_of(request)
        file.keep()
        file.close()
        assert file.open().read() == b"data"

    assert Site(seeing(see)).post(AVATAR).content == b"None"
    assert Site(seeing(see_kept)).post(AVATAR).content == b"None"


def test_a_file_that_was_closed_is_not_kept_any_more(storage: MemoryStorage | DiskStorage) -> None:
    """Who asks for it too late is told so, and is given no key without an object."""
    rules.append(Uploader(storage).any())

    def keep(request: HttpRequest) -> object:
        file = avatar_of(request)
        file.close()
        with pytest.raises(ValueError, match=r"call keep\(\) before"):
            file.keep()
        return file.kept

    assert Site(seeing(keep)).post(AVATAR).content == b"False"
    assert stored(storage) == []


def test_a_file_of_a_request_that_nobody_closed_goes_with_its_last_reference(memory: MemoryStorage) -> None:
    """Django closes no request whose client left an ASGI server in the middle of the view."""
    rules.append(Uploader(memory).any())
    request = RequestFactory().generic("POST", "/", AVATAR.body, AVATAR.content_type)
    assert (len(request.FILES), stored(memory)) == (1, [b"data"])
    del request
    gc.collect()
    assert stored(memory) == []


def test_a_client_that_leaves_in_the_middle_of_an_async_view_leaves_no_file(memory: MemoryStorage) -> None:
    """Django cancels the view and closes no request."""
    rules.append(Uploader(memory).any())
    seen: list[object] = []
    begun = asyncio.Event()
    django = get_asgi_application()

    async def view(request: HttpRequest) -> HttpResponse:
        seen.append((len(request.FILES), stored(memory)))
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("cancelled")
        return HttpResponse()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def until_begun() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                await begun.wait()
            return message

        await django(scope, until_begun, send)

    with override_settings(ROOT_URLCONF=(path("", csrf_exempt(view)),)):
        answer = ask(app, AVATAR, leaves_answer=True)
    gc.collect()
    assert (answer.messages, seen) == ([], [(1, [b"data"]), "cancelled"])
    assert stored(memory) == []


def test_a_copy_of_a_form_has_the_same_file(memory: MemoryStorage) -> None:
    """`request.FILES.copy()` is a habit; the file is stored once, and removed once."""
    rules.append(Uploader(memory).any())

    def see(request: HttpRequest) -> object:
        copied = copy.deepcopy(request.FILES)
        return copied["avatar"] is request.FILES["avatar"]

    assert Site(seeing(see)).post(AVATAR).content == b"True"
    assert stored(memory) == []


@EITHER_SERVER
def test_a_bad_token_stores_nothing(storage: MemoryStorage | DiskStorage, asgi: bool) -> None:
    """`CsrfViewMiddleware` reads the form before the view and finds the token there, or in the header."""
    rules.append(Uploader(storage).any())
    site = Site(seeing(lambda request: avatar_of(request).read()), asgi=asgi, csrf=True)
    token = site.token()
    by_field = FormBuilder().text("csrfmiddlewaretoken", token).file("avatar", b"data", filename="me.bin")
    assert site.post(by_field).content == b"b'data'"
    assert site.post(AVATAR, **{"X-CSRFToken": token}).content == b"b'data'"
    bad = FormBuilder().text("csrfmiddlewaretoken", "x" * 64).file("avatar", b"data", filename="me.bin")
    for refused in (site.post(AVATAR), site.post(bad), site.post(AVATAR, **{"X-CSRFToken": "x" * 64})):
        assert refused.status_code == 403
        assert b"CSRF verification failed" in refused.content
    assert stored(storage) == []


# What a rule refuses


class PicturesField(forms.FileField):
    """Many files in one field, as Django's own documentation has it."""

    class Input(forms.ClearableFileInput):
        allow_multiple_selected = True

    widget = Input

    def clean(self, data: Any, initial: Any = None) -> Any:
        return [super(PicturesField, self).clean(each, initial) for each in data]


def notes() -> FormBuilder:
    """A text that only calls itself a picture."""
    return FormBuilder().text("title", "me").file("avatar", b"only text\n", filename="me.png")


NOT_A_PICTURE = "file 'avatar' is text/plain, which the field does not accept"


def errors_of(form: forms.BaseForm) -> object:
    """Field, message and code of each, after the form was shown as a page as well."""
    valid = form.is_valid()
    page = form.as_p()
    errors = {
        name: [(str(error.message), error.code) for error in each] for name, each in form.errors.as_data().items()
    }
    assert valid == (errors == {})
    assert all(escape(message) in page for each in errors.values() for message, _ in each)
    return errors


@EITHER_SERVER
@pytest.mark.parametrize("csrf", [False, True], ids=["read by the view", "read by the check against CSRF"])
def test_a_refused_file_is_an_error_of_its_field(storage: MemoryStorage | DiskStorage, csrf: bool, asgi: bool) -> None:
    """In a plain form, with its code and the words of the rule; the other values are there."""
    rules.append(Uploader(storage).any(accept=IMAGES))
    seen: list[object] = []

    def see(request: HttpRequest) -> None:
        form = AvatarForm(request.POST, request.FILES)
        seen.append((errors_of(form), form.cleaned_data))

    site = Site(seeing(see), asgi=asgi, csrf=csrf)
    assert site.post(notes(), **{"X-CSRFToken": site.token()}).content == b"None"
    assert seen == [({"avatar": [(NOT_A_PICTURE, "file_refused")]}, {"title": "me"})]
    assert stored(storage) == []


def seen_by(rule: Spec[Any], form: FormBuilder, make: Callable[[HttpRequest], forms.BaseForm]) -> object:
    """The errors of a form of Django's that a view makes of its request."""
    rules.append(rule)
    seen: list[object] = []
    Site(seeing(lambda request: seen.append(errors_of(make(request))))).post(form)
    [errors] = seen
    return errors


def profile_form(request: HttpRequest) -> ProfileForm:
    return ProfileForm(request.POST, request.FILES, instance=Profile(avatar="avatars/before.png"))


def test_every_rule_of_a_file_is_an_error_of_its_field(memory: MemoryStorage) -> None:
    """Its type, its size, a filter, how many there may be, and that the field takes no file at all."""
    upload = Uploader(memory)
    two = FormBuilder().file("avatar", b"1", filename="a.bin").file("avatar", b"2", filename="b.bin")
    for rule, form, code in (
        (upload.any(max_size=3), AVATAR, "limit_exceeded"),
        (Uploader(memory, limits=Limits(file_size=3)).any(), AVATAR, "limit_exceeded"),
        (upload.any(min_size=5), AVATAR, "file_refused"),
        (upload.any(filter=lambda file: False), AVATAR, "file_refused"),
        (upload.single("avatar"), two, "limit_exceeded"),
        (upload.none(), AVATAR, "unexpected_field"),
    ):
        errors: Any = seen_by(rule, form, lambda request: AvatarForm(request.POST, request.FILES))
        assert [error_code for _, error_code in errors["avatar"]] == [code]
        assert stored(memory) == []


def test_a_refused_file_is_an_error_of_a_model_form_and_changes_nothing(memory: MemoryStorage) -> None:
    """Also where the model has a file already, and where its field is to be cleared at once."""
    rule = Uploader(memory).any(accept=IMAGES)
    assert seen_by(rule, notes(), profile_form) == {"avatar": [(NOT_A_PICTURE, "file_refused")]}
    cleared = FormBuilder().text("avatar-clear", "on").file("avatar", b"only text\n", filename="me.png")
    errors: Any = seen_by(rule, cleared, profile_form)
    assert [code for _, code in errors["avatar"]] == ["contradiction"]


def test_what_a_form_needs_it_says_itself(memory: MemoryStorage) -> None:
    """A model that has its file may be changed without another; a form that needs one says so in its own words."""
    rule = Uploader(memory).fields(File("avatar", required=True))
    assert seen_by(rule, FormBuilder().text("title", "me"), profile_form) == {}
    errors: Any = seen_by(rule, FormBuilder(), lambda request: AvatarForm(request.POST, request.FILES))
    assert [code for _, code in errors["avatar"]] == ["required"]


def test_of_many_files_in_a_field_each_is_judged(storage: MemoryStorage | DiskStorage) -> None:
    """The good ones and the refused ones are there in their order."""
    rules.append(Uploader(storage).any(accept=IMAGES))
    form = FormBuilder()
    for name, data in (("0.png", b"text\n"), ("1.png", PICTURE), ("2.png", b"text\n"), ("3.png", PICTURE)):
        form.file("pictures", data, filename=name)
    seen: list[object] = []

    class PicturesForm(forms.Form):
        pictures = PicturesField()

    def see(request: HttpRequest) -> None:
        files = request.FILES.getlist("pictures")
        seen.append([isinstance(file, RefusedFile) for file in files])
        assert [file.name for file in files if isinstance(file, StoredFile)] == ["1.png", "3.png"]
        assert len(stored(storage)) == 2
        seen.append(list(PicturesForm(request.POST, request.FILES).errors))

    assert Site(seeing(see)).post(form).content == b"None"
    assert seen == [[True, False, True, False], ["pictures"]]
    assert stored(storage) == []


def test_another_field_of_the_form_has_its_file(memory: MemoryStorage) -> None:
    """A picture that came after the refused file is read by Pillow, and is no error."""
    rule = Uploader(memory).fields(File("avatar", accept=IMAGES), File("picture"))
    form = notes().file("picture", PICTURE, filename="a.png")
    assert seen_by(rule, form, profile_form) == {"avatar": [(NOT_A_PICTURE, "file_refused")]}
    assert stored(memory) == []


def test_a_formset_has_the_error_at_its_form(memory: MemoryStorage) -> None:
    """Its fields have names with a prefix."""
    rules.append(Uploader(memory).any(accept=IMAGES))
    make = forms.formset_factory(AvatarForm, extra=2)
    form = FormBuilder().text("form-TOTAL_FORMS", "2").text("form-INITIAL_FORMS", "0")
    form.file("form-0-avatar", PICTURE, filename="a.png").file("form-1-avatar", b"text\n", filename="a.png")
    view = seeing(lambda request: [list(errors) for errors in make(request.POST, request.FILES).errors])
    assert Site(view).post(form).content == b"[[], ['avatar']]"


def test_a_refused_file_that_no_form_judges_is_answered_as_an_error(memory: MemoryStorage) -> None:
    """A view that uses it all the same gets no file: 415 with the middleware, 400 without."""
    uses: list[Callable[[Any], object]] = [
        *(lambda file: file.name, lambda file: file.size, lambda file: file.read(), lambda file: [*file.chunks()]),
        *(lambda file: file.open(), lambda file: len(file), lambda file: file.seek(0), lambda file: [*file]),
        lambda file: FileSystemStorage().save("a.png", file),
    ]
    rules.append(Uploader(memory).any(accept=IMAGES))
    for use in uses:
        view = seeing(lambda request, use=use: use(request.FILES["avatar"]))  # type: ignore[misc]
        answer = Site(view).post(notes())
        assert (answer.status_code, json.loads(answer.content)["detail"]) == (415, NOT_A_PICTURE)
        with override_settings(MIDDLEWARE=[]):
            assert Site(view).post(notes()).status_code == 400


def test_a_refused_file_can_be_looked_at_without_harm(memory: MemoryStorage) -> None:
    """As a debugger, a widget and a copy do."""
    rules.append(Uploader(memory).any(accept=IMAGES))

    def see(request: HttpRequest) -> None:
        file = copy.deepcopy(request.FILES)["avatar"]
        assert isinstance(file, RefusedFile)
        assert (file is request.FILES["avatar"], bool(file), file.closed) == (True, True, True)
        assert (str(file), repr(file)) == (NOT_A_PICTURE, f"<RefusedFile: {NOT_A_PICTURE}>")
        assert (file.error.code, file.content_type) == ("file_refused", None)
        file.close()

    assert Site(seeing(see)).post(notes()).content == b"None"


def test_a_rule_of_a_text_value_refuses_the_form(memory: MemoryStorage) -> None:
    """There is no object that could carry it to its field: a form has rules of its own for texts."""
    upload = Uploader(memory, limits=Limits(field_size=5))
    for texts, value in (([Text("title", max_length=2)], "abc"), ([], "abcdef")):
        rules.append(upload.fields(File("avatar"), *texts))
        form = FormBuilder().file("avatar", b"data", filename="me.bin").text("title", value)
        answer = Site(seeing(lambda request: 1)).post(form)
        assert answer.content == b"1", "nobody has read the form"
        answer = Site(seeing(lambda request: len(request.FILES))).post(form)
        assert (answer.status_code, json.loads(answer.content)["field"]) in [(422, "title"), (413, "title")]
        assert stored(memory) == []


# What cannot be taken


WRONG = {
    "malformed": (FormBuilder(boundary="a b c"), {}, 400, "malformed_form"),
    "a body too large": (AVATAR, {"body_size": 10}, 413, "limit_exceeded"),
    "too many files": (MIXED, {"files": 1}, 413, "limit_exceeded"),
    "a text too large": (FormBuilder().text("t", "x" * 11), {"field_size": 10}, 413, "limit_exceeded"),
}


@EITHER_SERVER
@pytest.mark.parametrize("csrf", [False, True], ids=["read by the view", "read by the check against CSRF"])
@pytest.mark.parametrize("name", WRONG)
def test_a_form_that_cannot_be_taken_is_answered_with_its_problem(
    storage: MemoryStorage | DiskStorage, name: str, csrf: bool, asgi: bool
) -> None:
    """Whoever read it: with the status of the error where the middleware is installed, and with 400 where not."""
    form, limits, status, code = WRONG[name]
    rules.append(Uploader(storage, limits=Limits(**limits)).any())
    body, content_type = form.body, form.content_type
    if name == "malformed":
        body, content_type = AVATAR.body.replace(b"; name=", b"; nome="), AVATAR.content_type
    assert answered(body, content_type, asgi=asgi, csrf=csrf) == (status, "application/problem+json", code)
    with override_settings(MIDDLEWARE=[CSRF]):
        assert answered(body, content_type, asgi=asgi, csrf=csrf) == (400, "text/html; charset=utf-8", None)
    assert stored(storage) == []


def answered(body: bytes, content_type: str, **options: bool) -> tuple[int, str, str | None]:
    """Status, media type and code of the answer to a browser that has a cookie with a token."""
    site = Site(seeing(lambda request: len(request.FILES)), **options)
    site.token()
    answer = site._ask("generic", "POST", "/", body, content_type)
    is_problem = answer["Content-Type"] == "application/problem+json"
    return answer.status_code, answer["Content-Type"], json.loads(answer.content)["code"] if is_problem else None


def test_a_body_that_was_cut_stores_nothing(storage: MemoryStorage | DiskStorage) -> None:
    """Wherever it was cut: 400, and the view is not called."""
    rules.append(Uploader(storage).any())
    site = Site(seeing(lambda request: len(request.FILES)))
    for size in range(1, len(AVATAR.body) - 2, 7):
        answer = site._ask("generic", "POST", "/", AVATAR.body[:size], AVATAR.content_type)
        assert (answer.status_code, json.loads(answer.content)["code"]) == (400, "truncated_form")
    assert stored(storage) == []


@EITHER_SERVER
def test_what_is_wrong_with_the_service_is_no_mistake_of_the_sender(asgi: bool) -> None:
    """A storage that fails is 503; without the middleware Django's own 500."""
    for middleware, status in (([ERRORS], 503), ([], 500)):
        rules.append(Uploader(FailingStorage(MemoryStorage(), after=0, on="write")).any())
        with override_settings(MIDDLEWARE=middleware):
            assert Site(seeing(lambda request: len(request.FILES)), asgi=asgi).post(AVATAR).status_code == status


def test_a_storage_that_fails_when_all_is_stored_keeps_nothing(memory: MemoryStorage) -> None:
    """The second file cannot be looked at: neither it nor the others stay, whether they were looked at or not."""
    rules.append(Uploader(FailingStorage(memory, after=1, on="stat"), on_error="keep").any())
    answer = Site(seeing(lambda request: len(request.FILES))).post(MIXED)
    assert (answer.status_code, json.loads(answer.content)["code"]) == (503, "storage_failed")
    assert stored(memory) == []


def test_who_finds_no_place_is_told_when_to_come_again(memory: MemoryStorage) -> None:
    """503 with Retry-After, as by every adapter."""
    full = Capacity(uploads=1, wait_seconds=0)
    rules.append(Uploader(memory, capacity=full).any())
    place = full.admit()
    answer = Site(seeing(lambda request: len(request.FILES))).post(AVATAR)
    place.release()
    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (503, True)


def test_a_view_that_answers_an_error_itself_has_the_last_word(memory: MemoryStorage) -> None:
    """`FormRefused` is raised where the form is first read, and says why; afterwards the form is empty."""
    rules.append(Uploader(memory, limits=Limits(body_size=10)).any())

    def view(request: HttpRequest) -> HttpResponse:
        try:
            files = request.FILES
        except FormRefused as refused:
            assert (len(request.POST), len(request.FILES)) == (0, 0)
            return HttpResponse(refused.error.code, status=refused.error.status)
        return HttpResponse(len(files))

    with override_settings(MIDDLEWARE=[ERRORS]):
        answer = Site(view).post(AVATAR)
    assert (answer.status_code, answer.content) == (413, b"limit_exceeded")


# Rules


def test_a_view_may_have_rules_of_its_own(memory: MemoryStorage) -> None:
    """They hold for the check against CSRF too, which reads the form before the view."""
    rules.append(Uploader(memory, max_size=1).any())
    own = Uploader(memory).fields(File("avatar", max_size=4))
    site = Site(upload_rules(own)(seeing(lambda request: avatar_of(request).read())), csrf=True)
    form = FormBuilder().text("csrfmiddlewaretoken", site.token()).file("avatar", b"data", filename="me.bin")
    assert site.post(form).content == b"b'data'"


def test_a_class_based_view_may_have_rules_of_its_own(memory: MemoryStorage) -> None:
    """At its `dispatch`, whether its methods are async or not."""
    rules.append(Uploader(memory, max_size=1).any())
    ruled = method_decorator(upload_rules(Uploader(memory).any()), name="dispatch")

    @ruled
    class Page(View):
        def post(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(avatar_of(request).read())

    @ruled
    class AsyncPage(View):
        async def post(self, request: HttpRequest) -> HttpResponse:
            await asyncio.sleep(0)
            return HttpResponse(avatar_of(request).read())

    for page, asgi in ((Page, False), (AsyncPage, True)):
        site = Site(page.as_view(), asgi=asgi, csrf=True)
        form = FormBuilder().text("csrfmiddlewaretoken", site.token()).file("avatar", b"data", filename="me.bin")
        assert site.post(form).content == b"data"


def test_an_async_function_may_have_rules_of_its_own(memory: MemoryStorage) -> None:
    """It stays an async view for Django."""
    rules.append(Uploader(memory, max_size=1).any())

    @upload_rules(Uploader(memory).any())
    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse(avatar_of(request).read())

    assert Site(view, asgi=True).post(AVATAR).content == b"data"


def test_rules_that_come_too_late_are_an_error(memory: MemoryStorage) -> None:
    """A middleware that reads the form before the view is found has it received under the rules of the project."""
    rules.append(Uploader(memory).any())
    view = upload_rules(Uploader(memory, accept=IMAGES).any())(seeing(lambda request: len(request.FILES)))
    with override_settings(MIDDLEWARE=[READS_POST]):
        site = Site(view)
        site.client.raise_request_exception = True
        with pytest.raises(RuntimeError, match="read before the rules of its view were known"):
            site.post(AVATAR)
    assert stored(memory) == []


def test_rules_without_the_installed_line_are_an_error(memory: MemoryStorage) -> None:
    """They would hold for nothing, silently."""
    site = Site(csrf_exempt(upload_rules(Uploader(memory).any())(seeing(lambda request: 1))))
    site.client.raise_request_exception = True
    django_own = f"{MemoryFileUploadHandler.__module__}.{MemoryFileUploadHandler.__name__}"
    with (
        override_settings(FILE_UPLOAD_HANDLERS=[django_own]),
        pytest.raises(RuntimeError, match="needs an upload_h"),
    ):
        site.post(AVATAR)


def test_handlers_of_a_request_may_be_set_as_ever(memory: MemoryStorage) -> None:
    """`request.upload_handlers`, in a view that is exempt from the check that would read the form before it."""

    @csrf_exempt
    def view(request: HttpRequest) -> HttpResponse:
        request.upload_handlers = [upload_handler(Uploader(memory).any())(request)]
        return HttpResponse(avatar_of(request).read())

    with override_settings(FILE_UPLOAD_HANDLERS=settings.FILE_UPLOAD_HANDLERS[:0]):
        assert Site(view).post(AVATAR).content == b"data"


def test_a_mistake_in_the_rules_is_told_when_they_are_made(memory: MemoryStorage) -> None:
    """What is no spec, and a filter that nobody could await."""
    for make in (upload_handler, upload_rules):
        wrong: Any = make
        with pytest.raises(TypeError, match=f"{wrong.__name__} takes a spec"):
            wrong("avatar")
        with pytest.raises(TypeError, match="async filter"):
            wrong(Uploader(memory).single("avatar", filter=asks_somebody))


def test_a_decorated_view_is_given_its_form_in_a_project_with_the_handler(memory: MemoryStorage) -> None:
    """`receive` and forms live in one project."""
    rules.append(Uploader(memory, max_size=1).any())

    @receive(Uploader(memory).single("avatar"), csrf=False)
    def view(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
        assert isinstance(avatar, UploadedFile)
        return HttpResponse(avatar.read() + str(len(request.FILES)).encode())

    assert Site(view).post(AVATAR).content == b"data0"
    assert stored(memory) == [b"data"]


def test_an_error_of_a_view_that_is_an_upload_error_is_answered_as_one(memory: MemoryStorage) -> None:
    """As one that a view raises when it judges a file itself."""
    rules.append(Uploader(memory).any())

    def view(request: HttpRequest) -> HttpResponse:
        assert len(request.FILES) == 1
        raise SenderError("not this one")

    answer = Site(view).post(AVATAR)
    assert (answer.status_code, json.loads(answer.content)["detail"]) == (400, "not this one")
    assert stored(memory) == []
