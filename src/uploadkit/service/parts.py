"""What a service is made of, from its settings: the same pieces that every application has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, cast

from starlette.requests import HTTPConnection, Request

from ..content.scanning import ClamAV
from ..content.variants import DEFAULT_VARIANTS, ORIGINAL
from ..intake.spec import Spec
from ..policy.accept import AUDIO, DOCUMENTS, IMAGES, VIDEOS, AcceptRule
from ..policy.limits import Limits, parse_size
from ..processing.bullmq import BullMQQueue
from ..processing.pipeline import EVERY, Pipeline
from ..processing.processors import ArchiveGuard, Metadata, Scan, Variants
from ..processing.valkey import ValkeyServer
from ..records.ledger import Ledger
from ..records.record import Quota
from ..resumable.serving import Server
from ..resumable.uploads import ResumableUploads
from ..storage.contract import AcceptsDirectUploads, Storage
from ..storage.disk import STALE_SECONDS, DiskStorage
from ..uploader import Uploader
from ..uploads import Submission, UploadedFile
from .callers import Authenticate, Callers
from .hearing import Watch, tell_others
from .links import Links
from .operating import Numbers, Readiness
from .problems import not_found
from .settings import Settings, named
from .turns import Turns
from .words import said

__all__ = ["Parts", "parts_of", "pipeline_of"]

ARCHIVES: Final = ("application/zip", "application/gzip", "application/x-tar")

USUAL: Final[AcceptRule] = [IMAGES, DOCUMENTS, VIDEOS, AUDIO, *ARCHIVES]
"""What is taken where nothing else is said: nothing that a browser, or a system, runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Of one process. `form` is what `POST /uploads` takes, `direct` what may go straight into the storage, None where
    that takes nothing from clients; each request has its own register (`Owned`)."""

    settings: Settings
    pipeline: Pipeline
    form: Spec[Submission]
    direct: Spec[UploadedFile] | None
    quota: Quota | None
    callers: Callers
    turns: Turns
    links: Links
    watch: Watch
    numbers: Numbers
    readiness: Readiness
    resumable: Server

    @classmethod
    def of(
        cls, settings: Settings, *, pipeline: Pipeline | None = None, authenticate: Authenticate | None = None
    ) -> Parts:
        """Connects to nothing yet. `pipeline` and `authenticate` take the place of those in the settings."""
        pipeline = pipeline_of(settings) if pipeline is None else pipeline
        if authenticate is None and settings.authenticate is not None:
            authenticate = named(settings.authenticate, "authenticate")
        turns = Turns(settings, redis_url=_counts_at(settings, pipeline))
        form, quota = _form(settings, pipeline), _quota(settings)
        return cls(
            settings=settings,
            pipeline=pipeline,
            form=form,
            direct=_direct(settings, pipeline),
            quota=quota,
            callers=Callers(settings, turns=turns, authenticate=authenticate),
            turns=turns,
            links=Links.of(settings),
            watch=Watch(
                pipeline,
                redis_url=settings.redis_url if pipeline.queue is None else redis_url_of(settings),
                streams=settings.streams,
                streams_at_once=settings.streams_at_once,
            ),
            numbers=Numbers(pipeline),
            readiness=Readiness(pipeline),
            resumable=_resumable(settings, form, quota),
        )


def parts_of(connection: HTTPConnection | Request) -> Parts:
    """Those of the application that a request came to."""
    return cast(Parts, connection.app.state.parts)


def pipeline_of(settings: Settings) -> Pipeline:
    """What happens to uploads of the service, in its web processes and its workers alike."""
    staging, files, quarantine = storages_of(settings)
    queue = BullMQQueue(settings.redis_url, data=settings.data)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    ledger = Ledger(settings.database_url or f"sqlite:///{(settings.data / 'ledger.db').absolute()}")
    pipeline = Pipeline(ledger, queue=queue, storage=files, storages=[staging])
    if settings.scanner is not None:
        pipeline.process(EVERY, Scan(ClamAV(settings.scanner), quarantine=quarantine))
    pipeline.process(list(ARCHIVES), ArchiveGuard())
    pipeline.process(IMAGES, Variants(DEFAULT_VARIANTS, original=ORIGINAL))
    pipeline.process([IMAGES, DOCUMENTS, VIDEOS, AUDIO], Metadata())
    if settings.steps is not None:
        named(settings.steps, "steps")(pipeline)
    tell_others(pipeline, redis_url_of(settings))
    return pipeline


def storages_of(settings: Settings) -> tuple[Storage, Storage, Storage]:
    """Where uploads arrive, where they stay, and where infected ones are kept. On S3 all machines share all three."""
    where = settings.storage or str(settings.data.absolute())
    # What is still to come must not be swept: what was given up is found by the ledger long before.
    stale_seconds = max(settings.direct_seconds, settings.resume_seconds) + STALE_SECONDS
    if "://" not in where:
        disk = partial(DiskStorage, durable=True, stale_seconds=stale_seconds)
        return _three(lambda name: disk(Path(where, name), name=name))
    from ..storage.s3 import S3Storage  # needs the extra `s3`

    root, options = where.rstrip("/"), settings.storage_options
    return _three(lambda name: S3Storage(f"{root}/{name}", options=options, stale_seconds=stale_seconds, name=name))


def _three(make: Callable[[str], Storage]) -> tuple[Storage, Storage, Storage]:
    try:
        return make("staging"), make("files"), make("quarantine")
    except TypeError as error:  # of options alone
        raise ValueError(f"storage_options: {error}") from error
    except ValueError as error:
        raise ValueError(f"storage: {error}") from error


def redis_url_of(settings: Settings) -> str:
    """Where facts are told to other processes: also the service's own Valkey is reached there."""
    return settings.redis_url or _own_redis(settings.data / "queue")


