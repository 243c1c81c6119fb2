"""The client of the upload service that the documents show, against a service behind a real socket."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from examples.service import client
from PIL import Image
from tests.service.listening import app_of, listening


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with listening(app_of(tmp_path)) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    stream = io.BytesIO()
    Image.effect_noise((640, 480), 80).convert("RGB").save(stream, "JPEG")
    path = tmp_path / "photo.jpg"
    path.write_bytes(stream.getvalue())
    return path


def test_it_says_what_has_become_of_a_photo_and_fetches_its_variants(
    url: str, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photo.parent)
    client.main(url, [str(photo)])
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "photo.jpg: completed"
    assert [line.partition(":")[0].strip() for line in others] == ["photo-original.jpg", "photo-thumbnail.jpg"]
    with Image.open(photo.parent / "photo-thumbnail.jpg") as thumbnail:
        assert thumbnail.size == (200, 200)


def test_a_fetch_goes_on_where_it_was_cut(url: str, photo: Path, tmp_path: Path) -> None:
    with client.connected(url) as service:
        [upload] = client.upload(service, [photo], tags=["sea"])
        told = client.wait(service, upload)
        assert told["tags"] == {"sea": ""}
        copy = tmp_path / "copy.jpg"
        copy.write_bytes(photo.read_bytes()[:1000])
        client.fetch(service, told["url"], copy)
        assert copy.read_bytes() == photo.read_bytes()
        client.fetch(service, told["url"], copy)
        assert copy.read_bytes() == photo.read_bytes()


def test_a_refusal_says_why(url: str, tmp_path: Path) -> None:
    program = tmp_path / "program.exe"
    program.write_bytes(b"MZ" + bytes(100))
    with client.connected(url) as service:
        with pytest.raises(client.Refused, match="does not accept") as refused:
            client.upload(service, [program])
        assert refused.value.code == "file_refused"
        with pytest.raises(client.Refused) as refused:
            client.wait(service, "0" * 32)
        assert refused.value.code == "not_found"
        with pytest.raises(client.Refused):
            client.fetch(service, f"/files/{'0' * 32}", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_request_whose_answer_was_lost_is_sent_again_and_taken_once(url: str, photo: Path) -> None:
    """The first answer does not arrive: the key says that it is the same request."""
    with client.connected(url) as service:
        lost = _Lost(service._transport)
        service._transport = lost
        [upload] = client.upload(service, [photo])
        assert lost.count == 2
        listed = service.get("/uploads").json()["uploads"]
    assert [each["id"] for each in listed] == [upload]


class _Lost(httpx.BaseTransport):
    """The first answer to an upload is lost, after the service has given it."""

    def __init__(self, through: httpx.BaseTransport) -> None:
        self._through = through
        self.count = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._through.handle_request(request)
        self.count += request.method == "POST"
        if request.method == "POST" and self.count == 1:
            answer.read()
            answer.close()
            raise httpx.ReadError("the connection was cut")
        return answer

    def close(self) -> None:
        self._through.close()
