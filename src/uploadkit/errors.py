"""Everything that can go wrong with an upload, as one tree.

    UploadError                     code, status, field
    ├── SenderError                 the sender has to act
    │   ├── MalformedForm           400  the body or its Content-Type breaks the format
    │   ├── TruncatedForm           400  the body ended too early
    │   ├── LimitExceeded           413  limit, allowed, seen
    │   ├── QuotaExceeded           413  limit, allowed, seen: of all that an owner has
    │   ├── UnsupportedMediaType    415  not a form, or an encoding that is not read
    │   ├── FileRefused             415 or 422  filter, detected
    │   ├── UnexpectedField         422  a file in a field that takes none
    │   ├── FieldMissing            422  a required field was not sent
    │   ├── FieldRefused            422  a text value breaks a rule of its field
    │   ├── InvalidForm             422  errors: all that were found in a typed form
    │   ├── TokenRefused            403  reason: the token of a direct upload is not ours, or expired
    │   ├── SignatureRefused        403  reason: a webhook was not signed by who it should be, or is too old
    │   ├── UploadTooSlow           408  limit, allowed, seen
    │   ├── ResumableError          the protocol of an upload that comes in several requests
    │   │   ├── MalformedUpload     400 to 412  a request breaks the protocol
    │   │   ├── OffsetConflict      409  expected, provided: in bytes
    │   │   ├── LengthConflict      400  a request says another length than was said before, or than it brings
    │   │   ├── UploadGone          410  it was refused or given up, or its time is over
    │   │   ├── UploadLocked        423  retry_after: another request has not let go of it
    │   │   └── ChecksumMismatch    460  algorithm: what arrived is not what was sent
    │   └── ClientDisconnected      499  nobody is there to be answered
    └── ServiceError                the service has to act
        ├── Overloaded              503  retry_after
        ├── CheckFailed             503  filter
        ├── DeliveryFailed          503  retryable: a fact has not reached who was to hear it
        ├── StorageError            storage, key
        │   ├── StorageFailed       503  retryable
        │   ├── ObjectMissing       404
        │   ├── ObjectExists        409
        │   └── KeyRefused          500
        ├── QueueFailed             503  retryable
        ├── LedgerFailed            503  retryable
        └── RecordError             upload
            ├── RecordMissing       404
            ├── RecordExists        409
            └── UploadChanged       409  state

An error carries facts as attributes; its text is built from them, is safe to show to the sender, holds no path of
the server, and is at most 200 characters. A programmer's mistake is a plain `TypeError`, `ValueError` or
`RuntimeError` and is not part of this tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

TEXT_LIMIT = 200

MAX_ERRORS = 100
"""So many errors of one form are told: a sender needs no more, and an answer should not be longer than its request."""


class UploadError(Exception):
    """The root of every error of an upload.

    `code` is stable across releases; `status` is the HTTP status an adapter answers with; `field` is the form field
    that is meant, where there is one. `str(error)` is safe to show to the sender.
    """

    code: ClassVar[str] = "upload_error"
    status: int = 500
    _facts: ClassVar[tuple[str, ...]] = ()

    def __init__(self, text: str, *, field: str | None = None) -> None:
        super().__init__(shortened(text, TEXT_LIMIT))
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        """A copy, and what is unpickled, is made of the text and the facts that were built already."""
        return _again, (type(self), *self.args), vars(self)

    def problem(self) -> dict[str, object]:
        """The members of an RFC 9457 problem details object (media type `application/problem+json`)."""
        members: dict[str, object] = {
            "type": "about:blank",
            "title": _title(self.status),
            "status": self.status,
            "detail": str(self),
            "code": self.code,
        }
        facts = {name: getattr(self, name) for name in ("field", *self._facts)}
        return members | {name: fact for name, fact in facts.items() if fact is not None}


def _again(kind: type[UploadError], *args: object) -> UploadError:
    return kind.__new__(kind, *args)


class SenderError(UploadError):
    """The sender has to act: another attempt with the same bytes fails the same way."""

    code = "sender_error"
    status = 400


class MalformedForm(SenderError):
    """The form breaks RFC 7578, RFC 2046 or the URL Standard, or is ambiguous."""

    code = "malformed_form"


class TruncatedForm(SenderError):
    """The body ended before the form did."""

    code = "truncated_form"

    def __init__(self, text: str = "the body ended before the form did") -> None:
        super().__init__(text)


class LimitExceeded(SenderError):
    """More was sent than is allowed.

    `limit` names the limit as it is written in `Limits` or in a field's rules; `allowed` is its value; `seen` is how
    much had been seen when it was exceeded, which may be less than what was sent. Sizes are bytes.
    """

    code = "limit_exceeded"
    status = 413
    _facts = ("limit", "allowed", "seen")

    def __init__(self, text: str, *, limit: str, allowed: int, seen: int, field: str | None = None) -> None:
        super().__init__(text, field=field)
        self.limit = limit
        self.allowed = allowed
        self.seen = seen


class QuotaExceeded(SenderError):
    """An owner would have more than is allowed: uploads that are still being received count as well.

    `limit` is "files" or "bytes"; `allowed` is its value; `seen` is what the owner would have had.
    """

    code = "quota_exceeded"
    status = 413
    _facts = ("limit", "allowed", "seen")

    def __init__(self, text: str, *, limit: str, allowed: int, seen: int) -> None:
        super().__init__(text)
        self.limit = limit
        self.allowed = allowed
        self.seen = seen


class UnsupportedMediaType(SenderError):
    """The Content-Type is not one of a form, or a part is encoded in a way that is not read."""

    code = "unsupported_media_type"
    status = 415


class FileRefused(SenderError):
    """A rule, a filter or a check refused a file.

    `filter` names who refused: "accept" and "min_size" are the built-in rules. `detected` is the type that the
    file's own bytes show. The status is 415 when the type was the reason and 422 otherwise.
    """

    code = "file_refused"
    status: int = 422
    _facts = ("filter", "detected")

    def __init__(
        self,
        text: str,
        *,
        field: str | None = None,
        filter: str | None = None,
        detected: str | None = None,
        status: int = 422,
    ) -> None:
        super().__init__(text, field=field)
        if not 400 <= status <= 499:
            raise ValueError(f"a refusal has a status from 400 to 499, not {status}")
        self.filter = filter
        self.detected = detected
        self.status = status


class UnexpectedField(SenderError):
    """A file arrived in a field that takes none."""

    code = "unexpected_field"
    status = 422


class FieldMissing(SenderError):
    """A required field was not sent."""

    code = "field_missing"
    status = 422


class FieldRefused(SenderError):
    """A text value breaks a rule of its field."""

    code = "field_refused"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One error of a form.

    `field` is the field as the form names it, None where the form as a whole is meant; `code` is stable, and for text
    values pydantic's type of error; `message` is safe to show. `path` leads on inside a value that has parts;
    `limit` is that of a `LimitExceeded`.
    """

    field: str | None
    code: str
    message: str
    path: tuple[str | int, ...] = ()
    status: int = 422
    limit: str | None = None

    @classmethod
    def of(cls, error: SenderError) -> FieldError:
        """The same error as one of several."""
        limit = error.limit if isinstance(error, LimitExceeded) else None
        return cls(field=error.field, code=error.code, message=str(error), status=error.status, limit=limit)

    @property
    def text(self) -> str:
        """The message, which says where it belongs."""
        if self.field is None or quoted(self.field) in self.message:
            return self.message
        return f"field {quoted(self.field)}: {self.message}"

    def problem(self) -> dict[str, object]:
        """Its members in the problem details of an `InvalidForm`."""
        members: dict[str, object] = {"field": self.field, "code": self.code, "message": self.message}
        return members | ({"path": list(self.path)} if self.path else {})


