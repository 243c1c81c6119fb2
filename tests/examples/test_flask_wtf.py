"""The form of Flask-WTF as a browser sends it, on gunicorn and on Flask's own server, good, refused, cut and forged."""

from __future__ import annotations

import hashlib
import html
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from mimetypes import guess_type
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from tests.adapters.servers import Kind, Server, eventually, gunicorn, running

from uploadkit.testing import Answer, Client, FormBuilder, exchange, request, request_head

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flask_wtf_app.py"
OPTIONS = ("--app", "flask_wtf_app", "run", "--port", "0")
SERVERS = {
    "gunicorn": gunicorn("flask_wtf_app:app", "--worker-class", "gthread", "--threads", "8", adapter="flask"),
    "dev": Kind(module="flask", options=OPTIONS, adapter="flask"),
}
GIF = b"GIF89a\1\0\1\0"
LARGE = b"\x89PNG\r\n\x1a\n" + bytes(5_000_000)


@dataclass(frozen=True)
class Browser:
    """One that has loaded the page: it has the cookie of its session, and the token of the form."""

    server: Server
    cookie: str
    token: str

    def form(self, picture: bytes, filename: str = "me.png") -> FormBuilder:
        """The form, filled in."""
        form = FormBuilder().text("csrf_token", self.token).text("name", "Ann")
        return form.file("avatar", picture, filename=filename, content_type=guess_type(filename)[0])

    def send(self, form: FormBuilder, *headers: str, path: str = "/profile") -> Answer:
        return exchange(self.server.port, request(path, form, self.cookie, *headers))

    def saved(self) -> dict[str, bytes]:
        """What the view has saved, by its name."""
        return {path.name: path.read_bytes() for path in (self.server.folder / "pictures").iterdir()}

    def expect_nothing_left(self) -> None:
        """No picture, and nothing of the upload: no file, no staged one, none that is open."""
        server = self.server

        def left() -> list[str]:
            return [*self.saved(), *server.files(), *server.staged(), *server.open_files(), *server.temporary()]

        eventually(lambda: not left())
        assert left() == []
        assert server.complaints() == []


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(SERVERS[request.param], tmp_path_factory.mktemp("flask-wtf")) as server:
        yield server


@pytest.fixture
def browser(server: Server) -> Iterator[Browser]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", "/profile")
        answer = connection.getresponse()
        page = answer.read().decode()
        cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
    finally:
        connection.close()
    yield Browser(server, f"Cookie: {cookie}", token_of(page))
    server.clear()
    for path in (server.folder / "pictures").iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def picture() -> bytes:
    held = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(held, "PNG")
    return held.getvalue()


