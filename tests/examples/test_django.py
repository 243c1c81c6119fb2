"""The examples of Django's own forms and of Django REST framework, under a real server, asked as by a browser."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from tests.adapters.servers import Server, eventually, gunicorn, running

from uploadkit.testing import Client, FormBuilder, request, request_head

if TYPE_CHECKING:
    from playwright.sync_api import Page

FORMS = gunicorn("django_forms:application", "--worker-class", "gthread", "--threads", "4", adapter="django")
REST = gunicorn("drf_app:application", "--worker-class", "gthread", "--threads", "4", adapter="django")
PASSWORD = "of no use"

PDF = b"%PDF-1.4\n%%EOF\n"
NOTES = b"not a picture at all\n"


def picture(size: int = 3) -> bytes:
    """A PNG."""
    out = io.BytesIO()
    Image.effect_noise((size, size), 100).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project of forms, with a user of its admin."""
    with running(FORMS, tmp_path_factory.mktemp("forms"), DJANGO_SUPERUSER_PASSWORD=PASSWORD) as server:
        yield server
        assert server.complaints() == []


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project of Django REST framework."""
    with running(REST, tmp_path_factory.mktemp("rest")) as server:
        yield server
        assert server.complaints() == []


def kept(server: Server, folder: str) -> dict[str, bytes]:
    """The files below a folder of the server's own, by name, when the request is over."""
    eventually(lambda: not server.open_files())
    root = server.folder / folder
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def submitted(server: Server, path: str, **files: tuple[str, bytes]) -> httpx.Response:
    """The answer to a form that was opened, filled in and sent."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        page = client.get(path, timeout=30).text
        token = re.findall('name="csrfmiddlewaretoken" value="(.*?)"', page)[0]
        return client.post(path, data={"csrfmiddlewaretoken": token, "title": "July"}, files=files, timeout=30)


def test_a_form_takes_a_file_and_shows_what_is_wrong_with_another(forms: Server) -> None:
    """Both are a page of the view; of the file that nobody saved nothing is left."""
    assert submitted(forms, "/", report=("me.pdf", PDF)).text == f"me.pdf, {len(PDF)} bytes of application/pdf"
    refused = submitted(forms, "/", report=("me.pdf", NOTES))
    assert refused.status_code == 200
    assert re.search('<ul class="errorlist".*?><li>file &#x27;report&#x27; is text/plain.*?</li></ul>', refused.text)
    assert 'value="July"' in refused.text
    assert kept(forms, "uploads") == {}


def test_a_model_form_saves_its_file_under_the_rules_of_its_view(forms: Server) -> None:
    """In a storage of uploadkit, from which it is served; a PDF and a large picture are refused at their field."""
    url = submitted(forms, "/picture", file=("cat.png", picture())).text
    assert (url, list(kept(forms, "media"))) == ("/media/pictures/cat.png", ["pictures/cat.png"])
    served = httpx.get(f"http://127.0.0.1:{forms.port}{url}")
    assert (served.content, served.headers["Content-Type"]) == (kept(forms, "media")["pictures/cat.png"], "image/png")
    for name, data, reason in (("a.pdf", PDF, "application/pdf"), ("b.png", picture(1500), "more than 1000000 bytes")):
        refused = submitted(forms, "/picture", file=(name, data))
        assert (refused.status_code, reason in refused.text) == (200, True)
    assert (list(kept(forms, "media")), kept(forms, "uploads")) == (["pictures/cat.png"], {})


@pytest.mark.needs("browser")
def test_the_admin_shows_a_refusal_at_its_field_and_saves_the_next_file(forms: Server, page: Page) -> None:
    """In a real browser, by a user who logs in and picks files."""
    home = f"http://127.0.0.1:{forms.port}/admin"
    page.goto(f"{home}/django_forms/picture/add/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")
    page.fill("[name=title]", "Cat")
    before = kept(forms, "media")
    page.set_input_files("[name=file]", {"name": "cat.png", "mimeType": "image/png", "buffer": NOTES})
    page.click("[name=_save]")
    assert "is text/plain" in page.inner_text(".field-file .errorlist")
    assert page.input_value("[name=title]") == "Cat"
    assert (kept(forms, "media"), kept(forms, "uploads")) == (before, {})
    cat = picture(5)
    page.set_input_files("[name=file]", {"name": "cat.png", "mimeType": "image/png", "buffer": cat})
    page.click("[name=_save]")
    assert "was added successfully" in page.inner_text(".messagelist")
    saved = {name: data for name, data in kept(forms, "media").items() if name not in before}
    assert (list(saved.values()), kept(forms, "uploads")) == ([cat], {})


def test_a_serializer_is_given_its_files_and_names_what_is_wrong(rest: Server) -> None:
    """The errors of all fields in one answer, as Django REST framework words them."""

    def post(*files: tuple[str, tuple[str, bytes]], **data: str) -> tuple[int, Any]:
        answer = httpx.post(f"http://127.0.0.1:{rest.port}/reports", data=data, files=list(files), timeout=30)
        return answer.status_code, answer.json()

    pictures = [("photos", (f"{name}.png", picture())) for name in "ab"]
    assert post(("report", ("me.pdf", PDF)), *pictures, title="July") == (
        201,
        {"report": "me.pdf", "photos": ["a.png", "b.png"]},
    )
    assert kept(rest, "reports") == {"me.pdf": PDF}
    status, errors = post(("report", ("me.pdf", NOTES)), *pictures, ("photos", ("c.png", PDF)))
    assert (status, sorted(errors)) == (400, ["photos", "report", "title"])
    assert errors["report"][0].startswith("file 'report' is text/plain")
    assert list(errors["photos"]) == ["2"]
    assert (kept(rest, "reports"), kept(rest, "uploads")) == ({"me.pdf": PDF}, {})


def test_a_body_that_is_no_form_is_a_problem_that_the_client_sees(rest: Server) -> None:
    """Of the whole request, and not of a field; also where the client sends all before it looks."""
    body = b"--b\r\nno header of a part\r\n\r\n" + bytes(4 << 20)
    with Client(rest.port) as client:
        client.send(request_head("/reports", "multipart/form-data; boundary=b", length=len(body)) + body)
        answer = client.answer()
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    assert answer.json["code"] == "malformed_form"
    assert kept(rest, "uploads") == {}


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(rest: Server) -> None:
    """What it had sent of its file is discarded."""
    form = FormBuilder().file("report", PDF + bytes(1 << 20), filename="me.pdf")
    with Client(rest.port) as client:
        client.send(request("/reports", form)[: -(1 << 19)])
        eventually(rest.open_files)
        assert len(rest.open_files()) == 1
    assert kept(rest, "uploads") == {}
