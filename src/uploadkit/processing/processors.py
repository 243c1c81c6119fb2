"""What is often done to an upload: checks, a scan, smaller pictures, metadata, and the way to where it stays.

Each is a value: it has its rules, a `name`, and a `digest` of the rules, and two with the same name and digest are
equal. `process` may be killed at any point and made again, by others at the same time too: what it makes is announced
before it is made, and the upload is in a place that its record names at every moment.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Literal, TypeAlias, Unpack

from ..content.archives import ArchiveCheck, ArchiveRules
from ..content.documents import read_document
from ..content.inspection import DOCUMENTS
from ..content.media import media_info
from ..content.scanning import ClamAV, Outcome
from ..content.scanning import Scan as Scanned
from ..content.sources import opened_source
from ..errors import CheckFailed, FileRefused, ObjectMissing, quoted
from ..events.facts import FileScanned
from ..policy.filenames import random_key
from ..policy.filters import IncomingFile, StagedCheck
from ..policy.signatures import HEAD_SIZE
from ..promotion import copy_file, is_itself
from ..records.record import UploadRecord, concerning
from ..storage.contract import Storage
from ..storage.threads import in_own_thread, in_thread
from ..uploads import UploadedFile
from .processor import JobContext, Quarantined
from .queue import GivenUp

if TYPE_CHECKING:  # which need Pillow
    from ..content.sandbox import Sandbox
    from ..content.variants import Variant, VariantSpec

__all__ = [
    "ArchiveGuard",
    "FunctionProcessor",
    "Metadata",
    "ProcessorFunction",
    "Promote",
    "Scan",
    "Validate",
    "Variants",
    "function_processor",
]


class _Named:
    """Known by its name, and by a digest of its rules, which are what JSON holds.

    `recipe` is counted up when the same rules come to something else.
    """

    recipe: ClassVar[int] = 1

    def __init__(self, name: str, rules: object) -> None:
        if not _is_name(name):
            raise ValueError(f"a processor's name has 1 to 64 of A-Z, a-z, 0-9, '_', '-' and '.': {name!r}")
        written = json.dumps([type(self).__name__, self.recipe, rules], sort_keys=True)
        self._name = name
        self._digest = hashlib.sha256(written.encode()).hexdigest()[:32]

    @property
    def name(self) -> str:
        """Names it within a pipeline."""
        return self._name

    @property
    def digest(self) -> str:
        """Of its rules: 32 hexadecimal digits, the same in every process."""
        return self._digest

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Named):
            return (type(self), self._name, self._digest) == (type(other), other._name, other._digest)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._name, self._digest))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} {self._digest}>"


_is_name = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}").fullmatch


# Checks


class Validate(_Named):
    """Has checks read the stored upload: `Validate(ImageCheck(max_pixels=25_000_000))`.

    They are `StagedCheck`s, such as `ImageCheck`, `DocumentCheck`, `ArchiveCheck` or your own, in this order. What one
    refuses is rejected, with its `FileRefused` as the reason. An upload that came through them on its way in needs
    them no more: this is for those that are costly, and for rules that came later.

    The digest is that of the checks' `repr`. One that shows an address in memory, as objects do that have none of
    their own, is a `TypeError`, unless `version` is given: it stands for the rules, and is counted up when they change.
    """

    def __init__(self, *checks: StagedCheck, name: str = "validate", version: int | str | None = None) -> None:
        if not checks:
            raise ValueError("Validate needs a check, as in Validate(ImageCheck())")
        for check in checks:
            if isinstance(check, type) or not isinstance(check, StagedCheck):
                raise TypeError(f"{check!r} is no check of a staged file: it has no examine(file, staged)")
        super().__init__(name, [version, [_written(check, version) for check in checks]])
        self._checks = checks

    def process(self, job: JobContext) -> None:
        """Raises `FileRefused`, and what the checks and the storage raise."""
        with opened_source(job.file) as staged:
            incoming = _incoming(job.record, staged)
            for number, check in enumerate(self._checks, 1):
                staged.seek(0)
                check.examine(incoming, staged)
                job.progress(100 * number // len(self._checks))


def _written(check: StagedCheck, version: int | str | None) -> str:
    written = repr(check)
    if _has_address(written) is None:
        return written
    if version is None:
        kind = type(check).__name__
        raise TypeError(f"{kind} has no repr that tells its rules: give it one, or Validate(..., version=1)")
    return f"{type(check).__module__}.{type(check).__qualname__}"


_has_address = re.compile(r" at 0x[0-9A-Fa-f]+").search


class ArchiveGuard(_Named):
    """Looks through a whole archive, by the rules of `ArchiveCheck`: `ArchiveGuard(depth=2, unpacked_size="1 GB")`.

    What breaks them is rejected. Results: `entries`, `size` in bytes and `depth`, as it would unpack; of a file that
    is no archive each is 0.
    """

    def __init__(self, **rules: Unpack[ArchiveRules]) -> None:
        self._check = ArchiveCheck(**rules)
        super().__init__("archive", repr(self._check))

    def process(self, job: JobContext) -> None:
        """Raises `FileRefused`, and what the storage raises."""
        with opened_source(job.file) as staged:
            job.add(asdict(self._check.count(_incoming(job.record, staged), staged)))
        job.progress(100)


class Scan(_Named):
    """Has a clamd scan the stored upload: `Scan(ClamAV("unix:///run/clamav/clamd.ctl"))`.

    - Clean: `FileScanned` is told, and the results say so: `outcome`, and `reason` where there is one.
    - Infected: the upload is quarantined. With `quarantine` its bytes go into that storage, under a random key without
      an extension, and that is where its record then says that it lies; without it they are removed.
    - Unscannable because the daemon was the reason: an attempt that failed, and is made again.
    - Unscannable because of the file, which is too large or encrypted, for example: "fail" has the upload fail, without
      another attempt, so that somebody looks at it; "refuse" has it rejected; "accept" goes on, and tells of it as of a
      clean one.

    Of `clamav` the address, the times and `max_size` count; its own `unscannable`, `quarantine` and `on_scan` do not.
    """

    def __init__(
        self,
        clamav: ClamAV,
        *,
        quarantine: Storage | None = None,
        unscannable: Literal["fail", "refuse", "accept"] = "fail",
    ) -> None:
        if not isinstance(clamav, ClamAV):
            raise TypeError(f"{clamav!r} is no scanner: write Scan(ClamAV(address))")
        if unscannable not in ("fail", "refuse", "accept"):
            raise ValueError(f'unscannable is "fail", "refuse" or "accept", not {unscannable!r}')
        if quarantine is not None:
            _check_storage(quarantine)
        super().__init__("scan", [clamav.max_size, None if quarantine is None else quarantine.name, unscannable])
        self._clamav = clamav
        self._quarantine = quarantine
        self._unscannable = unscannable

    @property
    def storages(self) -> Sequence[Storage]:
        """The quarantine, where there is one."""
        return () if self._quarantine is None else (self._quarantine,)

    def process(self, job: JobContext) -> None:
        """Raises `Quarantined`, `CheckFailed`, `FileRefused`, `GivenUp`, and what the storages raise."""
        with opened_source(job.file) as file:
            scan = self._clamav.scan(file)
        if scan.outcome is Outcome.INFECTED:
            raise Quarantined(scan.signature, moved=self._moved(job))
        if scan.outcome is Outcome.UNSCANNABLE:
            self._judge(job, scan)
        record, outcome = job.record, scan.outcome.value
        job.add({"outcome": outcome} | ({} if scan.reason is None else {"reason": scan.reason}))
        job.facts.append(FileScanned(**concerning(record), outcome=outcome, reason=scan.reason))
        job.progress(100)

    def _judge(self, job: JobContext, scan: Scanned) -> None:
        """Of one that is unscannable. Returns where that is accepted."""
        which, reason = f"the file in field {quoted(job.record.field)}", scan.reason or ""
        if scan.retryable:
            text = f"{which} could not be scanned for viruses: {reason}"
            raise CheckFailed(text, field=job.record.field, filter="ClamAV", reason=reason)
        if self._unscannable == "fail":
            raise GivenUp(f"{which} cannot be scanned for viruses: {reason}")
        if self._unscannable == "refuse":
            text = f"{which} cannot be scanned for viruses"
            raise FileRefused(text, field=job.record.field, filter="ClamAV", detected=job.record.content_type)

    def _moved(self, job: JobContext) -> tuple[str, str] | None:
        """A copy in the quarantine. It is of this attempt alone until the record says that the upload lies there."""
        if self._quarantine is None:
            return None
        key = random_key("")
        job.intend((self._quarantine, key))
        job.intend((job.file.storage, job.file.key), shared=True)
        copy_file(job.file, to=self._quarantine, key=key)
        return self._quarantine.name, key


# What is made


class Variants(_Named):
    """Makes smaller pictures of a picture: `Variants(thumbnail=cover(200, 200), large=inside(1920, 1080))`.

    `Variants()` makes `DEFAULT_VARIANTS`; another mapping comes first, and more by name. They go into the storage in
    which what is made of uploads stays, under random keys, as `make_variants` makes them, which says what `formats`,
    `max_pixels`, `max_frames` and `sandbox` are: None is its own. All of them become visible, or none.

    Results: by its name what each is, `key`, `storage`, `size` in bytes, `content_type`, `width`, `height`, `frames`
    and `digest`, that of its specification. A picture that cannot be decoded, or is too large to be, is rejected,
    though it was accepted before: where that is to be known at once, have an `ImageCheck` look at it as it comes in.
    Progress is 10 at the beginning, 20 when the picture is at hand, 60 when all variants are drawn, 80 when they are
    stored, 90 when they are visible.
    """

    def __init__(
        self,
        variants: Mapping[str, VariantSpec] | None = None,
        /,
        *,
        name: str = "variants",
        formats: Sequence[str] | None = None,
        max_pixels: int | None = None,
        max_frames: int | None = None,
        sandbox: Sandbox | None = None,
        **specs: VariantSpec,
    ) -> None:
        from ..content import images
        from ..content.variants import DEFAULT_VARIANTS, check_variants

        made = {**(variants or {}), **specs}
        self._specs: Mapping[str, VariantSpec] = made or dict(DEFAULT_VARIANTS)
        check_variants(self._specs)
        self._formats = images.known_formats(images.WEB_FORMATS if formats is None else formats)
        self._max_pixels = images.MAX_PIXELS if max_pixels is None else max_pixels
        self._max_frames = images.MAX_FRAMES if max_frames is None else max_frames
        self._sandbox = sandbox
        digests = {variant: spec.digest for variant, spec in self._specs.items()}
        super().__init__(name, [digests, sorted(self._formats), self._max_pixels, self._max_frames])

    def process(self, job: JobContext) -> None:
        """Raises `FileRefused`, `Overloaded`, and what the storages raise."""
        from ..content.variants import Moment, make_announced

        percents = {Moment.OPENED: 20, Moment.RENDERED: 60, Moment.STAGED: 80}
        job.progress(10)
        made = make_announced(
            job.file,
            self._specs,
            into=job.storage,
            key=lambda name, extension: random_key(extension),
            formats=self._formats,
            max_pixels=self._max_pixels,
            max_frames=self._max_frames,
            sandbox=self._sandbox,
            announce=lambda keys: job.intend(*((job.storage, key) for key in keys)),
            tell=lambda moment: job.progress(percents[moment], moment.value),
        )
        job.progress(90)
        job.add({name: _told(variant) for name, variant in made.items()})
        job.progress(100)


def _told(variant: Variant) -> dict[str, Any]:
    names = ("key", "size", "content_type", "width", "height", "frames", "digest")
    return {name: getattr(variant, name) for name in names} | {"storage": variant.storage.name}


class Metadata(_Named):
    """Tells what is known of an upload by its type: of a picture what `image_info` says, of audio and video
    `media_info`, of a document `read_document`. Of another file it tells nothing.

    Results are the attributes of what these return: moments as in ISO 8601, the flags of a document as sorted names.
    Whatever the bytes are, nothing is refused.
    """

    def __init__(self) -> None:
        super().__init__("metadata", None)

    def process(self, job: JobContext) -> None:
        """Raises `Overloaded`, and what the storage raises."""
        job.add({name: _plain(value) for name, value in _known(job.file).items()})
        job.progress(100)


def _known(file: UploadedFile) -> dict[str, Any]:
    if file.content_type.startswith("image/"):
        from ..content.images import image_info  # raises where Pillow is not there

        return asdict(image_info(file))
    if file.content_type.startswith(("audio/", "video/")):
        return asdict(media_info(file))
    return asdict(read_document(file)) if file.content_type in DOCUMENTS else {}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(map(_plain, value), key=str)
    return value


# Where it stays


class Promote(_Named):
    """Moves an upload into the storage in which it stays: `Promote(S3Storage("s3://media"))`.

    It is copied, by the storages themselves where they can, and compared with what was uploaded, in size and digest.
    Then its record says that it lies there, and the old object is removed. At every moment it lies where its record
    says. An upload that lies in `storage` already, under whatever key, stays as it is.

    Its key stays the same where the library has made it. One that the application has chosen might be another upload's
    in the other storage: there it is in a folder of the upload's id. `key` chooses another one from the record; it
    contains the upload's id, so that it is no other upload's, and else the attempt fails by `ValueError`. Where an
    attempt was broken off, by the death of its worker for example, the next one has a random part in the key: what the
    other may still remove is not what this one has made.
    """

    def __init__(self, storage: Storage, *, key: Callable[[UploadRecord], str] | None = None) -> None:
        _check_storage(storage)
        _check_key_maker(key)
        super().__init__("promote", storage.name)
        self._storage = storage
        self._key = key

    @property
    def storages(self) -> Sequence[Storage]:
        """Where uploads are moved to."""
        return (self._storage,)

    def process(self, job: JobContext) -> None:
        """Raises `UploadChanged` where another attempt has taken over, and what the storages raise."""
        file, to = job.file, self._storage
        if file.storage.name == to.name:
            return
        key = self._key_of(job.record, file.key)
        key = key if job.is_first else _varied(key)
        job.progress(10)
        if self._is_itself(job, file, key):
            job.move(to, key)
            return
        new, old = (to, key), (file.storage, file.key)
        job.intend(new)
        job.intend(old, shared=True)
        copy_file(file, to=to, key=key)
        job.progress(60)
        job.move(to, key)
        job.progress(90)
        file.storage.delete(file.key)
        job.forget(new, old)
        job.progress(100)

    def _key_of(self, record: UploadRecord, key: str) -> str:
        if self._key is None:
            return key if _is_random(key) or _names(key, record) else f"{record.id}/{key}"
        chosen = self._key(record)
        if not isinstance(chosen, str):
            raise TypeError(f"key= of Promote returned {type(chosen).__name__}, and a key is a str")
        if not _names(chosen, record):
            raise ValueError(f"key= of Promote returned {chosen!r}, which does not contain the upload's id")
        return chosen

    def _is_itself(self, job: JobContext, file: UploadedFile, key: str) -> bool:
        """Whether both storages have one root. Then there is nothing to copy, and no old object to remove."""
        try:
            self._storage.stat(key)
        except ObjectMissing:
            return False
        probes: list[tuple[Storage, str]] = []

        def announce(storage: Storage, probe: str) -> None:
            probes.append((storage, probe))
            job.intend(*probes)

        itself = is_itself(file, self._storage, key, announce=announce)
        job.forget(*probes)
        return itself


def _check_storage(storage: object) -> None:
    if isinstance(storage, type) or not hasattr(storage, "may_block"):
        raise TypeError(f"{storage!r} is no storage; write DiskStorage(...) or another one")


def _check_key_maker(key: object) -> None:
    if key is not None and (not callable(key) or inspect.iscoroutinefunction(key)):
        raise TypeError(f"{key!r} is no plain function: key= is called with the record")


def _varied(key: str) -> str:
    """Another key beside it, with the same extension, that no other attempt has."""
    folder, slash, name = key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if _is_random(name):
        return f"{folder}{slash}{random_key(name[32:])}"
    return f"{folder}{slash}{stem}-{random_key('')}.{extension}" if stem and dot else f"{key}-{random_key('')}"


def _names(key: str, record: UploadRecord) -> bool:
    """Whether the key has the upload's id in it, and not as a part of another word."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(record.id)}(?![A-Za-z0-9])", key) is not None


