"""A page followed to the letter: its files in an empty folder, its server by its command, its requests by curl."""

from __future__ import annotations

import hashlib
import io
import json
import os
import queue
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image
from tests.docs.documents import Command, blocks, commands
from tests.storage.s3.weed import weed_server

READY_SECONDS = 20
SERVERS = ("uvicorn ", "gunicorn ", "flask ")
REQUESTS = "curl"
BUCKETS = "weed mini "
BUCKET_URL = "http://127.0.0.1:8333"
"""Where a page's bucket is, on the reader's machine."""
FILES = ("cat ", "echo ", "head ", "tail ")
_listening = re.compile(r"(?:running on|Listening at:) http://127\.0\.0\.1:(\d+)", re.IGNORECASE).search


def paste(text: str, folder: Path) -> None:
    """The blocks that are files, the files that its commands make, and the reader's own picture."""
    for language in ("python", "html"):
        for block in blocks(text, language):
            if block.title:
                path = folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.code, encoding="utf-8")
    if not (folder / "photo.jpg").exists():
        (folder / "photo.jpg").write_bytes(_photo())
    for command in commands(text):
        if command.line.startswith(FILES):
            subprocess.run(["bash", "-c", command.line], cwd=folder, check=True)


@contextmanager
def bucket_beside(text: str, folder: Path) -> Iterator[str]:
    """Runs the bucket that a page tells the reader to run, on ports that are free, and gives the page's text with its
    address. It is ended with the block."""
    for command in commands(text):
        if command.line.startswith(BUCKETS):
            account = exported(text)
            key, secret = account["AWS_ACCESS_KEY_ID"], account["AWS_SECRET_ACCESS_KEY"]
            options = shlex.split(command.line.removeprefix(BUCKETS))
            with weed_server(folder / "weed", options, key=key, secret=secret) as server:
                yield text.replace(BUCKET_URL, server.url)
            return
    yield text


def exported(text: str) -> dict[str, str]:
    """What the commands of a page put into the environment."""
    words = [shlex.split(command.line) for command in commands(text) if command.line.startswith("export ")]
    return dict(word.split("=", 1) for line in words for word in line[1:])


@contextmanager
def started(line: str, folder: Path, exported: Mapping[str, str] = MappingProxyType({})) -> Iterator[int]:
    """Runs the command of a page, on a port that is free, and gives the port. It is ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *_on_any_port(line)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        | {"PYTHONUNBUFFERED": "1", **exported},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log: list[str] = []
    ports: queue.Queue[int] = queue.Queue()

    def read() -> None:
        for text in process.stderr or ():
            log.append(text)
            if found := _listening(text):
                ports.put(int(found[1]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        try:
            yield ports.get(timeout=READY_SECONDS)
        except queue.Empty:
            raise AssertionError(f"{line} does not listen: {''.join(log)}") from None
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        reader.join(10)
        process.stderr.close()  # type: ignore[union-attr]  # it is a pipe


def asked(command: Command, folder: Path, port: int, variables: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a curl line of the page is answered."""
    line = command.line.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{port}")
    for name, value in variables.items():
        line = line.replace(f"${name}", value)
    words = shlex.split(line)
    done = subprocess.run(
        [*words[:1], "-sS", "--max-time", "20", *words[1:]], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_answered(said: str, seen: str, folder: Path) -> None:
    """The answer is the one that the page says, but for what depends on the reader's own picture."""
    photo = (folder / "photo.jpg").read_bytes()
    own: dict[str, Any] = {"size": len(photo), "sha256": hashlib.sha256(photo).hexdigest()}
    try:
        wanted = json.loads(re.sub(": ?…", ':"…"', said.replace("\n", " ")))
    except json.JSONDecodeError:
        pattern = ".*".join(re.escape(part) for part in re.sub(r"\s+", " ", said).split("…"))
        assert re.fullmatch(pattern, re.sub(r"\s+", " ", seen.strip())), (said, seen)
        return
    assert _without_own(wanted, json.loads(seen), own) == json.loads(seen)


def servers_of(text: str) -> list[str]:
    """The commands that start a server."""
    return [command.line for command in commands(text) if command.line.startswith(SERVERS)]


def variable(line: str, answered: str) -> dict[str, str]:
    """What a line such as `UPLOAD=…` puts into a variable: the word at the end of what was answered before, of
    which the reader's own is another one."""
    assigned = re.fullmatch(r"([A-Z]+)=…", line)
    return {assigned[1]: re.split(r"\W", answered.strip())[-1]} if assigned else {}


def requests_of(text: str) -> list[Command]:
    """The requests by curl."""
    return [command for command in commands(text) if command.line.startswith(REQUESTS)]


def _without_own(wanted: Any, seen: Any, own: dict[str, Any]) -> Any:
    """What the page says, with the facts of the picture that is sent here, and what it leaves open as it was seen."""
    if isinstance(wanted, dict) and isinstance(seen, dict):
        return {
            name: value if value == seen.get(name) else own.get(name, _without_own(value, seen.get(name), own))
            for name, value in wanted.items()
        }
    if isinstance(wanted, list) and isinstance(seen, list) and len(wanted) == len(seen):
        return [_without_own(one, other, own) for one, other in zip(wanted, seen, strict=True)]
    if wanted == "…":
        return seen
    if isinstance(wanted, str) and "…" in wanted and isinstance(seen, str):
        pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
        return seen if re.fullmatch(pattern, seen) else wanted
    return wanted


def _on_any_port(line: str) -> list[str]:
    words = shlex.split(line)
    if "--port" in words:
        words[words.index("--port") + 1] = "0"
        return words
    return (
        [*words, "--bind", "127.0.0.1:0", "--no-control-socket"] if words[0] == "gunicorn" else [*words, "--port", "0"]
    )


def _photo() -> bytes:
    """Noise, which no format makes small."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (320, 240), os.urandom(320 * 240 * 3)).save(stream, "JPEG")
    return stream.getvalue()
