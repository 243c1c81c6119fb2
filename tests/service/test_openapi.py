"""The contract is true: what it says is what the service does."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.service.conftest import quick_pipeline
from tests.service.probing import CHECKS, probe
from tests.soak import scaled

from uploadkit.service.app import create_app, routes
from uploadkit.service.settings import Settings, TokenRule

TOKEN = "a-token-of-anns"


def test_the_document_is_valid(service: TestClient) -> None:
    document = service.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_is_described_and_nothing_more(service: TestClient) -> None:
    """HEAD goes without saying where there is GET."""
    described = {
        (method.upper(), path)
        for path, item in service.get("/openapi.json").json()["paths"].items()
        for method in item
        if method != "parameters"
    }
    answered = {
        (method, route.path) for route in routes() if isinstance(route, Route) for method in route.methods or ()
    }
    assert described | {("HEAD", path) for method, path in described if method == "GET"} == answered


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    _assert_nothing_is_found(tmp_path, examples=8)


@pytest.mark.soak
def test_schemathesis_finds_nothing_with_many_examples(tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    """200 for each operation, and 200 ways through several of them."""
    examples, began = scaled(200, at_least=8), time.perf_counter()
    count = _assert_nothing_is_found(tmp_path, examples=examples)
    seconds = time.perf_counter() - began
    record_property("figure", f"schemathesis: {examples} examples an operation, {count} requests, {seconds:.0f} s")


def _assert_nothing_is_found(folder: Path, *, examples: int) -> int:
    """Returns how many requests there were."""
    rule = TokenRule(owner="ann", sha256=hashlib.sha256(TOKEN.encode()).hexdigest())
    said: dict[str, Any] = {"data": folder / "data", "rate": None, "failed_rate": None, "tokens": [rule]}
    app = create_app(Settings(**said), pipeline=quick_pipeline(folder))
    seen = probe(app, token=TOKEN, examples=examples)
    assert seen.found == []
    assert set(seen.checks) == CHECKS
    assert seen.cases["fuzzing", "POST /uploads"] >= examples
    return seen.cases.total()
