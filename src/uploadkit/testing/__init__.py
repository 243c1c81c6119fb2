"""For the tests of users, third parties and our own.

Contracts as suites, storages that fail on demand, forms as browsers send them.
"""

from __future__ import annotations

from .forms import FormBuilder
from .storage_contract import STORAGE_CHECKS, StorageCheck, check_storage
from .storage_faults import Corruption, FailingStorage, Hang

__all__ = [
    "STORAGE_CHECKS",
    "Corruption",
    "FailingStorage",
    "FormBuilder",
    "Hang",
    "StorageCheck",
    "check_storage",
]