@cache
def _own_redis(folder: Path) -> str:
    """Once for a process: where the path is too long for a socket it holds the folder open."""
    return ValkeyServer(folder).url()


def _counts_at(settings: Settings, pipeline: Pipeline) -> str | None:
    """Where requests are counted for several processes. One alone counts in its memory: a Valkey of the service's own
    writes each number to the disk."""
    if pipeline.queue is None or settings.workers == 1:
        return settings.redis_url
    return redis_url_of(settings)


def _form(settings: Settings, pipeline: Pipeline) -> Spec[Submission]:
    staging = pipeline.storages["staging"]
    limits = Limits(
        body_size=settings.max_request_size,
        file_size=settings.max_file_size,
        files_size=settings.max_request_size,
        files=settings.max_files,
        parts=settings.max_files + 100,
        fields=100,
        idle_seconds=settings.idle_seconds,
        min_rate=settings.min_rate,
    )
    return Uploader(staging, limits=limits, pipeline=pipeline).any(min_count=1, accept=_accept(settings))


def _direct(settings: Settings, pipeline: Pipeline) -> Spec[UploadedFile] | None:
    """One file, which is no larger than one of a request may be."""
    staging = pipeline.storages["staging"]
    if not isinstance(staging, AcceptsDirectUploads):
        return None
    size = min(parse_size(settings.max_file_size), parse_size(settings.max_request_size))
    return Uploader(staging, pipeline=pipeline).single("file", accept=_accept(settings), max_size=size)


def _accept(settings: Settings) -> AcceptRule:
    return USUAL if settings.accept is None else list(settings.accept)


def _resumable(settings: Settings, form: Spec[Submission], quota: Quota | None) -> Server:
    uploads = ResumableUploads(
        form,
        expires_seconds=int(settings.resume_seconds),
        quota=quota,
        keep_seconds=settings.expire_seconds,
        words=said,
    )
    return Server(uploads, shown=lambda error: not_found() if error.status == 404 else error)


def _quota(settings: Settings) -> Quota | None:
    if settings.quota_files is None and settings.quota_size is None:
        return None
    size = None if settings.quota_size is None else parse_size(settings.quota_size)
    return Quota(files=settings.quota_files, bytes=size)
