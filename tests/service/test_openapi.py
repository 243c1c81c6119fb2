"""The contract is true: what it says is what the service does."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from httpx2 import Response
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from PIL import Image
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.resumable.bucket import Bucket
from tests.service.conftest import Serve, parts_of, quick_pipeline
from tests.service.probing import CHECKS, probe
from tests.soak import scaled

from uploadkit import errors
from uploadkit import service as service_package
from uploadkit.errors import UploadError
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Accepted
from uploadkit.resumable.tus import OFFSET_TYPE
from uploadkit.service import watching
from uploadkit.service.app import create_app, routes
from uploadkit.service.callers import ANYBODY
from uploadkit.service.openapi.codes import REFUSALS
from uploadkit.service.problems import Refused
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
        (method, route.path_format) for route in routes() if isinstance(route, Route) for method in route.methods or ()
    }
    assert described | {("HEAD", path) for method, path in described if method == "GET"} == answered


@pytest.mark.parametrize("state", State)
def test_an_upload_is_shown_as_the_document_says(service: TestClient, state: State) -> None:
    """In every state that it can be in, by every route that shows it, and when it is deleted."""
    upload, batch = _upload_in(service, state)
    says = Said(service)
    shown = says.of("get", "/uploads/{upload}", service.get(f"/uploads/{upload}"))
    assert shown["status"] == state
    [listed] = says.of("get", "/uploads", service.get(f"/uploads?status={state}"))["uploads"]
    assert listed.items() <= shown.items()
    assert says.of("get", "/batches/{batch}", service.get(f"/batches/{batch}"))["uploads"] == [listed]
    if shown["is_settled"]:
        told = service.get(f"/uploads/{upload}/events")
        says.check("Event", event := dict(re.findall(r"^(\w+): (.+)$", told.text, re.MULTILINE)))
        says.check("Upload", json.loads(event["data"]))
    removed = says.of("delete", "/uploads/{upload}", service.delete(f"/uploads/{upload}"))["removed"]
    was_there = state not in (State.RECEIVING, State.REJECTED, State.DELETED)
    assert removed["original"] is was_there
    assert removed["variants"] == (["original", "thumbnail"] if state is State.COMPLETED else [])


def test_what_was_taken_and_what_was_not_are_answered_as_the_document_says(service: TestClient) -> None:
    says = Said(service)
    taken = service.post("/uploads", files=[("file", ("1.txt", b"one"))], data={"tags": "a=b"})
    assert says.of("post", "/uploads", taken)["total"] == 1
    for answer in (
        service.post("/uploads", files=[("file", ("1.exe", b"MZ" + bytes(100)))]),
        service.post("/uploads", files=[("file", ("1.txt", b"one"))], data={"priority": "soon"}),
        service.post("/uploads", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        service.post("/uploads", json={}),
        service.post("/uploads", headers={b"Idempotency-Key": "é".encode()}),
        service.post("/uploads", headers={"Origin": "https://elsewhere.example"}),
        service.post("/uploads", headers={"Host": "elsewhere.example"}),
    ):
        assert 400 <= says.of("post", "/uploads", answer)["status"] < 500


def test_an_open_service_asks_for_no_token_and_another_does(serve: Serve) -> None:
    """Each has the document that is true of it."""
    rule = {"owner": "ann", "sha256": "0" * 64}
    cases: list[tuple[dict[str, Any], list[Any]]] = [({}, []), ({"tokens": [rule]}, [{"bearer": []}])]
    for settings, asked in cases:
        operation = serve(**settings).get("/openapi.json").json()["paths"]["/uploads"]["get"]
        assert operation["security"] == asked
        assert ("401" in operation["responses"]) is bool(asked)


def test_what_a_request_of_tus_cannot_be_without_is_required(service: TestClient) -> None:
    """With a header less it is refused, and as the document says. Numbers are numbers."""
    tus = {"Tus-Resumable": "1.0.0"}
    begun = service.post("/tus/", headers={**tus, "Upload-Length": "3"}).headers["Location"]
    typed = {**tus, "Content-Type": OFFSET_TYPE}
    item = service.get("/openapi.json").json()["paths"]["/tus/{upload}"]
    for method, name, status in (("patch", "Upload-Offset", 400), ("post", "X-HTTP-Method-Override", 405)):
        assert service.request(method.upper(), begun, headers=typed, content=b"abc").status_code == status
        [said] = [each for each in item[method]["parameters"] if each["name"] == name]
        assert (said.get("required"), str(status) in item[method]["responses"]) == (True, True)
    numbers = {each["name"]: each["schema"] for each in item["patch"]["parameters"] if "schema" in each}
    for name in ("Upload-Offset", "Upload-Length"):
        assert (numbers[name]["type"], numbers[name]["minimum"]) == ("integer", 0)


def test_what_tus_alone_answers_is_said_of_tus_alone(service: TestClient) -> None:
    """Uploads straight into the bucket share a code with it, but not all of its statuses."""
    paths = service.get("/openapi.json").json()["paths"]
    for operation in (paths["/direct/s3/params"]["get"], paths["/direct/s3/multipart"]["post"]):
        assert "malformed_upload" in json.dumps(operation["responses"]["400"])
        assert "malformed_upload" not in json.dumps([operation["responses"].get(each) for each in ("403", "411")])
        assert {"405", "412"} & operation["responses"].keys() == set()


def test_every_tag_is_explained(service: TestClient) -> None:
    """That of what comes in several requests says which protocol is taken for which."""
    document = service.get("/openapi.json").json()
    explained = {tag["name"]: tag["description"] for tag in document["tags"]}
    operations = [each for item in document["paths"].values() for each in item.values() if isinstance(each, dict)]
    assert {tag for each in operations for tag in each["tags"]} == set(explained)
    assert "IETF" in explained["resumable"]


def test_bounds_of_the_settings_are_those_of_the_document(serve: Serve) -> None:
    document = serve(max_files=7, max_file_size="1 KB", max_request_size="5 KB").get("/openapi.json").json()
    body = document["paths"]["/uploads"]["post"]["requestBody"]
    file = body["content"]["multipart/form-data"]["schema"]["properties"]["file"]
    assert (file["minItems"], file["maxItems"], "each at most 1 KB" in file["description"]) == (1, 7, True)
    assert body["description"] == "At most 5 KB in all."
    assert document["components"]["schemas"]["Accepted"]["properties"]["total"]["maximum"] == 7


def test_every_code_that_is_answered_is_listed_with_its_status() -> None:
    """What the modules of the service refuse, and every error of the library but those that cannot come here."""
    refused = set(_refused())
    assert len(refused) >= 10
    assert refused <= {(status, each.code) for each in REFUSALS.values() for status in each.statuses}
    assert {error.code for error in _leaves_of(UploadError) if error not in NEVER_ANSWERED} == {
        code for code in REFUSALS if code not in {code for _, code in refused}
    }


def test_every_code_that_is_listed_is_in_an_answer(service: TestClient) -> None:
    """Those of methods that are in no document aside."""
    document = service.get("/openapi.json").json()
    codes = {
        code
        for item in document["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        for code in content.get("schema", {}).get("properties", {}).get("code", {}).get("enum", ())
    }
    assert codes == set(REFUSALS) - {"method_not_allowed"} | {"unauthenticated"}


@pytest.fixture
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read to its end, and that of an upload which rests between its requests has none."""
    monkeypatch.setattr(watching, "LONGEST_SECONDS", 0.2)


