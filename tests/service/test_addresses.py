"""The addresses that the service tells: whoever follows one gets there, wherever an application or a proxy has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from tests.resumable.bucket import Bucket

from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import sample

from .conftest import Serve

PNG = sample("image/png")
TUS = {"Tus-Resumable": "1.0.0"}
PLACES = ["", "/inbox", "/the team's/in box"]
"""Where an application has mounted the service."""


def below(place: str, service: TestClient, *, stripped: str = "") -> TestClient:
    """A client of an application that has the service at `place`. What a proxy has `stripped` off the path it tells
    the server, which puts it back."""
    app = Starlette(routes=[Mount(place, service.app)])
    return TestClient(app, base_url="http://127.0.0.1:8000", root_path=stripped)


def addresses(told: Any) -> Iterator[str]:
    """Those in an answer, however deep."""
    if isinstance(told, list):
        for each in told:
            yield from addresses(each)
    if isinstance(told, dict):
        for name, value in told.items():
            if value is not None and (name in ("url", "next", "location") or name.endswith("_url")):
                assert isinstance(value, str)
                yield value
            else:
                yield from addresses(value)


@pytest.mark.parametrize("stripped", ["", "/gate"])
@pytest.mark.parametrize("place", PLACES)
def test_every_address_in_an_answer_leads_to_what_it_is_of(service: TestClient, place: str, stripped: str) -> None:
    """Followed as it stands: of an upload, its events, its batch, its files, the next page."""
    client, here = below(place, service, stripped=stripped), stripped + place
    for name in ("1.png", "2.png"):
        accepted = client.post(f"{here}/uploads", files=[("f", (name, PNG))])
        assert accepted.status_code == 202
    [upload] = accepted.json()["uploads"]
    status = client.get(upload["status_url"]).json()
    assert status["id"] == upload["id"]
    [told] = [line for line in client.get(status["events_url"]).text.splitlines() if line.startswith("data: ")]
    assert json.loads(told.removeprefix("data: ")) == status
    assert client.get(status["url"]).content == PNG
    assert {client.get(each["url"]).status_code for each in status["variants"].values()} == {200}
    batch = client.get(accepted.json()["batch_url"]).json()
    assert [each["id"] for each in batch["uploads"]] == [upload["id"]]
    page = client.get(f"{here}/uploads?limit=1").json()
    following = client.get(page["next"]).json()
    assert [each["filename"] for each in (*page["uploads"], *following["uploads"])] == ["2.png", "1.png"]
    location = client.post(f"{here}/tus/", headers={**TUS, "Upload-Length": "9"}).headers["Location"]
    assert client.head(location, headers=TUS).headers["Upload-Offset"] == "0"
    found = [*addresses([accepted.json(), status, batch, page, following])]
    assert len(found) == 2 + 4 + 3 + 3 + 2
    assert all(each.startswith(f"{quote(here)}/") for each in (location, *found))
    assert {client.get(each).status_code for each in found} == {200}


@pytest.mark.parametrize("place", PLACES)
def test_so_does_every_one_of_what_came_straight_into_the_bucket(tmp_path: Path, serve: Serve, place: str) -> None:
    bucket = Bucket("staging")
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        files = DiskStorage(tmp_path / "files", name="files")
        client = below(place, serve(pipeline=Pipeline(ledger, storage=files, storages=[bucket])))
        form = client.get(f"{place}/direct/s3/params?filename=a.png").json()
        assert client.get(form["status_url"]).json()["status"] == "receiving"
        bucket.post(form["url"], form["fields"], PNG)
        taken = client.post(f"{place}/direct/s3/complete?key={form['id']}").json()
        assert {client.get(each).json()["batch"] for each in addresses(taken)} == {taken["batch"]}
        assert len([*addresses(taken)]) == 3


def test_a_signed_link_holds_wherever_the_service_is(service: TestClient) -> None:
    """What is signed is the file: a proxy may take the prefix off, or put it on."""
    [upload] = service.post("/uploads", files=[("f", ("1.png", PNG))]).json()["uploads"]
    client = below("/inbox", service)
    link = client.get(f"/inbox{upload['status_url']}").json()["url"]
    assert link.startswith("/inbox/files/")
    assert client.get(link).content == service.get(link.removeprefix("/inbox")).content == PNG
    assert client.get(link.replace(upload["id"], f"{upload['id'][:-1]}x")).status_code == 403


def test_the_contract_says_where_it_was_fetched(service: TestClient) -> None:
    """Each time anew."""
    for place, url in (("", "/"), ("/inbox", "/inbox"), ("/the team's", "/the%20team%27s"), ("", "/")):
        document = below(place, service).get(f"{place}/openapi.json").json()
        assert [each["url"] for each in document["servers"]] == [url]


def test_the_page_knows_what_its_addresses_begin_with(service: TestClient) -> None:
    """It takes that off, since a proxy may have put more before."""
    assert '<html lang="en" data-root="">' in below("", service).get("/").text
    assert '<html lang="en" data-root="/%3Cin%22box%3E">' in below('/<in"box>', service).get("/%3Cin%22box%3E/").text