# As `random_key` makes them, in a folder or not.
_is_random = re.compile(r"(?:.*/)?[0-9a-f]{32}(?:\.[A-Za-z0-9]+)*").fullmatch


# The user's own

ProcessorFunction: TypeAlias = Callable[
    [UploadRecord, JobContext], "Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None"
]
"""What an application does to an upload. It may return results, which are added."""


class FunctionProcessor(_Named):
    """A function as a processor: `function_processor` makes it. `is_async` says how it is called."""

    def __init__(self, function: ProcessorFunction, *, name: str, version: int | str) -> None:
        super().__init__(name, version)
        _check_function(function, name)
        self.function: Final[ProcessorFunction] = function
        self.is_async: Final[bool] = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  of an object that can be called
        )

    def process(self, job: JobContext) -> None:
        """Blocks until it is done. An async function gets an event loop of its own, so not from within one. Raises
        what the function raises, and `TypeError` where it returns what are no results."""
        if self.is_async:
            asyncio.run(self.aprocess(job))
        else:
            self._add(job, self.function(job.record, job))

    async def aprocess(self, job: JobContext) -> None:
        """In this event loop, where it is async, and else in a thread."""
        if not self.is_async:
            await in_own_thread(self.process, job)
            return
        returned: Any = self.function(job.record, job)
        await in_thread(self._add, job, await returned)

    def _add(self, job: JobContext, returned: object) -> None:
        if returned is None:
            return
        if inspect.iscoroutine(returned):
            returned.close()
        if not isinstance(returned, Mapping):
            kind = type(returned).__name__
            raise TypeError(f"processor {self.name!r} returned {kind}, and returns a mapping of results, or None")
        job.add(returned)


def function_processor(function: ProcessorFunction, *, name: str, version: int | str = 1) -> FunctionProcessor:
    """A processor that calls `function(record, job)`, plain or async. A mapping that it returns is added to the
    results.

    The code of a function has no digest that lasts: count `version` up when it makes something else, and what was made
    before is stale. Raises `TypeError` where the function cannot be called so, `ValueError` for a name that is none.
    """
    return FunctionProcessor(function, name=name, version=version)


def _check_function(function: object, name: str) -> None:
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"processor {name!r} is a function, and not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"processor {name!r} yields, and a processor returns: call job.progress and job.add")
    try:
        signature = inspect.signature(function)
    except ValueError:  # one that is written in C may have none
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(f"processor {name!r} is called as (record, job), and takes {signature}: {error}") from None


# How checks see the upload


def _incoming(record: UploadRecord, file: BinaryIO) -> IncomingFile:
    """As a check would have seen it on its way in, but for the text values that came before it."""
    file.seek(0)
    return IncomingFile(
        id=record.id,
        field=record.field,
        filename=record.filename,
        client_filename=record.client_filename,
        content_type=record.content_type,
        declared_type=record.declared_type,
        head=file.read(HEAD_SIZE),
    )
