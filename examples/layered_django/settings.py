"""The project: the layers put together. It has no pages, no sessions and so no CSRF tokens: a request brings a token of
its own, which no other site can make a browser send."""

from __future__ import annotations

import secrets

ROOT_URLCONF = f"{__package__}.urls"
MIDDLEWARE = [f"{__package__}.middleware.SignedIn", f"{__package__}.middleware.ProblemAnswers"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
SECRET_KEY = secrets.token_hex()
