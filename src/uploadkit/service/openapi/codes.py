"""Every code with which the service refuses: its status, and when it does. A test finds one that is answered and not
listed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ... import errors
from ...errors import UploadError
from ..problems import Unexpected

__all__ = ["REFUSALS", "Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A code, by which statuses it is answered, and when. `headers` are those that go with it."""

    code: str
    statuses: tuple[int, ...]
    when: str
    headers: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: type[UploadError], *statuses: int, headers: tuple[str, ...] = ()) -> Refusal:
        """That of an error: when it comes is the first sentence of its docstring."""
        when = " ".join((inspect.getdoc(error) or "").partition("\n\n")[0].split())
        return cls(code=error.code, statuses=statuses or (error.status,), when=when, headers=headers)


_LATER: Final = ("Retry-After",)

_ALL: Final = (
    # The request
    Refusal(code="malformed_request", statuses=(400,), when="The request has a header twice that it may have once."),
    Refusal(code="idempotency_key_refused", statuses=(400,), when="The Idempotency-Key is none."),
    Refusal(
        code="unauthenticated",
        statuses=(401,),
        when="Nobody has said who calls, or not so that it is believed.",
        headers=("WWW-Authenticate",),
    ),
    Refusal(code="wrong_origin", statuses=(403,), when="A browser sends it for a page of another origin."),
    Refusal(code="link_refused", statuses=(403,), when="A link was not signed by this service, or is not whole."),
    Refusal(
        code="link_expired", statuses=(403,), when="The time of a link is over. The status of its upload has another."
    ),
    Refusal(code="not_found", statuses=(404,), when="There is nothing here, or it is somebody else's."),
    Refusal(code="method_not_allowed", statuses=(405,), when="The path has no such method. Allow says which it has."),
    Refusal(
        code="idempotency_conflict",
        statuses=(409,),
        when="A request with this Idempotency-Key is under way.",
        headers=_LATER,
    ),
    Refusal(
        code="not_ready",
        statuses=(409,),
        when="There is nothing to fetch yet, or the work on it has failed.",
        headers=_LATER,
    ),
    Refusal(code="not_arrived", statuses=(409,), when="Nothing has arrived in the bucket of an upload."),
    Refusal(code="direct_unavailable", statuses=(409,), when="The files of this service lie in no bucket."),
    Refusal(code="length_required", statuses=(411,), when="There is a quota of bytes, and no size was said."),
    Refusal(code="precondition_failed", statuses=(412,), when="The condition of the request does not hold."),
    Refusal(code="range_not_satisfiable", statuses=(416,), when="There are no such bytes.", headers=("Content-Range",)),
    Refusal(code="wrong_host", statuses=(421,), when="The service is not called by the name in the Host header."),
    Refusal(code="parameter_refused", statuses=(422,), when="A parameter of the query breaks its rule."),
    Refusal(
        code="rate_limited",
        statuses=(429,),
        when="There were too many requests.",
        headers=(*_LATER, "RateLimit", "RateLimit-Policy"),
    ),
    Refusal(
        code="too_many_uploads", statuses=(429,), when="Too many requests of the caller upload now.", headers=_LATER
    ),
    Refusal(code="too_many_streams", statuses=(429,), when="The caller has too many streams open.", headers=_LATER),
    Refusal(code="head_too_large", statuses=(431,), when="What comes before the body, or after it, is too much."),
    # The upload
    Refusal.of(errors.MalformedForm),
    Refusal.of(errors.TruncatedForm),
    Refusal.of(errors.UploadTooSlow),
    Refusal.of(errors.UploadChanged),
    Refusal.of(errors.LimitExceeded),
    Refusal.of(errors.QuotaExceeded),
    Refusal.of(errors.UnsupportedMediaType),
    Refusal.of(errors.FileRefused, 415, 422),
    Refusal.of(errors.FieldMissing),
    Refusal.of(errors.FieldRefused),
    Refusal.of(errors.MalformedUpload, 400, 403, 405, 411, 412),
    Refusal.of(errors.LengthConflict),
    Refusal.of(errors.OffsetConflict),
    Refusal.of(errors.UploadGone),
    Refusal.of(errors.UploadLocked, headers=_LATER),
    Refusal.of(errors.ChecksumMismatch),
    # The service
    Refusal.of(Unexpected),
    Refusal.of(errors.Overloaded, headers=_LATER),
    Refusal.of(errors.CheckFailed),
    Refusal.of(errors.StorageFailed),
    Refusal.of(errors.LedgerFailed),
    Refusal.of(errors.QueueFailed),
)

REFUSALS: Final[Mapping[str, Refusal]] = MappingProxyType({each.code: each for each in _ALL})
"""By code."""
