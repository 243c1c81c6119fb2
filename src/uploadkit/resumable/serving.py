"""Has a request of a resumable upload answered, in the protocol that it speaks: for the faces, blocking and not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from ..adapters.problem import log_failure
from ..adapters.sockets import Interruption
from ..errors import ClientDisconnected, UploadError, UploadLocked
from ..intake.asynchronous import Paced, adrive
from ..intake.blocking import drive
from ..intake.capacity import Capacity
from ..intake.steps import Steps
from ..policy.pace import Pace
from .ietf import PARTIAL_TYPE, Ietf
from .protocol import Answer, Request, Speaks, joined, problem
from .tus import OFFSET_TYPE, Tus
from .uploads import ResumableUploads

__all__ = ["Server"]

_LET_GO_SECONDS: Final = 1

_ASKING = Capacity(uploads=None)
"""Requests without a body wait for nobody: who comes back to an upload first asks how far it has come."""


class Server:
    """Answers for `uploads`. `allow_origins` are the origins whose pages may upload: `["https://example.org"]`, or
    `["*"]`. `shown` is what a client is told in place of an error."""

    def __init__(
        self,
        uploads: ResumableUploads,
        *,
        allow_origins: Iterable[str] = (),
        shown: Callable[[UploadError], UploadError] = lambda error: error,
    ) -> None:
        self._shown = shown
        self.uploads: ResumableUploads = uploads
        self._tus, self._ietf = Tus(uploads), Ietf(uploads)
        self._origins = frozenset(allow_origins)

    def respond(self, request: Request, chunks: Iterable[bytes], *, interruption: Interruption | None = None) -> Answer:
        """Raises `ClientDisconnected`, and what is no `UploadError`; `TypeError` where anything of the uploads is
        async. An `interruption` ends a wait of `chunks` for the client when somebody else wants the upload."""
        self.uploads.check_blocking()
        if self._is_preflight(request):
            return self._preflight(request)
        interruption = interruption or Interruption()
        body = _Interruptible(chunks, interruption)
        request = replace(request, interrupt=lambda: interruption.interrupt(_wanted()))
        speaker, place = self._speaker(request), None
        try:
            place = self._capacity(request).admit()
            answer = drive(speaker.respond(request), body)
        except ClientDisconnected:
            raise
        except UploadError as error:
            log_failure(error)
            answer = speaker.refused(request, self._shown(error))
        finally:
            if place is not None:
                place.release()
        return self._shared(answer, request.headers.get("origin"))

    async def arespond(self, request: Request, chunks: AsyncIterable[bytes]) -> Answer:
        """The async twin of `respond`."""
        if self._is_preflight(request):
            return self._preflight(request)
        loop, body = asyncio.get_running_loop(), Paced(chunks, Pace(self.uploads.spec.limits))

        def interrupt() -> None:
            loop.call_soon_threadsafe(body.interrupt, _wanted())

        request = replace(request, interrupt=interrupt)
        speaker, place = self._speaker(request), None
        try:
            place = await self._capacity(request).aadmit()
            answer = await adrive(speaker.respond(request), body, place)
        except ClientDisconnected:
            raise
        except UploadError as error:
            log_failure(error)
            answer = speaker.refused(request, self._shown(error))
        finally:
            if place is not None:
                place.release()
        return self._shared(answer, request.headers.get("origin"))

    def refused(self, error: UploadError, *, origin: str | None) -> Answer:
        """The answer where a face has raised before, or instead of, `respond`, to a request with this Origin: a page of
        another origin reads it as any other."""
        log_failure(error)
        return self._shared(problem(self._shown(error), {}), origin)

    def _speaker(self, request: Request) -> Speaks:
        """Whose request it is. Clients of tus say so by a header, but for OPTIONS, which is answered by both."""
        headers = request.headers
        if "tus-resumable" in headers:
            return self._tus
        if not _SAYS_IETF.isdisjoint(headers):
            return self._ietf
        method = request.overridden().method
        if method == "OPTIONS":
            return _Both(self._tus, self._ietf)
        is_partial = headers.get("content-type", "").partition(";")[0].strip().lower() == PARTIAL_TYPE
        return self._ietf if method in ("HEAD", "DELETE") or is_partial else self._tus

    def _capacity(self, request: Request) -> Capacity:
        return self.uploads.spec.capacity if request.may_have_body else _ASKING

    # Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol)

    def _is_preflight(self, request: Request) -> bool:
        return (
            request.method == "OPTIONS" and "access-control-request-method" in request.headers and bool(self._origins)
        )

    def _preflight(self, request: Request) -> Answer:
        allowed = {
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Allow-Headers": ", ".join(REQUEST_HEADERS),
            "Access-Control-Max-Age": "86400",
        }
        return self._shared(Answer(status=204, headers=allowed), request.headers.get("origin"))

    def _shared(self, answer: Answer, origin: str | None) -> Answer:
        """The answer with what lets a page of another origin read it."""
        if not self._origins:
            return answer
        if origin is None or not ({origin, "*"} & self._origins):
            return replace(answer, headers=joined(answer.headers, {"Vary": "Origin"}))
        shared = {
            "Access-Control-Allow-Origin": "*" if "*" in self._origins else origin,
            "Access-Control-Expose-Headers": ", ".join(ANSWER_HEADERS),
            "Vary": "Origin",
        }
        return replace(answer, headers=joined(answer.headers, shared))


_SAYS_IETF: Final = frozenset(("upload-draft-interop-version", "upload-complete", "upload-incomplete"))


class _Both:
    """Answers OPTIONS, in which nothing says what a client speaks."""

    def __init__(self, tus: Tus, ietf: Ietf) -> None:
        self._tus = tus
        self._ietf = ietf

    def respond(self, request: Request) -> Steps[Answer]:
        """See `Speaks`."""
        tus, ietf = (yield from self._tus.respond(request)), (yield from self._ietf.respond(request))
        accepted = {"Accept-Patch": f"{OFFSET_TYPE}, {PARTIAL_TYPE}"}
        return replace(tus, headers={**ietf.headers, **tus.headers, **accepted})

    def refused(self, request: Request, error: UploadError) -> Answer:
        """See `Speaks`."""
        return self._tus.refused(request, error)


METHODS: Final = ("POST", "HEAD", "PATCH", "DELETE", "OPTIONS")

REQUEST_HEADERS: Final = (
    *("Authorization", "Content-Type", "X-HTTP-Method-Override", "X-Requested-With", "X-Request-ID"),
    *("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Defer-Length", "Upload-Concat"),
    *("Upload-Checksum", "Upload-Complete", "Upload-Incomplete", "Upload-Draft-Interop-Version"),
    *("Content-Disposition", "Content-Digest", "Repr-Digest"),
)
"""What a page of another origin may send."""

ANSWER_HEADERS: Final = (
    *("Location", "Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
    *("Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Defer-Length", "Upload-Concat", "Upload-Expires"),
    *("Upload-Complete", "Upload-Incomplete", "Upload-Limit", "Accept-Patch", "Content-Location", "Retry-After"),
)
"""What a page of another origin may read."""


class _Interruptible:
    """A body that is read no further when somebody else wants the upload."""

    def __init__(self, chunks: Iterable[bytes], interruption: Interruption) -> None:
        self._chunks = iter(chunks)
        self._interruption = interruption

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._interruption.check()
        return next(self._chunks)


def _wanted() -> UploadLocked:
    text = "another request goes on with this upload; ask how far it has come"
    return UploadLocked(text, retry_after=_LET_GO_SECONDS)
