"""Every code with which the service refuses: its status, and when it does. The contract and the page of codes in the
documentation are made of it, and a test finds a code that is answered and not listed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from .. import errors
from ..errors import UploadError

__all__ = ["REFUSALS", "Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A code that is answered, by one of `statuses`. `when` is a sentence. `retry_after` is whether the answer says
    when the same request may succeed."""

    code: str
    statuses: tuple[int, ...]
    when: str
    retry_after: bool = False


_OWN: Final = (
    Refusal(code="idempotency_key_refused", statuses=(400,), when="The Idempotency-Key is no key."),
    Refusal(code="unauthenticated", statuses=(401,), when="Nobody has said who calls, or not so that it is believed."),
    Refusal(code="not_found", statuses=(404,), when="There is nothing here, or it is somebody else's."),
    Refusal(code="method_not_allowed", statuses=(405,), when="The route has no such method. Allow says which it has."),
    Refusal(
        code="idempotency_conflict",
        statuses=(409,),
        when="A request with this Idempotency-Key is under way.",
        retry_after=True,
    ),
    Refusal(
        code="length_required",
        statuses=(411,),
        when="There is a quota of bytes, and the request says no Content-Length.",
    ),
    Refusal(code="not_ready", statuses=(409,), when="There is nothing to be fetched yet, or its work has failed."),
    Refusal(code="link_refused", statuses=(403,), when="A link is not signed by this service, or its time is over."),
    Refusal(code="precondition_failed", statuses=(412,), when="What was asked for on a condition is not as it says."),
    Refusal(code="range_not_satisfiable", statuses=(416,), when="There are no such bytes."),
    Refusal(code="rate_limited", statuses=(429,), when="There were too many requests.", retry_after=True),
    Refusal(
        code="too_many_uploads", statuses=(429,), when="Too many requests of the caller's upload.", retry_after=True
    ),
    Refusal(code="too_many_streams", statuses=(429,), when="The caller has too many streams open.", retry_after=True),
    Refusal(code="parameter_refused", statuses=(422,), when="A parameter of the query breaks its rule."),
)
"""What the service itself refuses."""

_OF_UPLOADS: Final[tuple[type[UploadError], ...]] = (
    errors.MalformedForm,
    errors.TruncatedForm,
    errors.UploadTooSlow,
    errors.UploadChanged,
    errors.LimitExceeded,
    errors.QuotaExceeded,
    errors.UnsupportedMediaType,
    errors.FileRefused,
    errors.FieldMissing,
    errors.FieldRefused,
    errors.Overloaded,
    errors.CheckFailed,
    errors.StorageFailed,
    errors.LedgerFailed,
    errors.QueueFailed,
)
"""What may go wrong with an upload, of all that there is in `errors`."""


def _refusals() -> Iterator[Refusal]:
    yield from _OWN
    for error in _OF_UPLOADS:
        statuses = (415, 422) if error is errors.FileRefused else (error.status,)
        when = " ".join((inspect.getdoc(error) or "").partition("\n\n")[0].split())
        yield Refusal(code=error.code, statuses=statuses, when=when, retry_after=error is errors.Overloaded)


REFUSALS: Final[Mapping[str, Refusal]] = MappingProxyType(
    {refusal.code: refusal for refusal in sorted(_refusals(), key=lambda each: (each.statuses, each.code))}
)
"""By code, in the order of their statuses."""
