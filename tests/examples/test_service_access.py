"""The examples of who may use the service, and the settings that their page shows."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import pytest
from tests.docs.documents import DOCS, blocks
from tests.service.conftest import Serve, parts_of
from tests.service.conftest import serve as serve
from tests.service.test_callers import bearer, rule

from uploadkit.service.settings import Settings

PAGE = (DOCS / "how-to" / "service-access.md").read_text(encoding="utf-8")


def example(name: str) -> Any:
    """As it is where the environment is what it is now."""
    return reload(import_module(f"examples.service.{name}"))


def test_a_session_says_whose_an_upload_is(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONS", str(tmp_path / "sessions.db"))
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as database:
        database.execute("CREATE TABLE sessions (id TEXT PRIMARY KEY, user INTEGER, is_blocked INTEGER, ends_at TEXT)")
        for row in (("good", 7, 0, "2999-01-01"), ("over", 7, 0, "2001-01-01"), ("blocked", 8, 1, "2999-01-01")):
            database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", row)
        database.commit()
    service = serve(authenticate=example("by_session").authenticate)

    def told(session: str) -> int:
        return service.get("/uploads", headers={"Cookie": f"session={session}"}).status_code

    assert [told(each) for each in ("good", "over", "none", "blocked")] == [200, 401, 401, 403]
    service.post("/uploads", files=[("f", ("1.txt", b"one"))], headers={"Cookie": "session=good"})
    assert [record.owner for record in parts_of(service).pipeline.ledger.find()] == ["user 7"]


def test_a_gateway_says_whose_an_upload_is(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody else, whatever he sends."""
    monkeypatch.setenv("GATEWAY_SECRET", "of the gateway")
    service = serve(authenticate=example("by_gateway").authenticate)
    secret = {"X-Gateway-Secret": "of the gateway"}
    for headers, status in (
        ({**secret, "X-User": "ann"}, 200),
        ({"X-User": "ann"}, 401),
        ({"X-User": "ann", "X-Gateway-Secret": "of the gatewaz"}, 401),
        (secret, 401),
        ({**secret, "X-User": ""}, 401),
    ):
        assert service.get("/uploads", headers=headers).status_code == status


def test_a_client_comes_again_when_it_is_told_to(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same key, and gives up where it is refused for good."""
    module = example("upload_client")
    waited: list[float] = []
    service = serve(tokens=(rule("anns"),), rate="1/minute")
    service.headers.update(bearer("anns"))

    def wait(seconds: float) -> None:
        waited.append(seconds)
        service.portal.call(parts_of(service).turns._counts._own.storage.reset)  # type: ignore[union-attr]

    monkeypatch.setattr(module.time, "sleep", wait)
    path = tmp_path / "1.txt"
    path.write_bytes(b"one")
    assert service.get("/uploads").status_code == 200
    (upload,) = module.upload(service, [path])
    assert len(waited) == 1
    assert 1 <= waited[0] <= 60
    assert [record.id for record in parts_of(service).pipeline.ledger.find()] == [upload]
    (tmp_path / "2.exe").write_bytes(b"MZ" + bytes(100))
    wait(0)
    with pytest.raises(Exception, match="415"):
        module.upload(service, [tmp_path / "2.exe"])


@pytest.mark.parametrize("block", list(blocks(PAGE, "toml")), ids=lambda block: block.code.split()[0])
def test_the_settings_of_the_page_can_be_meant(block: Any, tmp_path: Path) -> None:
    text = block.code.replace("/etc/uploadkit/tokens.toml", str(tmp_path / "tokens.toml"))
    (tmp_path / "service.toml").write_text(text)
    settings = Settings.load(tmp_path / "service.toml", data=tmp_path)
    for name in tomllib.loads(text):
        assert getattr(settings, name)


def test_the_defaults_of_the_page_are_those_of_the_settings() -> None:
    settings = Settings.load()
    for name in ("rate", "failed_rate", "uploads_at_once"):
        assert f"| `{name}` | {_quoted(getattr(settings, name))} |" in PAGE


def _quoted(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) else str(value)
