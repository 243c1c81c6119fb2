"""What a spec says of the one file of an upload in several requests: what may be announced, how much may come, and how
the plan of `intake` is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..errors import FieldMissing, InvalidForm, LimitExceeded, quoted
from ..intake.plan import plan
from ..intake.spec import Received, Spec
from ..intake.steps import Steps
from ..multipart.events import PartBegin
from ..multipart.headers import check_names, declared_type
from ..policy.accept import foresee
from ..policy.accounting import exceeded
from ..policy.fields import FileRule, FormRules
from ..policy.filters import IncomingFile
from ..policy.rules import largest
from ..processing.pipeline import Pipeline
from ..records.ledger import Said
from ..storage.contract import KeepsPartial, Storage
from ..uploads import FieldValues, UploadedFile
from .arriving import Arriving, OneFile
from .onefile import as_in_a_form, check_size, named_file
from .work import Announced, Work

__all__ = ["Policy", "keeper"]

UNNAMED = "file"
"""What a file is called whose client did not say: tuspy does not by itself."""


class Policy:
    """The rules of the one file of `spec`. Its bytes wait in `staging`, or where it is None in the storage of the spec.

    `words` says what the ledger is told of an upload by its text values, and may refuse them.
    """

    def __init__(
        self,
        spec: Spec[Any],
        pipeline: Pipeline,
        *,
        staging: Storage | None,
        words: Callable[[FieldValues], Said] | None,
    ) -> None:
        name, rule = _only_file(spec.form)
        self.field: str = name
        # Where bytes wait in the storage in which they stay, its checks need no other one: what has arrived is read.
        waits_there = staging is None and isinstance(rule.storage, KeepsPartial)
        self.rule: FileRule = replace(rule, staging=None if waits_there else staging or rule.staging)
        self.spec: Spec[Any] = spec
        self._pipeline = pipeline
        self._words = words
        keeper(self.storage)

    @property
    def storage(self) -> Storage:
        """Where bytes wait."""
        return self.rule.lands_in

    @property
    def max_size(self) -> int | None:
        """How many bytes an upload may have, None where nothing says so."""
        sizes = [largest(self.rule, self.spec.limits), self.spec.limits.files_size]
        return min((size for size in sizes if size is not None), default=None)

    def said(self, fields: FieldValues) -> Said:
        """What the ledger is told of an upload beside its file."""
        return Said() if self._words is None else self._words(fields)

    def checked(self, announced: Announced) -> Announced:
        """What a client announces, where no rule is against it. Of a piece nothing is known but its length.

        Raises what no bytes could mend: `LimitExceeded`, `FileRefused`, and what is wrong with the text values. All of
        those are here: what is missing will not come.
        """
        if announced.length is not None:
            self.check_length(announced.length, may_grow=announced.is_piece)
        if announced.is_piece:
            return replace(announced, filename="", declared_type=None, fields=[])
        filename = as_in_a_form(announced.filename)
        for name in (self.field, *(name for name, _ in announced.fields)):
            check_names(PartBegin(name=name, filename=filename), self.spec.limits)
        declared = declared_type(announced.declared_type) if announced.declared_type else None
        foresee(field=self.field, filename=filename or UNNAMED, declared_type=declared, accept=self.rule.accept)
        checked = replace(announced, filename=filename, declared_type=declared)
        self._check_fields(checked)
        return checked

    def check_length(self, length: int, *, may_grow: bool = False) -> None:
        """Raises `LimitExceeded` where an upload may not be so long, and `FileRefused` where it may not be so short,
        and not grow either."""
        check_size(length, self.rule, self.spec.limits, field=self.field, may_grow=may_grow)
        most = self.spec.limits.files_size
        if most is not None and length > most:
            raise exceeded("files_size", most, length, self.field)

    def check_room(self, length: int | None, seen: int) -> None:
        """Raises `LimitExceeded` where so many bytes are more than an upload of this `length` may have."""
        if length is None:
            self.check_length(seen, may_grow=True)
        elif seen > length:
            text = f"the upload was announced with {length} bytes, and more are sent"
            raise LimitExceeded(text, limit="upload_length", allowed=length, seen=seen, field=self.field)

    def plan(self, work: Work, replayed: int) -> Steps[Received[Any]]:
        """The plan that judges an upload by its bytes, of which the first `replayed` are there already."""
        arriving = Arriving(self.storage, work.partial, replayed)
        staging = None if work.is_published else self.rule.staging
        rule = replace(self.rule, staging=staging, arriving=arriving)
        form, told = self.spec.form, work.row.told
        spec = replace(
            self.spec,
            form=replace(form, any_file=rule) if form.any_file is not None else replace(form, files={self.field: rule}),
            limits=replace(self.spec.limits, body_size=None),  # it is that of one request
            digests=self.spec.digests or work.sha256 is not None,
            register=_Known(self._pipeline, work),
            new_key=_Names(work.record.id, told["key"]),
        )
        file = PartBegin(name=self.field, filename=told["filename"] or UNNAMED, content_type=told["declared_type"])
        return plan(spec, None, parser=OneFile(file, [(name, value) for name, value in told["fields"]]))

    def _check_fields(self, announced: Announced) -> None:
        file = PartBegin(name=self.field, filename=announced.filename or UNNAMED)
        steps = plan(replace(self.spec, register=None), None, parser=OneFile(file, announced.fields))
        next(steps)
        steps.send(b"")  # the head of the form alone: nothing is opened
        steps.close()
        names = {name for name, _ in announced.fields}
        for name, text in self.spec.form.texts.items():
            if text.required and name not in names:
                raise FieldMissing(f"field {quoted(name)} is missing", field=name)
        if self.spec.typed is not None and (errors := self.spec.typed.errors(announced.fields, ended=True)):
            raise InvalidForm(errors)
        self.said(FieldValues(list(announced.fields)))


class _Known:
    """The register of an upload that has a record: whoever holds its lock says what becomes of it."""

    def __init__(self, pipeline: Pipeline, work: Work) -> None:
        self._pipeline = pipeline
        self._work = work

    def knows(self, storage: Storage) -> None:
        self._pipeline.knows(storage)

    def begin(self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str) -> None:
        """What its first bytes have shown becomes known of it."""
        record = self._work.record
        if (record.filename, record.content_type, record.key) == (file.filename, file.content_type, key):
            return
        self._work.record = self._pipeline.ledger.change(
            record,
            filename=file.filename,
            content_type=file.content_type,
            storage=None if key is None else storage.name,
            key=key,
        )

    def accept(self, files: Sequence[UploadedFile]) -> None:
        self._pipeline.accept(files)

    async def aaccept(self, files: Sequence[UploadedFile]) -> None:
        await self._pipeline.aaccept(files)

    def refuse(self, uploads: Sequence[str], error: BaseException) -> None:
        return

    def delete(self, file: UploadedFile, /) -> None:
        self._pipeline.delete(file)


class _Names:
    """Gives the plan the names that it would make: the id of the upload first, its key next."""

    def __init__(self, upload: str, key: str) -> None:
        self._upload = upload
        self._key = key
        self._asked = 0

    def __call__(self, extension: str) -> str:
        self._asked += 1
        return self._key + extension if self._asked == 2 else self._upload


def _only_file(form: FormRules) -> tuple[str, FileRule]:
    """The name of the one file field, and its rule. Raises `TypeError` where there are others."""
    if form.any_file is not None and not form.files:
        return "file", form.any_file
    named = named_file(form)
    if named is not None:
        return named
    raise TypeError("a resumable upload is one file: a spec with one file field, as upload.single('video')")


def keeper(storage: Storage) -> KeepsPartial:
    """Raises `TypeError` for a storage that cannot keep what is not whole."""
    if not isinstance(storage, KeepsPartial):
        raise TypeError(
            f"storage {storage.name!r} keeps nothing that is not whole; say where bytes may wait meanwhile: "
            "ResumableUploads(..., staging=DiskStorage(...))"
        )
    return storage