class InvalidForm(SenderError):
    """Fields of a typed form break their rules. `errors` has every one that was found, at most 100.

    The status is that of its errors where they have the same, and 422 else.
    """

    code = "invalid_form"
    status: int = 422

    def __init__(self, errors: Sequence[FieldError]) -> None:
        first = errors[0]
        fields = list(dict.fromkeys(quoted(error.field) for error in errors if error.field is not None))
        super().__init__(
            first.text if len(errors) == 1 else f"the form has {len(errors)} errors, in {', '.join(fields)}",
            field=first.field if len(errors) == 1 else None,
        )
        self.errors: tuple[FieldError, ...] = tuple(errors[:MAX_ERRORS])
        self.status = first.status if len({error.status for error in errors}) == 1 else 422

    def problem(self) -> dict[str, object]:
        return super().problem() | {"errors": [error.problem() for error in self.errors]}


class TokenRefused(SenderError):
    """The token of a direct upload was not made here, was changed, is of another form, or has expired.

    `reason` is "invalid" or "expired".
    """

    code = "token_refused"
    status = 403
    _facts = ("reason",)

    def __init__(self, text: str, *, reason: str, field: str | None = None) -> None:
        super().__init__(text, field=field)
        self.reason = reason


class SignatureRefused(SenderError):
    """A webhook was not signed with the secret that it should be, or it was signed at another time.

    `reason` is "invalid" or "expired".
    """

    code = "signature_refused"
    status = 403
    _facts = ("reason",)

    def __init__(self, text: str, *, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class UploadTooSlow(SenderError):
    """The client is silent, or sends too slowly.

    `limit` is "idle_seconds" or "min_rate", as they are written in `Limits`; `allowed` is its value, in seconds or
    in bytes a second; `seen` is how many seconds it was silent, or how many bytes a second it sent.
    """

    code = "upload_too_slow"
    status = 408
    _facts = ("limit", "allowed", "seen")

    def __init__(self, text: str, *, limit: str, allowed: float, seen: float) -> None:
        super().__init__(text)
        self.limit = limit
        self.allowed = allowed
        self.seen = seen


class ResumableError(SenderError):
    """A request of an upload that comes in several requests cannot be taken as it is."""

    code = "resumable_error"
    status = 400


class MalformedUpload(ResumableError):
    """A request breaks the protocol of resumable uploads. 403 where it has bytes for what was put together, 405 where
    there is no such method, 411 where there is a quota of bytes and it does not say how many the upload has, and where
    the server does not find the end of its body, 412 where it is of another version of it."""

    code = "malformed_upload"

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class OffsetConflict(ResumableError):
    """The bytes of a request do not begin where those end that have arrived: at `expected`, and not at `provided`."""

    code = "offset_conflict"
    status = 409
    _facts = ("expected", "provided")

    def __init__(self, *, expected: int, provided: int) -> None:
        super().__init__(f"{expected} bytes have arrived: the next ones begin there, and not at {provided}")
        self.expected = expected
        self.provided = provided


class LengthConflict(ResumableError):
    """What a request says of the length of an upload, or brings, does not agree with what is known of it."""

    code = "length_conflict"
    status = 400


class UploadGone(ResumableError):
    """Nothing is taken of this upload any more: it was refused or given up, or its time is over."""

    code = "upload_gone"
    status = 410


class UploadLocked(ResumableError):
    """Another request is at this upload, and has not let go of it when it was asked to. `retry_after` is in seconds."""

    code = "upload_locked"
    status = 423
    _facts = ("retry_after",)

    def __init__(self, text: str = "another request is at this upload; try again soon", *, retry_after: int) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class ChecksumMismatch(ResumableError):
    """What has arrived of a request is not what was sent: nothing of it is kept."""

    code = "checksum_mismatch"
    status = 460  # of tus, whose checksum extension it is
    _facts = ("algorithm",)

    def __init__(self, *, algorithm: str) -> None:
        super().__init__(f"the bytes that arrived have another {algorithm} than was sent with them; send them again")
        self.algorithm = algorithm


class ClientDisconnected(SenderError):
    """The client closed the connection in the middle of its body: what is answered reaches nobody."""

    code = "client_disconnected"
    status = 499  # unofficial, from nginx

    def __init__(self, text: str = "the client closed the connection") -> None:
        super().__init__(text)


class ServiceError(UploadError):
    """The service has to act: the sender did nothing wrong."""

    code = "service_error"
    status = 500


class Overloaded(ServiceError):
    """More uploads are under way than the service takes at once. The same request may succeed later.

    `retry_after` is in seconds, and answered as the header Retry-After.
    """

    code = "overloaded"
    status = 503
    _facts = ("retry_after",)

    def __init__(self, text: str = "too many uploads are under way; try again later", *, retry_after: int) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class CheckFailed(ServiceError):
    """A check of a file could not be made: what it needs is not there, or takes too long.

    `filter` names the check. `reason` is for logs, and neither in the text nor in the problem details. The same request
    may succeed later.
    """

    code = "check_failed"
    status = 503
    _facts = ("filter",)

    def __init__(self, text: str, *, filter: str, reason: str, field: str | None = None) -> None:
        super().__init__(text, field=field)
        self.filter = filter
        self.reason = reason


class DeliveryFailed(ServiceError):
    """A fact has not reached who was to hear it, as far as is known: it may have, and only the answer was lost.

    `answer` is the HTTP status of a receiver that did answer, `retry_after` the seconds that it asks to wait. It is not
    `retryable` where the receiver wants no more of them.
    """

    code = "delivery_failed"
    status = 503
    _facts = ("retryable",)

    def __init__(
        self, text: str, *, retryable: bool = True, answer: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.retryable = retryable
        self.answer = answer
        self.retry_after = retry_after


class StorageError(ServiceError):
    """A storage could not do what it was asked, or would not.

    `storage` is the storage's name and `key` the object's key. Neither is in the text or in the problem details: a
    sender has no use for them.
    """

    code = "storage_error"

    def __init__(self, text: str, *, storage: str, key: str | None = None, field: str | None = None) -> None:
        super().__init__(text, field=field)
        self.storage = storage
        self.key = key


class StorageFailed(StorageError):
    """The storage could not do what it was asked; the cause is the chained exception.

    `retryable` is true where the same call may succeed later without anybody acting.
    """

    code = "storage_failed"
    status = 503

    def __init__(self, text: str, *, storage: str, key: str | None = None, retryable: bool = False) -> None:
        super().__init__(text, storage=storage, key=key)
        self.retryable = retryable


class ObjectMissing(StorageError):
    """There is no object under this key."""

    code = "object_missing"
    status = 404


class ObjectExists(StorageError):
    """There is an object under this key already, and it is not replaced."""

    code = "object_exists"
    status = 409


class KeyRefused(StorageError):
    """The storage does not take this key: it is empty, too long, or would leave the storage's root."""

    code = "key_refused"
    status = 500


class LedgerFailed(ServiceError):
    """The ledger's database could not do what it was asked; the cause is the chained exception.

    `retryable` is true where the same call may succeed later without anybody acting. Where the connection was lost,
    nobody knows whether a change was made: ask for the record.
    """

    code = "ledger_failed"
    status = 503

    def __init__(self, text: str, *, retryable: bool = False) -> None:
        super().__init__(text)
        self.retryable = retryable


class QueueFailed(ServiceError):
    """The queue of jobs could not do what it was asked; the cause is the chained exception.

    `retryable` is true where the same call may succeed later without anybody acting: to add a job once more doubles
    none that still waits.
    """

    code = "queue_failed"
    status = 503

    def __init__(self, text: str = "the queue of jobs does not answer; try again later", *, retryable: bool) -> None:
        super().__init__(text)
        self.retryable = retryable


class RecordError(ServiceError):
    """The ledger has something else about an upload than was expected. `upload` is its id."""

    code = "record_error"

    def __init__(self, text: str, *, upload: str) -> None:
        super().__init__(text)
        self.upload = upload


class RecordMissing(RecordError):
    """There is no such upload."""

    code = "record_missing"
    status = 404


class RecordExists(RecordError):
    """There is such an upload already: with this id, or with this idempotency key of its owner. `upload` is the id of
    that one."""

    code = "record_exists"
    status = 409


class UploadChanged(RecordError):
    """The upload is no longer as was expected: somebody else was faster.

    `state` is the one that it is in, None where it is a claim that was lost.
    """

    code = "upload_changed"
    status = 409
    _facts = ("state",)

    def __init__(self, text: str, *, upload: str, state: str | None) -> None:
        super().__init__(text, upload=upload)
        self.state = state


def quoted(name: str) -> str:
    """A name from the client as it stands in an error's text: printable, quoted, at most about 60 characters."""
    return repr(shortened(name, 60))


def shortened(text: str, length: int) -> str:
    """The text, or its beginning: at most so many characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def clean(text: str) -> str:
    """As every database, and every stream, takes it: no NUL, no half of a character."""
    return str(text).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """What an error says, clean. Whatever class it is of, this raises nothing."""
    try:
        return clean(str(error))
    except Exception:
        return "(it cannot be said)"


def _title(status: int) -> str:
    if status in _TITLES:
        return _TITLES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # one that nobody has registered
        return "Client Error" if status < 500 else "Server Error"


# RFC 9110 §15. The phrases of http.HTTPStatus, which are taken for others, differ between Pythons.
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    499: "Client Closed Request",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
