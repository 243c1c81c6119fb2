"""The page as it is given out: its headers, its rules, and what lies beside it."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.service import page
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.s3 import S3Storage

from .conftest import Serve


def test_the_page_runs_its_own_files_alone(service: TestClient) -> None:
    """Neither a script nor a style is in the page itself, and nothing comes from elsewhere."""
    answer = service.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.findall(r"<style|style=| on\w+=|<script(?! type=\"(?:module|application/json)\")", answer.text) == []
    assert "//" not in re.sub(r"http://127\.0\.0\.1:8000/uploads", "", answer.text).replace("<!--", "")
    for address in re.findall(r"(?:src|href)=\"([^\"]+)\"", answer.text):
        assert service.get(f"/{address}").status_code == 200


def test_pictures_may_come_from_the_bucket_where_people_are_sent_there(serve: Serve, tmp_path: Path) -> None:
    """And from no other."""
    options = {"endpoint_url": "https://s3.example.com", "key": "k", "secret": "s"}
    bucket = S3Storage("s3://media", options=options, name="files")
    pipeline = Pipeline(
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"),
        storage=bucket,
        storages=[DiskStorage(tmp_path / "staging", name="staging")],
    )
    answer = serve(redirects=True, pipeline=pipeline).get("/")
    assert "img-src 'self' blob: https://s3.example.com;" in answer.headers["content-security-policy"]


def test_the_page_knows_the_rules_of_the_form(serve: Serve) -> None:
    """Those that the service decides by."""
    client = serve(max_file_size="5 MB", accept=("image/png",))
    found = re.search(r'<script type="application/json" id="rules">(.*?)</script>', client.get("/").text)
    assert found is not None
    rule = json.loads(found[1])["any_file"]
    assert (rule["max_size"], rule["accept"]) == (5_000_000, ["image/png", ".png", ".apng"])


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/style.css", "/page/icon.svg"])
def test_what_a_browser_has_is_not_sent_again(service: TestClient, path: str) -> None:
    """It asks at each visit, so that all of the page is of one version."""
    first = service.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = service.get(path, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert service.get(path, headers={"If-None-Match": '"other"'}).content == first.content
    assert service.head(path).headers["content-length"] == str(len(first.content))


def test_all_that_lies_beside_it_is_given_out_with_its_type(service: TestClient) -> None:
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    names = [each.name for each in files(page).iterdir()]
    for name in names:
        answer = service.get(f"/page/{name}")
        kind = next((kind for ending, kind in kinds.items() if name.endswith(ending)), None)
        assert answer.status_code == (404 if kind is None else 200), name
        assert kind is None or answer.headers["content-type"] == kind
    assert sum(name.endswith(".js") for name in names) == 8


@pytest.mark.parametrize("name", ["__init__.py", "index.html", "../settings.py", "..%2fsettings.py", "", "nothing.js"])
def test_nothing_else_is_given_out(service: TestClient, name: str) -> None:
    answer = service.get(f"/page/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
