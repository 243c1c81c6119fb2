"""Uploads that go from a client straight to a storage, under the rules of a spec.

A client says what it wants to send, is given a signed form or signed addresses of parts, and sends its bytes to the
storage itself. What has arrived is judged then, as `receive` judges what passes through it, and is an upload only when
everything agrees. Knows no framework. What has to be known again goes with the client, in a token that is signed, or
is kept by the pipeline that is to work on what arrives (`resumable.remembered`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from functools import partial as bound
from typing import TYPE_CHECKING, Any

from ..errors import (
    ChecksumMismatch,
    LedgerFailed,
    LimitExceeded,
    MalformedForm,
    ObjectExists,
    ObjectMissing,
    RecordError,
    RecordMissing,
    SenderError,
    ServiceError,
    StorageFailed,
    TokenRefused,
    TruncatedForm,
    UploadError,
    UploadLocked,
)
from ..intake.asynchronous import acarry_out
from ..intake.blocking import drive, take_back
from ..intake.landing import begin_watches
from ..intake.plan import check_agreed, shown_name, uploaded
from ..intake.spec import Spec, check_spec
from ..intake.steps import Accept, Ask, Do, Steps, releasing, undone
from ..multipart.headers import declared_type
from ..policy.accept import foresee, resolve
from ..policy.accounting import exceeded
from ..policy.endings import check_ending, end_size
from ..policy.fields import FileRule
from ..policy.filters import IncomingFile
from ..policy.media_types import OCTET_STREAM, canonical, extension_of
from ..policy.rules import largest
from ..policy.signatures import HEAD_SIZE
from ..storage.contract import AcceptsDirectUploads, DirectObject, ListsObjects, ObjectInfo, Storage, StoredPart
from ..storage.threads import in_thread
from ..uploads import Register, Submission, UploadedFile
from .onefile import as_in_a_form, check_size, named_file

if TYPE_CHECKING:
    from .holding import Held  # which need the extra `records`
    from .remembered import Remembered

_MIN_SECRET_SIZE = 16

MIN_PART_SIZE = 5 * 2**20
"""Bytes of every part but the last: what S3 asks for."""

MAX_PARTS = 10_000
"""Of one file: what S3 takes."""

_LARGEST = 5 * 2**40
"""Bytes of a file where neither its field nor its limits say: the most that S3 keeps as one object."""

_LONGEST_SECONDS = 7 * 24 * 60 * 60
"""What S3 takes as the life of a signed address."""

_BLOCK_SIZE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectForm:
    """What a client needs to send one file in one request: a multipart form to `url` with these `fields` and then the
    file, in a field `file`. `token` is what it comes back with, and `id` that of the file."""

    url: str
    fields: Mapping[str, str]
    token: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectParts:
    """An upload in parts that has begun. `id` is that of the file, `token` what the client comes back with."""

    id: str
    token: str


class DirectUploads:
    """Takes the one file of `spec` straight into its storage, which is one with `AcceptsDirectUploads`.

    Everything that the rules say of the file holds: its type, its size, its filter, its checks. Names, types and sizes
    come from the client; every method may be called with what it sent. `secret` signs the tokens: at least 16 bytes
    that nobody else knows and every process of the application has. A token is good for `expires_seconds`, which is
    more than the longest upload takes and less than the storage's `stale_seconds`. Who has a token may finish its
    upload: whose it is your application knows.

    With the spec of an `Uploader` with a pipeline nothing is signed, and there is no `secret`: an upload has a record
    before the client is told where to send, and its token is its id. So ask whose it is (`Pipeline.describe`), or give
    the spec a register that does: `replace(spec, register=Owned(pipeline, owner="ann"))` knows of ann's uploads alone,
    and counts them for her quota. `finish` hands what was judged to the pipeline, and what was refused is `rejected`.
    What is not finished in time is given up by `sweep`.

    With `digest` the SHA-256 of every file is made, for which all of it is read back. A check of the passing bytes
    reads them too, and the digest comes with it, as it does where the client has said one.
    """

    def __init__(
        self,
        spec: Spec[UploadedFile] | Spec[UploadedFile | None],
        *,
        secret: str | bytes | None = None,
        expires_seconds: int = 3600,
        digest: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises `TypeError` for a spec that is not of one file, or whose storage takes nothing from clients, and
        where there is no secret and no pipeline, or both."""
        check_spec(spec, taker="DirectUploads", example="upload.single('video')")
        self._spec: Spec[Any] = spec
        self._field, self._rule = _only_file(spec)
        _direct_storage(self._rule.storage)
        self._kept = None if spec.register is None else _remembered(spec.register, self._rule.storage)
        if (secret is None) is (self._kept is None):
            raise TypeError("DirectUploads signs its tokens with a secret=, and needs none with a pipeline")
        self._secret = secret.encode() if isinstance(secret, str) else bytes(secret or b"")
        if self._kept is None and len(self._secret) < _MIN_SECRET_SIZE:
            raise ValueError(f"the secret has {len(self._secret)} bytes, and at least {_MIN_SECRET_SIZE} are needed")
        if not 1 <= expires_seconds <= _LONGEST_SECONDS:
            raise ValueError(f"a token is good for 1 to {_LONGEST_SECONDS} seconds, not for {expires_seconds}")
        self._expires_seconds = expires_seconds
        self._digest = digest
        self._clock = clock

    def begin(
        self, filename: str, content_type: str | None = None, size: int | None = None, *, sha256: str | None = None
    ) -> DirectForm:
        """A form for one file. `size` is in bytes; where it is said no other will be taken, and so it is with `sha256`,
        in hex.

        Raises `FileRefused` and `LimitExceeded` where no bytes could make that file one that the field accepts,
        `MalformedForm` where what the client said is no name, type, size or digest; with a pipeline `QuotaExceeded`
        and `LedgerFailed`.
        """
        claim = self._new_claim(filename, content_type, size, sha256)
        with self._recorded(claim):
            form = self._taking.sign_post(
                claim.upload,
                self._staged_info(claim),
                min_size=claim.min_size,
                max_size=claim.max_size,
                expires_seconds=self._expires_seconds,
            )
            token = self._keep(claim, None)
        return DirectForm(url=form.url, fields=form.fields, token=token, id=claim.id)

    def begin_parts(
        self, filename: str, content_type: str | None = None, size: int | None = None, *, sha256: str | None = None
    ) -> DirectParts:
        """Begins an upload in parts. Raises what `begin` raises, and `StorageFailed`."""
        claim = self._new_claim(filename, content_type, size, sha256)
        with self._recorded(claim):
            parts_id = self._taking.begin_parts(claim.upload, self._staged_info(claim))
            try:
                token = self._keep(claim, parts_id)
            except BaseException:
                with suppress(StorageFailed):  # a sweep aborts it
                    self._taking.abort_parts(claim.upload, parts_id)
                raise
        return DirectParts(id=claim.id, token=token)

    def sign_part(self, token: str, number: int) -> str:
        """An address for a PUT of part `number`, from 1. Every part but the last has at least 5 MiB.

        Raises `TokenRefused`, and `LimitExceeded` for more parts than a file of the largest size can have.
        """
        claim, parts_id = self._claim_of_parts(token)
        if not _is_count(number) or number < 1:
            raise MalformedForm("the parts of an upload are numbered from 1", field=self._field)
        if number > min(MAX_PARTS, max(1, -(-claim.max_size // MIN_PART_SIZE))):
            seen = min(claim.max_size + 1, (number - 1) * MIN_PART_SIZE)
            text = f"a file of at most {claim.max_size} bytes has no part {number}"
            raise LimitExceeded(text, limit="max_size", allowed=claim.max_size, seen=seen, field=self._field)
        left = max(1, int(claim.expires - self._clock()))
        return self._taking.sign_part(claim.upload, parts_id, number, expires_seconds=left)

    def list_parts(self, token: str) -> Sequence[StoredPart]:
        """The parts that have arrived, by number. Raises `TokenRefused`, and `ObjectMissing` where the upload was
        completed or aborted.

        With a pipeline those of one that was completed are as many as it may have had: a client that has not heard of
        it sends none again, and completes it once more.
        """
        claim, parts_id = self._claim_of_parts(token)
        try:
            return self._taking.list_parts(claim.upload, parts_id)
        except ObjectMissing:
            if self._kept is None:
                raise
            return as_parts(self._arrived(claim).size)

    def complete(self, token: str) -> None:
        """All parts have arrived: makes one object of them, which `finish` judges. May be called again.

        Raises `LimitExceeded` and `TruncatedForm` where they are more or fewer bytes than they may be: then nothing is
        left of them. Raises `TokenRefused`, and `ObjectMissing` where there is no such upload.
        """
        claim, parts_id = self._claim_of_parts(token)
        try:
            parts = self._taking.list_parts(claim.upload, parts_id)
        except ObjectMissing:
            self._arrived(claim)  # raises where it was not completed before
            return
        try:
            if not parts:
                raise TruncatedForm("no part of the file has arrived")
            self._check_size(claim, sum(part.size for part in parts))
        except SenderError as error:
            self._taking.abort_parts(claim.upload, parts_id)
            if self._kept is not None:
                self._kept.refuse(claim.id, error)
            raise
        self._taking.complete_parts(claim.upload, parts_id, parts)

    def abort(self, token: str) -> None:
        """Gives up an upload in parts: nothing is left of those that have arrived. May be called again."""
        if self._kept is not None:
            self._kept.give_up(token)
            return
        claim, parts_id = self._claim_of_parts(token)
        self._taking.abort_parts(claim.upload, parts_id)

    def finish(self, token: str) -> UploadedFile:
        """Judges what has arrived, and makes it an upload.

        Raises what `receive` raises of a file: what was refused is removed, and is no upload. Raises `TokenRefused`,
        `ObjectMissing` where nothing has arrived, `ObjectExists` where the upload is finished already,
        `ChecksumMismatch`, `StorageFailed` where the storage fails: then `finish` may be called again. Of two that
        finish one upload at once, one succeeds.

        With a pipeline it is accepted when this returns. In place of `TokenRefused` it raises `RecordMissing`, and
        `UploadGone` where the upload was refused or given up; `UploadLocked` where another call finishes it just now.
        After every `ServiceError`, as where the ledger or a scanner does not answer, it may be called again.
        """
        self._spec.check_blocking()
        return drive(self._finishing(token), iter(()))

    async def abegin(
        self, filename: str, content_type: str | None = None, size: int | None = None, *, sha256: str | None = None
    ) -> DirectForm:
        """The async twin of `begin`."""
        return await in_thread(self.begin, filename, content_type, size, sha256=sha256)

    async def abegin_parts(
        self, filename: str, content_type: str | None = None, size: int | None = None, *, sha256: str | None = None
    ) -> DirectParts:
        """The async twin of `begin_parts`."""
        return await in_thread(self.begin_parts, filename, content_type, size, sha256=sha256)

    async def asign_part(self, token: str, number: int) -> str:
        """The async twin of `sign_part`."""
        return await in_thread(self.sign_part, token, number)

    async def alist_parts(self, token: str) -> Sequence[StoredPart]:
        """The async twin of `list_parts`."""
        return await in_thread(self.list_parts, token)

    async def acomplete(self, token: str) -> None:
        """The async twin of `complete`."""
        await in_thread(self.complete, token)

    async def aabort(self, token: str) -> None:
        """The async twin of `abort`."""
        await in_thread(self.abort, token)

    async def afinish(self, token: str) -> UploadedFile:
        """The async twin of `finish`. Its filter and its `filename=` may be async.

        Cancelled, it leaves no upload. With a pipeline one that is stored by then is accepted all the same; else it may
        be called again.
        """
        return await acarry_out(self._finishing(token), undo=_take_back if self._kept is None else None)

    # What the client says, and what it is given

    @property
    def _taking(self) -> AcceptsDirectUploads:
        return _direct_storage(self._rule.storage)

    def _new_claim(self, filename: str, content_type: str | None, size: int | None, sha256: str | None) -> _Claim:
        name = self._said("the name of a file", filename, self._spec.limits.filename_size, "filename_size")
        kind = self._said("a type", content_type or "", self._spec.limits.header_size, "header_size")
        declared = declared_type(kind)
        foresee(field=self._field, filename=name, declared_type=declared, accept=self._rule.accept)
        smallest, largest_ = self._rule.min_size, _most(largest(self._rule, self._spec.limits))
        if size is not None:
            if not _is_count(size):
                raise MalformedForm("the size of a file is a number of bytes", field=self._field)
            check_size(size, self._rule, self._spec.limits, field=self._field)
            smallest = largest_ = size
        if not _may_be_sha256(sha256):
            raise MalformedForm("the SHA-256 of a file is 64 hexadecimal digits", field=self._field)
        upload = secrets.token_hex(16)
        return _Claim(
            upload=upload,
            # Of one that is remembered the name in the bucket says which it is: whoever was sent there knows no other.
            id=self._spec.new_key("") if self._kept is None else upload,
            key=self._spec.new_key(""),
            filename=name,
            declared_type=declared,
            min_size=smallest,
            max_size=largest_,
            sha256=None if sha256 is None else sha256.lower(),
            expires=self._clock() + self._expires_seconds,
        )

    def _said(self, what: str, text: object, limit: int | None, name: str) -> str:
        """A text of the client's, without what no form could have brought."""
        if not isinstance(text, str):  # it comes from JSON
            raise MalformedForm(f"{what} is a text", field=self._field)
        text = as_in_a_form(text)
        size = len(text.encode())
        if limit is not None and size > limit:
            raise LimitExceeded(
                f"{what} has more than {limit} bytes", limit=name, allowed=limit, seen=size, field=self._field
            )
        return text

    def _staged_info(self, claim: _Claim) -> ObjectInfo:
        """The type that the storage shows while nobody has looked: none that the field would not accept."""
        declared = canonical(claim.declared_type or "")
        accept = self._rule.accept
        known = accept is not None and accept.admits(declared)
        return ObjectInfo(
            content_type=declared if known else OCTET_STREAM, filename=claim.filename, max_size=claim.max_size
        )

    @contextmanager
    def _recorded(self, claim: _Claim) -> Iterator[None]:
        """Where there is a pipeline, the upload has a record first."""
        kept = self._kept
        if kept is not None:
            kept.begin(self._announced(claim), self._spec.new_key(""))
        try:
            yield
        except BaseException as error:
            if kept is not None:
                kept.refuse(claim.id, error)
            raise

    def _announced(self, claim: _Claim) -> IncomingFile:
        """A file of which nobody has seen a byte."""
        content_type = self._staged_info(claim).content_type
        return IncomingFile(
            id=claim.id,
            field=self._field,
            filename=shown_name(claim.filename, content_type),
            client_filename=claim.filename,
            content_type=content_type,
            declared_type=claim.declared_type,
            head=b"",
        )

    def _keep(self, claim: _Claim, parts_id: str | None) -> str:
        """Returns the token by which it is known again."""
        if self._kept is None:
            return self._token(claim, parts_id)
        length = claim.max_size if claim.min_size == claim.max_size else None
        self._kept.keep(claim.id, {**asdict(claim), "parts": parts_id}, length=length, expires=claim.expires)
        return claim.id

    def _token(self, claim: _Claim, parts_id: str | None = None) -> str:
        said = json.dumps([*astuple(claim), parts_id], separators=(",", ":"))
        payload = base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")
        return f"{payload}.{self._signature(payload)}"

    def _signature(self, payload: str) -> str:
        """Of another field or storage with the same secret it is another one."""
        signed = json.dumps(["uploadkit direct 1", self._rule.storage.name, self._field, payload])
        return hmac.new(self._secret, signed.encode(), hashlib.sha256).hexdigest()

    def _claim(self, token: object) -> tuple[_Claim, str | None]:
        if self._kept is not None:
            told = dict(self._kept.find(token, self._clock()))
            parts = told.pop("parts")
            return _Claim(**told), parts
        payload, _, signature = token.rpartition(".") if isinstance(token, str) else ("", "", "")
        expected = self._signature(payload) if payload.isascii() else ""
        if not expected or not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise TokenRefused("the token of the upload is not valid", reason="invalid", field=self._field)
        *said, parts_id = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        claim = _Claim(**dict(zip(_Claim.__slots__, said, strict=True)))
        if claim.expires <= self._clock():
            raise TokenRefused("the token of the upload has expired", reason="expired", field=self._field)
        return claim, parts_id

    def _claim_of_parts(self, token: str) -> tuple[_Claim, str]:
        claim, parts_id = self._claim(token)
        if parts_id is None:
            if self._kept is not None:
                raise RecordMissing("there is no such upload in parts", upload=claim.id)
            text = "the token is that of a form, and not of an upload in parts"
            raise TokenRefused(text, reason="invalid", field=self._field)
        return claim, parts_id

    # What has arrived

    def _finishing(self, token: str) -> Steps[UploadedFile]:
        claim, parts_id = yield Do(self._claim, (token,))
        kept = self._kept
        if kept is None:
            yield Do(self._check_unfinished, (claim,))
            return (yield from self._judging(claim, None))
        held: Held = yield Do(kept.hold, (claim.id,))
        return (yield from releasing(self._ending(kept, claim, parts_id), held.release))

    def _ending(self, kept: Remembered, claim: _Claim, parts_id: str | None) -> Steps[UploadedFile]:
        """While it is held. What is stored is accepted, also where a cancellation has come."""
        file: UploadedFile | None = yield Do(kept.stored, (claim.id,))
        if file is None:
            seen: str | None = yield Do(kept.seen, (claim.id,))
            file = yield from self._judging(claim, seen)
        yield from self._accepting(kept, file)
        yield Do(self._settle, (kept, file, claim, parts_id), settles=True)
        return file

    def _judging(self, claim: _Claim, seen: str | None) -> Steps[UploadedFile]:
        arrived: DirectObject = yield Do(self._arrived, (claim,))
        try:
            return (yield from self._storing(claim, arrived, seen))
        except GeneratorExit:
            raise
        except BaseException as error:
            if not self._may_be_tried_again(error):
                yield from undone(bound(self._remove, claim, arrived), error)
                raise
            # What has arrived is still there, for another call or for a sweep.
            try:
                yield Do(self._check_open, (claim, arrived), settles=True)
            except Exception:
                if isinstance(error, Exception):  # else it is a cancellation, which is told in any case
                    raise
            raise

    def _storing(self, claim: _Claim, arrived: DirectObject, seen: str | None) -> Steps[UploadedFile]:
        rule, kept = self._rule, self._kept
        incoming: IncomingFile = yield Do(self._incoming, (claim, arrived))
        if rule.filter is not None:
            agreed = yield Ask(rule.filter, (incoming,))
            check_agreed(agreed, rule.filter, incoming)
        sha256: str | None = yield Do(self._checked, (claim, arrived, incoming))
        if rule.key_maker is not None:
            key = yield Ask(rule.key_maker, (incoming,))
        elif kept is None:
            key = claim.key + extension_of(incoming.content_type)
        else:
            key = self._spec.new_key(extension_of(incoming.content_type))
        if kept is not None:
            own = key if rule.key_maker is None else None
            yield Do(kept.place, (incoming, own, arrived.size, sha256, seen))
        info = ObjectInfo(content_type=incoming.content_type, filename=incoming.filename, max_size=arrived.size)
        yield Do(arrived.commit, (key, info))
        register = None if kept is None else kept.register
        return uploaded(incoming, key, rule.storage, size=arrived.size, sha256=sha256, register=register)

    def _may_be_tried_again(self, error: BaseException) -> bool:
        """Whether it says nothing of the file. What is remembered is kept until its time is over; without that nobody
        might come again, but where a storage that fails would not let it be removed either."""
        if self._kept is None:
            return isinstance(error, StorageFailed)
        return isinstance(error, ServiceError | UploadLocked) or not isinstance(error, Exception)

    def _remove(self, claim: _Claim, arrived: DirectObject, error: BaseException) -> None:
        """It is no upload, and is none any more."""
        try:
            arrived.discard()
        finally:
            if self._kept is not None:
                self._kept.refuse(claim.id, error)

    def _check_open(self, claim: _Claim, arrived: DirectObject) -> None:
        """Raises where somebody else has ended it meanwhile. Then what this one has is of no use to anybody."""
        try:
            self._check_unfinished(claim)
        except UploadError as error:
            if self._kept is not None and not isinstance(error, LedgerFailed):
                try:
                    arrived.discard()
                except Exception as also:
                    error.add_note(f"and what has arrived could not be removed: {also!r}")
            raise

    def _accepting(self, kept: Remembered, file: UploadedFile) -> Steps[None]:
        """Where the ledger does not answer the file stays where its record says, for another call or for a sweep; of a
        key of the application's own it says nothing."""
        try:
            yield Accept(bound(kept.register.accept, [file]), bound(kept.register.aaccept, [file]))
        except Exception as error:
            if isinstance(error, SenderError | RecordError) or self._rule.key_maker is not None:
                yield from undone(bound(_take_back, file), error)
            raise

    def _settle(self, kept: Remembered, file: UploadedFile, claim: _Claim, parts_id: str | None) -> None:
        """It is accepted, whatever fails now: what is left over is swept."""
        with suppress(ServiceError):
            kept.settle(file)
            self._taking.abandon(claim.upload, parts_id)

    def _check_unfinished(self, claim: _Claim) -> None:
        """A form may be sent again for as long as it is signed, and with it another type, which makes another key."""
        if self._kept is not None:
            self._kept.find(claim.id, self._clock())
        elif self._is_finished(claim):
            storage = self._rule.storage.name
            raise ObjectExists("the upload is finished already", storage=storage, key=claim.key)

    def _is_finished(self, claim: _Claim) -> bool:
        storage = self._rule.storage
        if self._rule.key_maker is not None or not isinstance(storage, ListsObjects):
            return False
        return next(iter(storage.list(claim.key)), None) is not None

    def _arrived(self, claim: _Claim) -> DirectObject:
        try:
            return self._taking.arrived(claim.upload)
        except StorageFailed:
            self._check_unfinished(claim)  # somebody else was faster
            raise
        except ObjectMissing:
            self._check_unfinished(claim)
            text = "nothing has arrived of this upload, or nothing is left of it"
            raise ObjectMissing(text, storage=self._rule.storage.name, field=self._field) from None

    def _incoming(self, claim: _Claim, arrived: DirectObject) -> IncomingFile:
        self._check_size(claim, arrived.size)
        with arrived.open() as opened:
            head = opened.read(HEAD_SIZE)
        content_type = resolve(
            head,
            field=self._field,
            filename=claim.filename,
            declared_type=claim.declared_type,
            accept=self._rule.accept,
        )
        return IncomingFile(
            id=claim.id,
            field=self._field,
            filename=shown_name(claim.filename, content_type),
            client_filename=claim.filename,
            content_type=content_type,
            declared_type=claim.declared_type,
            head=head,
        )

    def _check_size(self, claim: _Claim, size: int) -> None:
        check_size(size, self._rule, self._spec.limits, field=self._field)
        if size > claim.max_size:
            raise exceeded("max_size", claim.max_size, size, self._field)
        if size < claim.min_size:
            raise TruncatedForm(f"{size} bytes of the file have arrived, and {claim.min_size} were announced")

    def _checked(self, claim: _Claim, arrived: DirectObject, incoming: IncomingFile) -> str | None:
        """Lets the checks of the rule see the file; returns its digest where all of it was read, or one is wanted."""
        looked_at = end_size(incoming, self._rule.accept)
        if looked_at:
            with arrived.open() as opened:
                opened.seek(max(0, arrived.size - looked_at))
                check_ending(incoming, opened.read(), arrived.size)
        with ExitStack() as held:
            watches = begin_watches(self._rule, incoming, held)
            digest = hashlib.sha256() if self._digest or watches or claim.sha256 is not None else None
            if digest is not None:
                with arrived.open() as opened:
                    while block := opened.read(_BLOCK_SIZE):
                        digest.update(block)
                        for watch in watches:
                            watch.feed(block)
            if digest is not None and claim.sha256 not in (None, digest.hexdigest()):
                raise ChecksumMismatch(algorithm="sha256")
            for watch in watches:
                watch.end()
        for check in self._rule.staged_checks:
            with arrived.open() as opened:
                check.examine(incoming, opened)
        return None if digest is None else digest.hexdigest()


def as_parts(size: int) -> Sequence[StoredPart]:
    """What is one object by now, as parts that nobody need send any more: as many as it may have had."""
    number = max(1, -(-size // MIN_PART_SIZE))
    return [StoredPart(number=each, size=MIN_PART_SIZE, etag='"completed"') for each in range(1, number + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What was agreed with a client: which upload it is, what the file is called, and how large it may be.

    `key` is the beginning of the storage key: with the extension of the detected type it is the whole. So a second
    upload under one token finds its place taken.
    """

    upload: str
    id: str
    key: str
    filename: str
    declared_type: str | None
    min_size: int
    max_size: int
    sha256: str | None
    expires: float


def _is_count(number: object) -> bool:
    """Whether a number that comes from JSON is one of bytes, or of parts."""
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _may_be_sha256(text: object) -> bool:
    """Whether what comes from JSON is a digest, or none was said."""
    return text is None or (isinstance(text, str) and re.fullmatch(r"[0-9a-fA-F]{64}", text) is not None)


def _remembered(register: Register, storage: Storage) -> Remembered:
    from .remembered import Remembered  # needs the extra `records`

    return Remembered(register, storage)


def _only_file(spec: Spec[Any]) -> tuple[str, FileRule]:
    named = named_file(spec.form)
    if named is not None and named[1].max_count == 1 and not spec.form.texts and spec.typed is None:
        return named
    raise TypeError("DirectUploads takes a spec of one file: upload.single('video', ...)")


def _direct_storage(storage: Storage) -> AcceptsDirectUploads:
    """Raises `TypeError` for one to which no client can send."""
    if not isinstance(storage, AcceptsDirectUploads):
        raise TypeError(f"storage {storage.name!r} takes nothing from clients themselves; S3Storage does")
    return storage


def _take_back(file: UploadedFile, error: BaseException) -> None:
    """It was stored, and nobody is given it."""
    take_back(Submission(files=(file,)), error)


def _most(allowed: int | None) -> int:
    return _LARGEST if allowed is None else allowed
