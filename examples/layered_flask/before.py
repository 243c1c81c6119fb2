"""Middleware: what is settled before a view runs. `sign_in` is asked before a byte of a body is read; `received` reads
it, under the rules of `uploads`."""

from __future__ import annotations

import os
import secrets

from flask import request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from uploadkit.adapters.flask import receive

from .uploads import new_files

TOKEN = f"Bearer {os.environ['APP_TOKEN']}"

received = receive(new_files)


def sign_in() -> None:
    if not secrets.compare_digest(request.headers.get("Authorization", "").encode(), TOKEN.encode()):
        raise Unauthorized("sign in with a bearer token", www_authenticate=WWWAuthenticate("bearer"))
