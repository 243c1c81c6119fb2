"""Pictures and documents after the upload: one scenario in three frameworks, each under a server, with a worker."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from PIL import Image
from tests.adapters.servers import Server, eventually, gunicorn, uvicorn
from tests.adapters.servers import running as running_server
from tests.content.clamd import CLAMD, eicar, running
from tests.content.pictures import drawn, written
from tests.examples.working import EXAMPLES, SETTLED_SECONDS, picture, worker
from tests.soak import mostly_soaked

from uploadkit.testing import sample

KINDS = {
    "fastapi": uvicorn("media_fastapi:app", "--app-dir", f"{EXAMPLES}", adapter="fastapi"),
    "flask": gunicorn("media_flask:app", "--threads", "8", "--pythonpath", f"{EXAMPLES}", adapter="flask"),
    "django": gunicorn("media_django:application", "--threads", "8", "--pythonpath", f"{EXAMPLES}", adapter="django"),
}


@dataclass(frozen=True)
class Site:
    """An application, as a browser sees it, and its folders."""

    server: Server
    environment: Mapping[str, str]

    def post(self, route: str, field: str, *files: tuple[str, bytes]) -> requests.Response:
        sent = [(field, file) for file in files]
        return requests.post(self.url(route), files=sent, timeout=60)

    def get(self, route: str) -> requests.Response:
        return requests.get(self.url(route), timeout=60)

    def url(self, route: str) -> str:
        return f"http://127.0.0.1:{self.server.port}/{route}"

    def settled(self, upload: str) -> dict[str, Any]:
        """Its status, when nothing more happens with it."""
        seen: dict[str, Any] = {}

        def is_settled() -> bool:
            seen.update(self.get(f"status/{upload}").json())
            return seen["state"] not in ("staged", "processing")

        eventually(is_settled, seconds=SETTLED_SECONDS)
        assert is_settled(), (seen, self.log())
        return seen

    def stored(self, storage: str) -> list[str]:
        """The keys of a storage."""
        return sorted(path.name for path in (self.server.folder / storage).glob("[!.]*"))

    def log(self) -> str:
        return (self.server.folder / "worker.log").read_text()


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scanner, where there is one."""
    if CLAMD is None:
        yield "unix:///nowhere"
        return
    with running(tmp_path_factory.mktemp("clamd")) as daemon:
        yield daemon.unix


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, clamd: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Nothing is configured but the scanner. No worker runs."""
    folder = tmp_path_factory.mktemp("site")
    environment = {"CLAMD": clamd, "REDIS_URL": "", "DATABASE_URL": f"sqlite:///{folder}/uploads.db"}
    with running_server(KINDS[request.param], folder, **environment) as server:
        yield Site(server, environment)


@pytest.fixture(scope="module")
def working(site: Site) -> Iterator[Site]:
    """With its worker, which is the same one whatever the application is."""
    with worker(site.server.folder, **site.environment):
        yield site


every_site_in_the_long_run = pytest.mark.parametrize("site", mostly_soaked(KINDS, but=["fastapi"]), indirect=True)


def infected() -> bytes:
    """A letter that can be read, with a file in it that no scanner lets through."""
    letter = io.BytesIO(sample("application/vnd.openxmlformats-officedocument.wordprocessingml.document"))
    with zipfile.ZipFile(letter, "a") as archive:
        archive.writestr("word/notes.txt", eicar())
    return letter.getvalue()


def objects_of(status: dict[str, Any]) -> list[str]:
    """The keys of what was made of it."""
    return [made["key"] for made in status["results"]["variants"].values()]


def test_a_profile_picture_is_processed_at_once_and_replaced(site: Site) -> None:
    """Its variants are in the answer. What is replaced is gone, with all that was made of it."""
    before = site.stored("media")
    first = site.post("users/ann/avatar", "avatar", ("me.png", picture("red")))
    assert (first.status_code, first.json()["state"]) == (200, "completed"), first.text
    assert first.json()["results"]["variants"]["thumbnail"]["width"] == 200
    second = site.post("users/ann/avatar", "avatar", ("me.png", picture("blue"))).json()
    shown = site.get("users/ann/picture")
    assert Image.open(io.BytesIO(shown.content)).getpixel((9, 9)) == pytest.approx((0, 0, 255), abs=3)
    assert site.get(f"status/{first.json()['id']}").json()["state"] == "deleted"
    assert site.get(f"pictures/{first.json()['id']}/thumbnail").status_code == 404
    new = set(site.stored("media")) - set(before)
    assert new > set(objects_of(second))
    assert len(new) == 3
    assert site.stored("staging") == []


@every_site_in_the_long_run
def test_of_two_that_replace_at_once_one_stays(site: Site) -> None:
    """With what was made of it, and nothing else."""
    before = site.stored("media")
    answers: list[requests.Response] = []

    def change(colour: str) -> None:
        answers.append(site.post("users/bob/avatar", "avatar", ("me.png", picture(colour))))

    threads = [threading.Thread(target=change, args=(colour,)) for colour in ("red", "blue")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
    done = [answer.json() for answer in answers if answer.status_code == 200]
    left = [each for each in done if site.get(f"status/{each['id']}").json()["state"] == "completed"]
    assert len(left) == 1
    assert site.get("users/bob/picture").status_code == 200
    new = set(site.stored("media")) - set(before)
    assert new > set(objects_of(left[0]))
    assert len(new) == 3
    assert site.stored("staging") == []


def test_a_broken_picture_changes_nothing(site: Site) -> None:
    """It is answered before anything is stored, and who had none has none."""
    answer = site.post("users/eve/avatar", "avatar", ("me.png", picture()[:60]))
    assert (answer.status_code, answer.json()["code"]) == (422, "file_refused")
    assert site.get("users/eve/picture").status_code == 404
    assert site.get("status/nobody").status_code == 404


@every_site_in_the_long_run
def test_a_gallery_is_processed_by_the_worker(working: Site) -> None:
    """The answer has the ids, the status is polled, and then there are pictures."""
    site = working
    photos = [(f"{number}.jpg", written(drawn(), "JPEG")) for number in range(3)]
    answer = site.post("users/ann/photos", "photos", *photos)
    assert answer.status_code == 202, answer.text
    uploads = answer.json()["uploads"]
    assert len(set(uploads)) == 3
    for upload in uploads:
        status = site.settled(upload)
        assert (status["state"], status["percent"]) == ("completed", 100), (status, site.log())
        assert set(status["results"]) == {"variants", "metadata"}
        assert status["results"]["metadata"]["format"] == "jpeg"
        shown = site.get(f"pictures/{upload}/thumbnail")
        assert shown.headers["Content-Type"] == status["results"]["variants"]["thumbnail"]["content_type"]
        assert Image.open(io.BytesIO(shown.content)).size == (40, 40)
    assert site.stored("staging") == []


@every_site_in_the_long_run
@pytest.mark.needs("clamd")
def test_documents_are_scanned(working: Site) -> None:
    """A clean one is stored, and described; an infected one lies where nobody is served from."""
    site = working
    files = [("clean.pdf", sample("application/pdf")), ("bad.docx", infected())]
    answer = site.post("users/ann/documents", "documents", *files)
    assert answer.status_code == 202, answer.text
    clean, bad = map(site.settled, answer.json()["uploads"])
    assert (clean["state"], clean["results"]["scan"]) == ("completed", {"outcome": "clean"})
    assert "metadata" in clean["results"]
    assert bad["state"] == "quarantined"
    assert len(site.stored("quarantine")) == 1
    assert site.stored("staging") == []
