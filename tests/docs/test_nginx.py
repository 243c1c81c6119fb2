"""The configuration of docs/how-to/nginx.md under a real nginx, in front of a real application."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.docs.documents import DOCS, ROOT, blocks
from tests.docs.pasted import paste, started

from uploadkit.testing import FormBuilder, request, request_head

CONFIGURATION = ROOT / "examples" / "nginx" / "uploads.conf"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(1000)

pytestmark = pytest.mark.needs("nginx")


def test_the_page_shows_the_file() -> None:
    """Nothing in the documents is typed twice."""
    [block] = blocks((DOCS / "how-to" / "nginx.md").read_text(encoding="utf-8"), "nginx")
    assert block.code == CONFIGURATION.read_text(encoding="utf-8")


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    """`nginx -t`, with the file as it is."""
    main = _main(tmp_path, CONFIGURATION.read_text(encoding="utf-8"))
    done = subprocess.run(["nginx", "-t", "-c", main], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of an nginx in front of the page for FastAPI, with the page's configuration but for its addresses."""
    folder = tmp_path_factory.mktemp("nginx")
    paste((DOCS / "how-to" / "fastapi.md").read_text(encoding="utf-8"), folder)
    with started("uvicorn app:app", folder) as port, _nginx(folder, port) as door:
        yield door


def test_an_upload_goes_through(door: Path) -> None:
    """To the application and back."""
    form = FormBuilder().file("avatar", PICTURE, filename="a.png", content_type="image/png")
    answer = _asked(door, request("/profile", form))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"size":1008' in answer


def test_a_file_that_is_too_large_is_refused_before_it_was_sent(door: Path) -> None:
    """Of 64 MiB eight are sent, and the application's own answer is there: nginx has waited for no more."""
    form = FormBuilder().file("avatar", PICTURE, filename="a.png", content_type="image/png")
    begun = form.body[: form.body.index(PICTURE) + len(PICTURE)]
    head = request_head("/profile", form.content_type, length=64 << 20)
    answer = _asked(door, head, begun, bytes(8 << 20))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"limit":"file_size"' in answer


def test_what_is_above_the_limit_of_nginx_never_reaches_the_application(door: Path) -> None:
    """By its length alone; the answer is nginx's own page."""
    answer = _asked(door, request_head("/profile", FormBuilder().content_type, length=300 << 20))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"nginx" in answer
    assert b"limit_exceeded" not in answer


def _asked(door: Path, *pieces: bytes) -> bytes:
    """What is answered, up to its length or the end of the connection."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(door))
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was answered before it had all of it
        answer = b""
        while not _is_whole(answer):
            received = connection.recv(1 << 16)
            if not received:
                break
            answer += received
    return answer


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(found and length and len(body) >= int(length[1]))


@contextmanager
def _nginx(folder: Path, port: int) -> Iterator[Path]:
    with TemporaryDirectory(dir="/tmp") as short:  # the path of a socket has 107 bytes at most
        yield from _nginx_at(folder, port, Path(short, "door"))


def _nginx_at(folder: Path, port: int, door: Path) -> Iterator[Path]:
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert text.count("127.0.0.1:8000") == text.count("listen 8080") == 1
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("listen 8080", f"listen unix:{door}")
    process = subprocess.Popen(["nginx", "-c", _main(folder, text)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while not _is_open(door) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)  # what another process has done cannot be waited for otherwise
        assert _is_open(door), (folder / "error.log").read_text()
        yield door
    finally:
        process.terminate()
        process.wait(10)


def _is_open(door: Path) -> bool:
    """Whether it is listened to, and not only there."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(door)) == 0


def _main(folder: Path, servers: str) -> str:
    """What stands around the page's configuration, with all of nginx's own files in the folder."""
    (folder / "uploads.conf").write_text(servers, encoding="utf-8")
    built = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    temporary = "".join(
        f"{name.replace('-', '_')}_temp_path {folder}/{name};"
        for name in re.findall(r"--http-([\w-]+)-temp-path", built)
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{ }}\n"
        f"http {{ access_log off; {temporary} include {folder}/uploads.conf; }}\n",
        encoding="utf-8",
    )
    return str(path)