def token_of(page: str) -> str:
    """The token in the hidden field."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found is not None
    return found[1]


def errors_of(answer: Answer) -> list[str]:
    """What stands beside the fields of the form."""
    return [html.unescape(error) for error in re.findall("<strong>(.*?)</strong>", answer.body.decode())]


def test_a_picture_is_saved_as_the_view_has_it(browser: Browser, picture: bytes) -> None:
    """Under the name that `secure_filename` makes; of the upload itself nothing stays."""
    answer = browser.send(browser.form(picture, "../me at work.png"))
    assert answer.status == 303
    assert browser.saved() == {"me_at_work.png": picture}
    eventually(lambda: not browser.server.files())
    assert browser.server.files() == {}


def test_a_view_may_keep_the_upload_where_it_lies(browser: Browser, picture: bytes) -> None:
    """Without a second copy."""
    answer = browser.send(browser.form(picture), path="/kept")
    digest = hashlib.sha256(picture).hexdigest()
    assert (answer.status, answer.json["filename"], answer.json["sha256"]) == (200, "me.png", digest)
    assert browser.server.files() == {answer.json["key"]: digest}


@pytest.mark.parametrize(
    ("content", "filename", "error"),
    [
        (b"just text", "me.png", "file 'avatar' is text/plain, which the field does not accept"),
        (LARGE, "me.png", "the file in field 'avatar' has more than 5000000 bytes"),
        (b"\x89PNG\r\n\x1a\n", "me.gif", "file 'avatar' is image/png, and its name ends in '.gif'"),
        (GIF, "me.gif", "Images only!"),
        (b"", "", "This field is required."),
    ],
    ids=["text", "too large", "another name", "refused by a validator", "nothing chosen"],
)
def test_a_refusal_is_shown_in_the_form(browser: Browser, content: bytes, filename: str, error: str) -> None:
    """Beside its field, in the page of the view, with the text values; as the validators of the form are."""
    answer = browser.send(browser.form(content, filename))
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert errors_of(answer)[0] == error
    assert 'value="Ann"' in answer.body.decode()
    browser.expect_nothing_left()


def test_a_view_without_a_form_answers_a_refusal_by_its_status(browser: Browser) -> None:
    """Where it looks at the file."""
    answer = browser.send(browser.form(b"just text"), path="/kept")
    assert (answer.status, answer.content_type) == (415, "application/problem+json")
    assert answer.json["errors"][0]["message"] == "file 'avatar' is text/plain, which the field does not accept"
    browser.expect_nothing_left()


@pytest.mark.parametrize("server", [name for name, kind in SERVERS.items() if kind.can.drains], indirect=True)
def test_a_file_that_is_far_too_large_is_refused_before_it_has_arrived(browser: Browser) -> None:
    """By its status: the rest of the form is not waited for, so there is no form to be shown."""
    form = browser.form(LARGE * 6)
    with Client(browser.server.port) as client:
        client.send(request("/profile", form, browser.cookie)[:-5_000_000])
        answer = client.answer()
    assert (answer.status, answer.json["errors"][0]["field"]) == (413, "avatar")
    browser.expect_nothing_left()


def test_the_token_may_come_in_a_header(browser: Browser, picture: bytes) -> None:
    """As scripts send it."""
    form = FormBuilder().text("name", "Ann").file("avatar", picture, filename="me.png")
    assert browser.send(form, f"X-CSRFToken: {browser.token}", path="/kept").status == 200


@pytest.mark.parametrize("way", ["none", "field", "header"])
def test_a_forged_form_stores_nothing(browser: Browser, picture: bytes, way: str) -> None:
    """The token is missing or bad: the view is not called."""
    form = FormBuilder().text("name", "Ann").file("avatar", picture, filename="me.png")
    if way == "field":
        form.text("csrf_token", browser.token[:-1])
    answer = browser.send(form, *(["X-CSRFToken: bad"] if way == "header" else []))
    assert (answer.status, b"CSRF token" in answer.body) == (400, True)
    browser.expect_nothing_left()


def test_a_body_that_was_cut_stores_nothing(browser: Browser, picture: bytes) -> None:
    """Wherever it was cut: 400, and no half of a form for the view."""
    form = browser.form(picture)
    for size in range(0, len(form.body) - 2, 211):
        head = request_head("/profile", form.content_type, browser.cookie, length=size)
        answer = exchange(browser.server.port, head + form.body[:size])
        assert (answer.status, answer.json["code"]) == (400, "truncated_form"), size
    browser.expect_nothing_left()


@pytest.mark.parametrize("end", [Client.close, Client.reset], ids=["closes", "resets"])
def test_a_client_that_goes_away_stores_nothing(browser: Browser, end: Callable[[Client], None]) -> None:
    """In the middle of a file that is open in the storage. The next one is served."""
    form = browser.form(LARGE[:2_000_000])
    with Client(browser.server.port) as client:
        client.send(request("/profile", form, browser.cookie)[:-1000])
        eventually(browser.server.open_files)
        assert browser.server.open_files()
        end(client)
    browser.expect_nothing_left()
    assert browser.send(form).status == 303


def test_without_its_one_line_it_is_an_application_of_flask_wtf(
    picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What uploadkit is given is one line: with and without it the same form is answered alike and saves the same."""
    monkeypatch.chdir(tmp_path)
    source = EXAMPLE.read_text()
    [line] = [line for line in source.splitlines(keepends=True) if line.startswith("app.request_class = ")]
    for number, each in enumerate((source, source.replace(line, ""))):
        module = ModuleType(f"flask_wtf_app_{number}")
        monkeypatch.setitem(sys.modules, module.__name__, module)  # Flask looks there for its folders
        exec(compile(each, EXAMPLE, "exec"), vars(module))
        client = module.app.test_client()
        fields = {"csrf_token": token_of(client.get("/profile").text), "name": "Ann"}
        sent = client.post("/profile", data=fields | {"avatar": (io.BytesIO(picture), f"{number}.png")})
        assert (sent.status_code, sent.location) == (303, "/profile")
        assert (tmp_path / "pictures" / f"{number}.png").read_bytes() == picture
        refused = client.post("/profile", data=fields | {"avatar": (io.BytesIO(GIF), "a.gif")})
        assert "Images only!" in refused.text