@pytest.mark.usefixtures("short_streams")
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    _assert_nothing_is_found(tmp_path, examples=8)


@pytest.mark.soak
@pytest.mark.usefixtures("short_streams")
def test_schemathesis_finds_nothing_with_many_examples(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """200 for each operation, and 200 ways through several of them."""
    examples, began = scaled(200, at_least=8), time.perf_counter()
    count = _assert_nothing_is_found(tmp_path, examples=examples)
    seconds = time.perf_counter() - began
    record_property("figure", f"schemathesis: {examples} examples an operation, {count} requests, {seconds:.0f} s")


def _assert_nothing_is_found(folder: Path, *, examples: int) -> int:
    """Returns how many requests there were."""
    rule = TokenRule(owner="ann", sha256=hashlib.sha256(TOKEN.encode()).hexdigest())
    said: dict[str, Any] = {"rate": None, "failed_rate": None, "tokens": [rule], "metrics_token": TOKEN, "max_files": 5}
    app = create_app(Settings(data=folder / "data", **said), pipeline=quick_pipeline(folder, staging=Bucket("staging")))
    seen = probe(app, token=TOKEN, examples=examples)
    assert not seen.found, "\n\n".join(seen.found)
    assert set(seen.checks) == CHECKS
    assert seen.cases["fuzzing", "POST /uploads"] >= examples
    return seen.cases.total()


class Said:
    """What the document of a service says, to be held against its answers."""

    def __init__(self, service: TestClient) -> None:
        self._document: dict[str, Any] = service.get("/openapi.json").json()

    def of(self, method: str, path: str, answer: Response) -> Any:
        """The JSON of an answer, which is as the document says."""
        said = self._document["paths"][path][method]["responses"][str(answer.status_code)]
        content = said["content"][answer.headers["content-type"]]
        self._validate(content["schema"], answer.json())
        for name in said["headers"]:
            header = self._document["components"]["headers"][name]["schema"]
            if name in answer.headers:
                value = answer.headers[name]
                self._validate(header, int(value) if header["type"] == "integer" else value)
        return answer.json()

    def check(self, schema: str, value: Any) -> None:
        """A value is as one of the schemas says."""
        self._validate({"$ref": f"#/components/schemas/{schema}"}, value)

    def _validate(self, schema: dict[str, Any], value: Any) -> None:
        whole = {**schema, "components": self._document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def _upload_in(service: TestClient, state: State) -> tuple[str, str]:
    """An upload that has come to be in this state, and its batch."""
    if state in (State.COMPLETED, State.DELETED):
        told = service.post("/uploads", files=[("file", ("1.png", _png()))]).json()
        upload = told["uploads"][0]["id"]
        if state is State.DELETED:
            service.delete(f"/uploads/{upload}")
        return upload, told["batch"]
    ledger, upload, batch = parts_of(service).pipeline.ledger, token_hex(16), token_hex(16)
    known: dict[str, Any] = {"filename": "1.txt", "content_type": "text/plain"}
    ledger.add(upload, field="file", batch=batch, owner=ANYBODY, **known)
    file = Accepted(upload=upload, size=3, sha256="0" * 64, storage="staging", key="1.txt", **known)
    if state is State.REJECTED:
        ledger.move(upload, state, reason="file 'file' is not taken")
    elif state is not State.RECEIVING:
        ledger.accept([file])
        if state is not State.STAGED:
            ledger.move(upload, State.PROCESSING)
        if state not in (State.STAGED, State.PROCESSING):
            ledger.move(upload, state, reason="nobody's business")
    return upload, batch


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (48, 32), "teal").save(stream, "PNG")
    return stream.getvalue()


def _refused() -> Iterator[tuple[int, str]]:
    """Every `Refused(status, code, ...)` that the service raises."""
    for path in sorted(Path(service_package.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="Refused"), args=[ast.Constant(int(status)), ast.Constant(str(code)), *_]
                ):
                    yield status, code


def _leaves_of(error: type[UploadError]) -> Iterator[type[UploadError]]:
    below = [cls for cls in error.__subclasses__() if cls.__module__.startswith("uploadkit.")]
    if not below:
        yield error
    for cls in below:
        yield from _leaves_of(cls)


NEVER_ANSWERED = {
    Refused,  # stands for those above
    errors.ClientDisconnected,  # nobody is there
    errors.DeliveryFailed,  # of webhooks, which no request waits for
    errors.InvalidForm,  # of typed forms
    errors.KeyRefused,  # of keys that an application makes
    errors.ObjectExists,
    errors.ObjectMissing,  # answered as not_found
    errors.RecordExists,  # answered as idempotency_conflict
    errors.RecordMissing,  # answered as not_found
    errors.SignatureRefused,  # of webhooks
    errors.TokenRefused,  # of direct uploads
    errors.UnexpectedField,  # files are taken in every field
}
