"""The addresses that answers tell: paths, with what an application has mounted the service below, or has been told that
a proxy takes off. The rest of an address nobody here knows behind a proxy, and what the client says of it is not told
back."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import HTTPConnection

__all__ = ["address", "prefix"]


def address(connection: HTTPConnection, path: str) -> str:
    """Where a client of this request finds a path of the service. That is as it is sent, with nothing left to quote."""
    return f"{quote(prefix(connection))}{path}"


def prefix(connection: HTTPConnection) -> str:
    """What stands before the paths of the service, as it is read: "" where nothing does."""
    root: str = connection.scope.get("root_path", "")
    return root.rstrip("/")
