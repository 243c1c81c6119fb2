"""The page, for people. What it needs lies beside it, in the package: no build step, and nothing from elsewhere.

It is given to whoever asks, and has nothing of anybody: that it asks for by the API, as its user. It is told the rules
of the form, so that what would be refused for its size is not sent. No script runs in it but its own files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ...storage.contract import SignsUrls
from ...storage.threads import in_thread
from ..addresses import address
from ..parts import Parts, parts_of
from ..problems import not_found
from ..ranges import has_it

__all__ = ["asset", "index"]

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
)
"""Of what lies beside this module all is given out that has one of these extensions."""

ROOT_IS_HERE: Final = '<html lang="en" data-root="">'
"""What the addresses of the service begin with. The page cannot tell that by its own: a proxy may have more before."""

RULES_ARE_HERE: Final = '<script type="application/json" id="rules">{}</script>'


async def index(request: Request) -> Response:
    """The page itself, with the rules of the form."""
    parts = parts_of(request)
    rules = json.dumps(parts.form.rules(), separators=(",", ":")).replace("<", "\\u003c")
    root = address(request, "")  # which has nothing that HTML would escape
    page = _read("index.html").body.decode()
    page = page.replace(ROOT_IS_HERE, ROOT_IS_HERE.replace('""', f'"{root}"'), 1)
    page = page.replace(RULES_ARE_HERE, RULES_ARE_HERE.replace("{}", rules), 1)
    policy = _policy(await in_thread(_buckets, parts))
    return _given(request, _File.of(page.encode(), "text/html; charset=utf-8"), {"Content-Security-Policy": policy})


async def asset(request: Request) -> Response:
    """What it needs."""
    name = request.path_params["name"]
    if name not in _names():
        raise not_found()
    return _given(request, _read(name), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    body: bytes
    kind: str
    etag: str

    @classmethod
    def of(cls, body: bytes, kind: str) -> _File:
        return cls(body=body, kind=kind, etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _given(request: Request, file: _File, headers: Mapping[str, str]) -> Response:
    """Asked for anew at each visit, so that all of the page is of one version; what is the same is not sent again."""
    headers = {**headers, "Cache-Control": "no-cache", "ETag": file.etag}
    if has_it(request.headers, file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.kind, headers=headers)


def _policy(buckets: Sequence[str]) -> str:
    """Its own files alone, and pictures: those that are about to be sent, and thumbnails."""
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": " ".join(["'self'", "blob:", *buckets]),
        "connect-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def _buckets(parts: Parts) -> Sequence[str]:
    """Where pictures come from, where who fetches one is sent to a bucket."""
    if not parts.settings.redirects:
        return ()
    storages = [storage for storage in parts.pipeline.storages.values() if isinstance(storage, SignsUrls)]
    addresses = [urlsplit(storage.sign_url("thumbnail")) for storage in storages]
    return sorted({f"{address.scheme}://{address.netloc}" for address in addresses})


@cache
def _names() -> frozenset[str]:
    names = (each.name for each in files(__name__).iterdir())
    return frozenset(name for name in names if name.rpartition(".")[2] in KINDS)


@cache
def _read(name: str) -> _File:
    kind = KINDS.get(name.rpartition(".")[2], "text/html")
    return _File.of(files(__name__).joinpath(name).read_bytes(), kind)
