"""The contract: what each route takes and answers, as OpenAPI 3.1.

operations   every route, one by one        pieces    what they are described by: parameters, answers, the form
schemas      the JSON that is answered      codes     every code of an error, and when it comes

It is made of the values that the code itself uses: states, priorities, bounds, and the rules of the form.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...adapters.openapi import describe
from ..addresses import address
from ..parts import Parts, parts_of
from .operations import paths
from .pieces import HEADERS, form
from .schemas import Json, schemas

__all__ = ["contract", "document"]


async def document(request: Request) -> Response:
    """The contract of this service, as JSON. It is made once: anybody may ask for it, as often as he likes."""
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = bytes(JSONResponse(contract(parts_of(request))).body)
    here = f'"servers":[{{"url":"{address(request, "") or "/"}"'.encode()  # which has nothing that JSON would escape
    return Response(state.document.replace(_SERVERS, here, 1), media_type="application/json")


_SERVERS: Final = b'"servers":[{"url":"/"'
"""Where the service is, in the contract as it is made."""


def contract(parts: Parts) -> Json:
    """Of a service that is made of these parts."""
    described = describe(parts.form)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "uploadkit",
            "version": version("pyuploadkit"),
            "summary": "Takes uploads, works on them and gives them out.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this document was fetched."}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths(form(described.request_body), callers=_callers(parts)),
        "components": {
            "schemas": schemas(max_files=parts.settings.max_files) | {"Problem": described.problems["Problem"]},
            "headers": HEADERS,
            "securitySchemes": _SCHEMES,
        },
    }


_ABOUT: Final = """\
Files come by `POST /uploads` and are answered at once; what is done with them is told by their status, or as it happens
by server-sent events. Every error is answered by problem details (RFC 9457) with a stable `code`. What is somebody
else's is answered as what does not exist. A path that is not here is answered 404, also one with a slash too much, and
a method that a path does not have 405. The header Accept changes nothing."""

_TAGS: Final = {
    "uploads": "What comes in, and what is known of it.",
    "direct": "What goes from a client straight into the bucket: the routes that Uppy's AwsS3 asks for.",
    "resumable": "What comes in several requests, by tus 1.0.0. The draft of the IETF is spoken at the same addresses, "
    "and not described here: a request with Upload-Complete or Upload-Draft-Interop-Version, a PATCH of "
    "application/partial-upload, and a HEAD or DELETE without Tus-Resumable are taken for that.",
    "files": "What is given out: uploads, and what was made of them.",
    "operating": "For who runs the service.",
    "page": "For people.",
}

_SCHEMES: Final[Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the settings: `uploadkit token` makes them.",
    },
    "signature": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "Of an address that the service has given: who has it needs no token.",
    },
    "until": {"type": "apiKey", "in": "query", "name": "until", "description": "How long that address holds."},
    "metrics": {"type": "http", "scheme": "bearer", "description": "The token of the setting `metrics_token`."},
}


def _callers(parts: Parts) -> list[Json]:
    """How to say who calls: by one of these. The empty one stands for what a function of the application's own may
    ask, which nobody can describe here."""
    settings = parts.settings
    if parts.callers.is_open:
        return []
    ways: list[Json] = [{"bearer": []}] if settings.tokens or settings.tokens_file is not None else []
    return ways if ways and settings.authenticate is None else [*ways, {}]
