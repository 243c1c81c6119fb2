"""Resumable uploads in Flask, as a blueprint: what the application does before its requests, it does before these too.

app.register_blueprint(resumable_blueprint(ResumableUploads(upload.single("video"))), url_prefix="/files")
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import TypeAlias

try:
    from flask import Blueprint, Request, Response, request
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.resumable.flask needs Flask: pip install 'pyuploadkit[flask]'", name=_missing.name
    ) from _missing

from ..adapters.flask import body_of
from ..adapters.sockets import Interruption
from .serving import Server
from .uploads import ResumableUploads
from .wsgi import Asked, check_blocking

__all__ = ["Owner", "resumable_blueprint"]

Owner: TypeAlias = Callable[[Request], str | None]
"""Says from a request whose uploads it is about. What it raises, by `abort` too, is Flask's to answer."""

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def resumable_blueprint(
    uploads: ResumableUploads,
    *,
    owner: Owner | None = None,
    allow_origins: Iterable[str] = (),
    name: str = "resumable",
) -> Blueprint:
    """Answers tus and the IETF's draft under the `url_prefix` with which it is registered.

    `owner` says who asks, with `flask.session` and all else that a view has: nobody sees, continues or deletes an
    upload of somebody else. Where it says None, and without it, uploads are nobody's, and whoever knows the address of
    one may do all that: it has 128 random bits. `allow_origins` as in `Server`. `name` is the blueprint's. Flask's own
    `MAX_CONTENT_LENGTH` holds for each request. Raises `TypeError` where the owner, the handler or a filter is async.
    """
    check_blocking(uploads, owner)
    server, blueprint = Server(uploads, allow_origins=allow_origins), Blueprint(name, __name__)

    def respond(upload: str = "") -> Response:
        return _response(server, owner, upload)

    # Some clients follow a redirect to the address that ends with a slash without the body, and others not at all.
    for rule, endpoint in (("/", "collection"), ("/<upload>", "upload")):
        blueprint.add_url_rule(
            rule, endpoint, respond, methods=_METHODS, provide_automatic_options=False, strict_slashes=False
        )
    return blueprint


def _response(server: Server, owner: Owner | None, upload: str) -> Response:
    def chunks(length: int | None, interruption: Interruption) -> Generator[bytes]:
        return body_of(request, length, server.uploads.spec.limits, interruption)

    asked = Asked(server, request.environ, chunks)
    answer = asked.answer(
        path=(request.root_path + request.path).rstrip("/").removesuffix(upload),
        upload=upload,
        owner=None if owner is None else partial(owner, request),
    )
    response = Response(answer.body, status=answer.status, headers=answer.whole_headers())
    if not answer.has_type:
        del response.headers["Content-Type"]  # Flask's own, for a body that is none
    response.call_on_close(asked.drain)
    return response
