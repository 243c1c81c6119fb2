"""For the tests of users, third parties and our own.

Contracts as suites, storages that fail on demand, forms as browsers send them, a client that sends as it is told, and
a watch for what is left behind. Needs the standard library alone.
"""

from __future__ import annotations

from .client import Answer, Client, NoAnswer, chunked, exchange, request, request_head
from .forms import FormBuilder
from .leaks import assert_no_leaks, leftovers
from .storage_contract import STORAGE_CHECKS, StorageCheck, check_storage
from .storage_faults import Corruption, FailingStorage, Hang

__all__ = [
    "STORAGE_CHECKS",
    "Answer",
    "Client",
    "Corruption",
    "FailingStorage",
    "FormBuilder",
    "Hang",
    "NoAnswer",
    "StorageCheck",
    "assert_no_leaks",
    "check_storage",
    "chunked",
    "exchange",
    "leftovers",
    "request",
    "request_head",
]
