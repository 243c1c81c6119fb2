"""Signed links: what they open, for how long, and where the secret comes from."""

from __future__ import annotations

import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.requests import Request

from uploadkit.service.links import Linked, Links, secret_in
from uploadkit.service.problems import Refused
from uploadkit.service.settings import Settings

SECRET = b"s" * 32


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock) -> Links:
    return Links(SECRET, seconds=3600, clock=clock)


def request_of(path: str) -> Request:
    """What Starlette makes of a link."""
    parts = urlsplit(path)
    _, _, upload, *variant = parts.path.split("/")
    params = {"upload": upload} | ({"variant": variant[0]} if variant else {})
    return Request({"type": "http", "query_string": parts.query.encode(), "path_params": params, "headers": []})


def refusal(links: Links, path: str) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        links.linked(request_of(path))
    return caught.value.status, caught.value.code


def test_a_link_opens_its_file(links: Links) -> None:
    for path in (links.path("f00d"), links.path("f00d", "thumbnail")):
        linked = links.linked(request_of(path))
        assert linked is not None
        assert 3600 <= linked.seconds <= 4500


def test_a_request_without_a_signature_has_no_link(links: Links) -> None:
    assert links.linked(request_of("/files/f00d")) is None
    assert links.linked(request_of("/files/f00d?download=1")) is None


def test_a_link_opens_nothing_else(links: Links) -> None:
    """Neither another upload nor another variant, nor at another time, nor when it was cut."""
    query = urlsplit(links.path("f00d", "thumbnail")).query
    until, signature = (value for _, value in parse_qsl(query))
    for path in (
        f"/files/f00d?{query}",
        f"/files/f00d/large?{query}",
        f"/files/f00e/thumbnail?{query}",
        f"/files/f00d/thumbnail?until={int(until) + 1}&signature={signature}",
        f"/files/f00d/thumbnail?until={until}&signature={signature[:-1]}",
        f"/files/f00d/thumbnail?until={until}&signature={signature.upper()}",
        f"/files/f00d/thumbnail?until={until}&signature=",
        f"/files/f00d/thumbnail?until={until}&signature=%F0%9F%94%91",
        f"/files/f00d/thumbnail?until={until}",
        f"/files/f00d/thumbnail?signature={signature}",
        f"/files/f00d/thumbnail?{query}&until={until}",
        f"/files/f00d/thumbnail?{query}&signature={signature}",
        f"/files/f00d/thumbnail?until=soon&signature={signature}",
        f"/files/f00d/thumbnail?until={'9' * 10_000}&signature={signature}",
    ):
        assert refusal(links, path) == (403, "link_refused"), path


def test_parts_of_a_name_are_not_shifted() -> None:
    """An upload and a variant sign as two words, and not as one."""
    links = Links(SECRET, seconds=3600, clock=Clock())
    signed = {urlsplit(links.path(*words)).query for words in (("ab", "c"), ("a", "bc"), ("abc",), ("a", "b/c"))}
    assert len(signed) == 4


def test_another_secret_opens_nothing(links: Links, clock: Clock) -> None:
    other = Links(b"t" * 32, seconds=3600, clock=clock)
    assert refusal(links, other.path("f00d")) == (403, "link_refused")


def test_a_link_ends(links: Links, clock: Clock) -> None:
    path = links.path("f00d")
    linked = links.linked(request_of(path))
    assert linked is not None
    clock.now += linked.seconds - 1
    assert links.linked(request_of(path)) == Linked(seconds=1)
    clock.now += 1
    assert refusal(links, path) == (403, "link_expired")
    assert refusal(links, path.replace("f00d", "f00e")) == (403, "link_refused")  # which says nothing of the time


def test_a_link_is_the_same_for_some_minutes(links: Links, clock: Clock) -> None:
    """So that a browser has it in its cache when a page is shown again."""
    made = set()
    for _ in range(60):
        made.add(links.path("f00d"))
        clock.now += 60
    assert len(made) in (4, 5)


@pytest.mark.parametrize("seconds", [60, 61, 3600, 10_000])
def test_a_link_holds_at_least_as_long_as_was_said(seconds: int, clock: Clock) -> None:
    links = Links(SECRET, seconds=seconds, clock=clock)
    for _ in range(100):
        linked = links.linked(request_of(links.path("f00d")))
        assert linked is not None
        assert seconds <= linked.seconds <= seconds * 1.25
        clock.now += 7


def test_a_name_is_written_as_a_path_has_it(links: Links) -> None:
    assert urlsplit(links.path("f00d", "größe 2?")).path == "/files/f00d/gr%C3%B6%C3%9Fe%202%3F"


def test_links_of_an_old_secret_hold(clock: Clock, links: Links) -> None:
    """What is signed from now on is signed by the new one."""
    new = Links(b"n" * 32, old_secrets=[SECRET], seconds=3600, clock=clock)
    assert new.linked(request_of(links.path("f00d"))) is not None
    assert refusal(links, new.path("f00d")) == (403, "link_refused")


def test_secrets_are_those_of_the_settings(tmp_path: Path) -> None:
    """Nothing is written then."""
    settings = Settings.load(data=tmp_path / "data", secret="a" * 32, old_secrets=("b" * 32,))
    old = Links(b"b" * 32, seconds=3600)
    assert Links.of(settings).linked(request_of(old.path("f00d"))) is not None
    assert not (tmp_path / "data").exists()


def test_a_short_old_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="old_secrets"):
        Settings.load(data=tmp_path, old_secrets=("short",))


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    """For its owner alone, and nothing lies beside it."""
    folder = tmp_path / "data"
    secret = secret_in(folder)
    assert len(secret) == 64
    assert secret_in(folder) == secret
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_no_secret_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short\n")
    with pytest.raises(ValueError, match=r"no secret of at least 32 bytes"):
        secret_in(tmp_path)
    assert (tmp_path / "secret").read_bytes() == b"short\n"


RACE = """
import os, sys
from pathlib import Path
from uploadkit.service.links import secret_in

line, start = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        os.close(start)
        os.read(line, 1)  # ends for all of them at once
        os.write(1, secret_in(Path(sys.argv[1])) + b"\\n")
        os._exit(0)
os.close(start)
for _ in range(8):
    os.wait()
"""


def test_processes_that_start_at_once_get_one_secret(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(tmp_path / "data")], capture_output=True, check=True, timeout=60
    )
    assert done.stdout.split() == [secret_in(tmp_path / "data")] * 8
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]
