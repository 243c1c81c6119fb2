"""For the tests of users, third parties and our own.

Contracts as suites, storages that fail on demand, forms as browsers send them and as none would, files of many types,
a client that sends as it is told, and a watch for what is left behind. Needs the standard library alone; the names
are loaded when they are first used, since the fixtures for pytest (`pytest_plugin`) lie here too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .broken import Break as Break
    from .broken import BrokenForm as BrokenForm
    from .client import Answer as Answer
    from .client import Client as Client
    from .client import NoAnswer as NoAnswer
    from .client import chunked as chunked
    from .client import exchange as exchange
    from .client import request as request
    from .client import request_head as request_head
    from .forms import FormBuilder as FormBuilder
    from .leaks import assert_no_leaks as assert_no_leaks
    from .leaks import leftovers as leftovers
    from .samples import HOSTILE_FILENAMES as HOSTILE_FILENAMES
    from .samples import SAMPLE_TYPES as SAMPLE_TYPES
    from .samples import sample as sample
    from .storage_contract import STORAGE_CHECKS as STORAGE_CHECKS
    from .storage_contract import StorageCheck as StorageCheck
    from .storage_contract import check_storage as check_storage
    from .storage_faults import Corruption as Corruption
    from .storage_faults import FailingStorage as FailingStorage
    from .storage_faults import Hang as Hang
    from .storage_swap import swap_storage as swap_storage

_MODULES = {
    "broken": ("Break", "BrokenForm"),
    "client": ("Answer", "Client", "NoAnswer", "chunked", "exchange", "request", "request_head"),
    "forms": ("FormBuilder",),
    "leaks": ("assert_no_leaks", "leftovers"),
    "samples": ("HOSTILE_FILENAMES", "SAMPLE_TYPES", "sample"),
    "storage_contract": ("STORAGE_CHECKS", "StorageCheck", "check_storage"),
    "storage_faults": ("Corruption", "FailingStorage", "Hang"),
    "storage_swap": ("swap_storage",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]  # one list of names, not two


if not TYPE_CHECKING:  # a type checker would take any name for one that it gives

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
