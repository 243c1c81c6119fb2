"""Asks a service by its contract alone: Schemathesis makes requests that the document allows, and such that it does
not, sends them in this process, and judges each answer by the document.

Every example comes from one seed, so that what is found is found again. What is judged otherwise than Schemathesis
would by itself is in `ALLOWED` and `MEANINGLESS`, with the reason, and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import engine
from schemathesis.config import ChecksConfig, SchemathesisConfig
from schemathesis.core.file_samples import FILE_SAMPLES
from schemathesis.engine import events
from schemathesis.python import asgi
from starlette.applications import Starlette

from uploadkit.resumable.tus import OFFSET_TYPE

SEED = 20261127

CHECKS = frozenset(
    {
        "allow_header_conformance",
        "content_type_conformance",
        "ensure_resource_availability",
        "ignored_auth",
        "missing_required_header",
        "negative_data_rejection",
        "not_a_server_error",
        "object_level_authorization",
        "positive_data_acceptance",
        "response_headers_conformance",
        "response_schema_conformance",
        "status_code_conformance",
        "unsupported_method",
        "use_after_free",
    }
)
"""All that Schemathesis has, but for those in `ALLOWED`."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What a check takes for a mistake in operations that a pattern names, and is none: all that it could find there,
    or answers with one of `statuses`."""

    check: str
    operations: str
    reason: str
    statuses: tuple[str, ...] = ()


ALLOWED = (
    Allowance(
        check="use_after_free",
        operations=r"GET /uploads/\{upload\}(/events)?",
        reason="what is known of an upload stays when it is deleted, and says so: its owner may look it up",
    ),
    Allowance(
        check="negative_data_rejection",
        operations="POST /uploads",
        statuses=("413",),
        reason="more files than one request may have are refused by it, which Schemathesis does not expect",
    ),
    Allowance(
        check="positive_data_acceptance",
        operations="(GET|POST) /direct/s3/(params|multipart)",
        statuses=("413", "415"),
        reason="what files are taken no schema says: by the ends of their names, their types and their sizes",
    ),
    Allowance(
        check="positive_data_acceptance",
        operations="(GET|HEAD) /files/.*",
        statuses=("412", "416"),
        reason="a condition that does not hold, and bytes that are not there, are no mistake in the request",
    ),
    Allowance(
        check="positive_data_acceptance",
        operations="(POST|HEAD|PATCH|DELETE) /tus/.*",
        statuses=("400", "405", "410", "411", "412", "413", "415", "422", "423", "460"),
        reason="which headers of tus go together, and where the next bytes begin, no schema says",
    ),
    *(
        Allowance(
            check=check,
            operations="(POST|HEAD|PATCH|DELETE) /tus/.*",
            statuses=("405", "410", "411", "412", "413", "423", "460"),
            reason="tus says which status means what: 412 is that of another version, or none, and POST is no method "
            "of an upload but for X-HTTP-Method-Override",
        )
        for check in ("negative_data_rejection", "missing_required_header")
    ),
)

MEANINGLESS = "x-schemathesis-unknown-property"
"""A header that nobody knows is no mistake. Schemathesis knows that, but not beside headers that are numbers."""


@schemathesis.serializer(OFFSET_TYPE)
def _as_it_is(context: schemathesis.SerializationContext, value: Any) -> Any:
    """Bytes of an upload."""
    return value if isinstance(value, bytes) else str(value).encode()


@dataclass
class Probe:
    """What came of it: `cases` are requests by operation and phase, `checks` which were made how often."""

    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


def probe(app: Starlette, *, token: str, examples: int) -> Probe:
    """Asks `app`, with a bearer token that it knows: so many examples for each operation, and as many ways through
    several of them, one after another by the links of the document."""
    _make_formats()
    sent: set[str] = set()

    def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], **said: Any) -> None:
        """No request is one again: with the Idempotency-Key of an earlier one it would be answered as that was, and
        nothing of it would be read, right or wrong."""
        key = case.headers.get("Idempotency-Key")
        if key in sent:
            del case.headers["Idempotency-Key"]
        elif key is not None:
            sent.add(key)

    schemathesis.hook(before_call)
    config = SchemathesisConfig.from_dict(_config(token, examples))
    seen = Probe()
    try:
        schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
        for event in engine.from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                _note(seen, event)
            elif isinstance(event, events.NonFatalError):
                seen.found.append(f"{event.label}: {event.value!r}")
            elif isinstance(event, events.PhaseFinished) and event.phase.skip_reason is not None:
                seen.found.append(f"{event.phase.name} was skipped: {event.phase.skip_reason}")
    finally:
        schemathesis.hooks.unregister(before_call)
        asgi.shutdown_lifespans()
    return seen


def _config(token: str, examples: int) -> dict[str, Any]:
    return {
        "seed": SEED,
        "request-timeout": 60,  # a busy machine is no finding
        "generation": {"max-examples": examples, "mode": "all"},
        "auth": {"openapi": {"bearer": {"bearer": token}, "metrics": {"bearer": token}}},
        "operations": [
            {"include-name-regex": f"^{each.operations}$", "checks": {each.check: _check(each)}} for each in ALLOWED
        ],
    }


def _check(allowance: Allowance) -> dict[str, Any]:
    if not allowance.statuses:
        return {"enabled": False}
    expected: list[str] = getattr(ChecksConfig(), allowance.check).expected_statuses
    return {"expected-statuses": [*expected, *allowance.statuses]}


def _note(seen: Probe, event: events.ScenarioFinished) -> None:
    for case, checks in event.recorder.checks.items():
        operation = event.recorder.cases[case].value.operation.label
        seen.cases[event.phase.value, operation] += 1
        for check in checks:
            seen.checks[check.name] += 1
            is_meaningless = (
                check.name == "negative_data_rejection" and MEANINGLESS in event.recorder.cases[case].value.headers
            )
            if check.failure_info is not None and not is_meaningless:
                failure, response = check.failure_info.failure, event.recorder.interactions[case].response
                answer = None if response is None else f"{response.status_code}: {response.text[:500]}"
                seen.found.append(
                    f"{event.phase.value}: {operation}: {check.name}: {failure.title}\n{failure.message}\n"
                    f"{check.failure_info.code_sample}\nanswered {answer}"
                )


def _make_formats() -> None:
    """What the document says of a value by its format alone: a file, of a type that is taken; and tags."""
    letters = st.text("abcxyzÄß09_-", min_size=1, max_size=20)
    files = st.one_of(st.sampled_from([*FILE_SAMPLES.values()]), letters.map(str.encode))
    schemathesis.openapi.format("binary", files)
    schemathesis.openapi.format("uploadkit-tags", st.one_of(letters, st.builds("{}={}".format, letters, letters)))
