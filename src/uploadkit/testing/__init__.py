"""For the tests of users, third parties and our own.

Contracts as suites, storages that fail on demand, forms as browsers send them.
"""

from __future__ import annotations

from .forms import FormBuilder
from .storage_contract import STORAGE_CHECKS, StorageCheck, check_storage
from .storage_faults import FailingStorage

__all__ = ["STORAGE_CHECKS", "FailingStorage", "FormBuilder", "StorageCheck", "check_storage"]
