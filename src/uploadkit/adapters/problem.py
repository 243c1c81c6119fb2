"""How adapters answer an error: RFC 9457 problem details."""

from __future__ import annotations

import json

from ..errors import UploadError

PROBLEM_JSON = "application/problem+json"


def problem_body(error: UploadError) -> bytes:
    """The problem details of `error` as JSON."""
    return json.dumps(error.problem(), separators=(",", ":")).encode("ascii")
