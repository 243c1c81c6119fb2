"""Middleware: what is settled before an endpoint runs. `signed_in` is asked before a byte of a body is read; `Received`
reads it, under the rules of `uploads`."""

from __future__ import annotations

import os
import secrets
from typing import Annotated

from fastapi import Header, HTTPException

from uploadkit.adapters.fastapi import receive

from .uploads import NewFiles, new_files

TOKEN = f"Bearer {os.environ['APP_TOKEN']}"

Received = Annotated[NewFiles, receive(new_files)]


def signed_in(authorization: Annotated[str, Header()] = "") -> None:
    if not secrets.compare_digest(authorization.encode(), TOKEN.encode()):
        raise HTTPException(401, "sign in with a bearer token", {"WWW-Authenticate": "Bearer"})
