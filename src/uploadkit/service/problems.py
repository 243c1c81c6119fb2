"""What the service refuses beside what an upload may do wrong: answered like every other error, by problem details."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from ..adapters.problem import problem_body, problem_headers
from ..errors import SenderError, ServiceError, UploadError

__all__ = ["Refused", "Unexpected", "answered", "not_found"]


class Refused(SenderError):
    """A request that is not served. `code` is stable, `headers` go with the answer."""

    def __init__(self, status: int, code: str, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code  # type: ignore[misc]  # one class for what differs in its facts alone
        self.headers: Mapping[str, str] = dict(headers or {})


class Unexpected(ServiceError):
    """What nobody foresaw. The operator finds what it was in the log, by the `request`."""

    code = "internal_error"
    _facts = ("request",)

    def __init__(self, request: str | None) -> None:
        super().__init__("something has gone wrong here, and the log of the service says what")
        self.request = request


def not_found() -> Refused:
    """The same for what is not there and for what is somebody else's."""
    return Refused(404, "not_found", "there is nothing here")


def answered(error: UploadError) -> Response:
    """An error as problem details."""
    more = error.headers if isinstance(error, Refused) else {}
    return Response(problem_body(error), status_code=error.status, headers={**problem_headers(error), **more})
