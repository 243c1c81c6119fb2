"""Whose a request is, by the session of an application that stands beside the service and has set its cookie."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from starlette.requests import Request

from uploadkit.service.problems import Refused

DATABASE = os.environ.get("SESSIONS", "sessions.db")


def authenticate(request: Request) -> str | None:
    session = request.cookies.get("session")
    if session is None:
        return None
    with closing(sqlite3.connect(DATABASE)) as database:
        words = "SELECT user, is_blocked FROM sessions WHERE id = ? AND ends_at > datetime()"
        found = database.execute(words, (session,)).fetchone()
    if found is None:
        return None
    user, is_blocked = found
    if is_blocked:
        raise Refused(403, "account_blocked", "this account may not upload any more")
    return f"user {user}"
