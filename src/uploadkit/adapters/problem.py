"""How adapters answer an error: RFC 9457 problem details, and how long they read on so that the client sees them.

The logger `uploadkit` has what is wrong with a storage, a check, the ledger or the queue.
"""

from __future__ import annotations

import json
import logging

from ..errors import CheckFailed, LedgerFailed, Overloaded, QueueFailed, StorageError, UploadError, UploadLocked

logger: logging.Logger = logging.getLogger("uploadkit")

PROBLEM_JSON = "application/problem+json"

DRAIN_SIZE = 16 << 20
"""Bytes. More than the buffers of a fast connection hold: what a client has sent before it can see an early answer."""

DRAIN_SECONDS = 2.0
"""So long a client is waited for after an early answer. The same as gunicorn's own patience."""


def problem_body(error: UploadError) -> bytes:
    """The problem details of `error` as JSON."""
    return json.dumps(error.problem(), separators=(",", ":")).encode("ascii")


def problem_headers(error: UploadError) -> dict[str, str]:
    """Content-Type, and Retry-After (RFC 9110 §10.2.3) where the same request may succeed later."""
    headers = {"Content-Type": PROBLEM_JSON}
    if isinstance(error, Overloaded | UploadLocked):
        headers["Retry-After"] = str(error.retry_after)
    return headers


def log_failure(error: UploadError) -> None:
    """Tells the operator, by the log, what is wrong with a storage, a check, the ledger or the queue, and why: the
    sender who is answered can do nothing about it. Of other errors it says nothing."""
    if isinstance(error, StorageError) and error.status >= 500:
        logger.error("%s (storage %r, key %r)", error, error.storage, error.key, exc_info=error)
    elif isinstance(error, CheckFailed):
        logger.error("%s (check %r): %s", error, error.filter, error.reason, exc_info=error)
    elif isinstance(error, LedgerFailed | QueueFailed):
        # What the driver has said: around it SQLAlchemy has words of the statement, and what was to be written.
        logger.error("%s: %s", error, getattr(error.__cause__, "orig", None) or error.__cause__ or error.code)
