"""The body of a request in chunks, and what `request.POST` is made of.

It comes from the server where nobody has read it, else from where Django has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, QueryDict

from ...intake.asynchronous import Paced
from ...intake.steps import END, End
from ...policy.limits import Limits
from ...policy.pace import Pace
from ...uploads import Submission
from ..sockets import WHOLE_READ_SIZE, Interruption, Readable, read_whole
from ..unread import UnreadBody
from ..wsgi import body_chunks

UNREAD = "uploadkit.unread"
"""Where a scope has the `UnreadBody` of its request until a decorated view takes it."""

RECEIVES = "uploadkit_receives"
"""The attribute of a view that reads bodies itself: `FORMS`, or `ANYTHING` that is sent to it."""

FORMS = "forms"
ANYTHING = "anything"


def body_of(
    request: HttpRequest, length: int | None, limits: Limits, interruption: Interruption | None = None
) -> Generator[bytes]:
    """The body for a thread that may wait; closed after use. `length` is the request's, None where it has none. A wait
    for the client may be interrupted."""
    unread = scope_of(request).pop(UNREAD, None)
    if unread is not None:
        return _awaited_chunks(unread, limits, interruption)
    if scope_of(request) or request._read_started:  # type: ignore[attr-defined]  # Django has read it, and has it still
        return read_chunks(request)
    request._read_started = True  # type: ignore[attr-defined]  # so that request.body says what happened
    return body_chunks(request.META, length, limits, interruption)


def abody_of(request: HttpRequest) -> AsyncIterable[bytes]:
    """The body for the event loop."""
    unread = scope_of(request).pop(UNREAD, None)
    return _aread_chunks(request) if unread is None else _unread_chunks(unread)


async def _unread_chunks(unread: UnreadBody) -> AsyncIterator[bytes]:
    async for chunk in unread:
        yield chunk
        del chunk  # the next one takes its place in memory
    unread.hand_back()


def is_left_to_view(request: HttpRequest) -> bool:
    """Whether nobody but a decorated view has the body."""
    return UNREAD in scope_of(request)


def scope_of(request: HttpRequest) -> dict[str, Any]:
    """That of ASGI; a request under WSGI has none."""
    return getattr(request, "scope", {})


def _awaited_chunks(unread: UnreadBody, limits: Limits, interruption: Interruption | None) -> Generator[bytes]:
    """The body for the thread of a sync view.

    Django may cancel the view as soon as it is handed back the server's `receive`. asgiref is not ready for that
    while a thread is about to leave its `async_to_sync`, nor, before 3.12, while one is about to enter it.
    """
    paced: Paced | None = None  # made in the event loop, whose timer it has

    @async_to_sync
    async def next_chunk() -> bytes | End:
        nonlocal paced
        if paced is None:
            paced = Paced(unread, Pace(limits))
            if interruption is not None:
                interruption.on_interrupt(_interrupting(paced))
        return await paced.read()

    while not unread.ended and (chunk := next_chunk()) is not END:
        yield chunk
        del chunk  # the next one takes its place in memory
    unread.hand_back()


def _interrupting(body: Paced) -> Callable[[BaseException], object]:
    """Interrupts it from any thread."""
    loop = asyncio.get_running_loop()
    return lambda error: loop.call_soon_threadsafe(body.interrupt, error)


def read_chunks(stream: Readable) -> Generator[bytes]:
    """What can be read, up to its end."""
    while chunk := read_whole(stream, WHOLE_READ_SIZE):
        yield chunk


async def _aread_chunks(request: HttpRequest) -> AsyncIterator[bytes]:
    """Under ASGI Django has the whole body in memory or a temporary file before the view runs."""
    for chunk in read_chunks(request):
        yield chunk


def post_of(submission: Submission, encoding: str | None = None) -> QueryDict:
    """The text values as `request.POST` has them."""
    post = QueryDict(mutable=True, encoding=encoding)
    for name, value in submission.fields.multi_items():
        post.appendlist(name, value)
    post._mutable = False
    return post
