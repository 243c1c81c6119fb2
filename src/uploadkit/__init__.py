"""uploadkit: takes multipart forms off the socket, decides while the bytes arrive, and stores their files whole.

The names below are all of the public surface but the adapters (`uploadkit.adapters.flask`, ...) and what is for
tests (`uploadkit.testing`). They are loaded when they are first used: importing uploadkit loads no optional package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .allocator import tune_allocator as tune_allocator
    from .errors import CheckFailed as CheckFailed
    from .errors import ClientDisconnected as ClientDisconnected
    from .errors import DeliveryFailed as DeliveryFailed
    from .errors import FieldError as FieldError
    from .errors import FieldMissing as FieldMissing
    from .errors import FieldRefused as FieldRefused
    from .errors import FileRefused as FileRefused
    from .errors import InvalidForm as InvalidForm
    from .errors import KeyRefused as KeyRefused
    from .errors import LedgerFailed as LedgerFailed
    from .errors import LimitExceeded as LimitExceeded
    from .errors import MalformedForm as MalformedForm
    from .errors import ObjectExists as ObjectExists
    from .errors import ObjectMissing as ObjectMissing
    from .errors import Overloaded as Overloaded
    from .errors import QueueFailed as QueueFailed
    from .errors import QuotaExceeded as QuotaExceeded
    from .errors import RecordError as RecordError
    from .errors import RecordExists as RecordExists
    from .errors import RecordMissing as RecordMissing
    from .errors import SenderError as SenderError
    from .errors import ServiceError as ServiceError
    from .errors import SignatureRefused as SignatureRefused
    from .errors import StorageError as StorageError
    from .errors import StorageFailed as StorageFailed
    from .errors import TokenRefused as TokenRefused
    from .errors import TruncatedForm as TruncatedForm
    from .errors import UnexpectedField as UnexpectedField
    from .errors import UnsupportedMediaType as UnsupportedMediaType
    from .errors import UploadChanged as UploadChanged
    from .errors import UploadError as UploadError
    from .errors import UploadTooSlow as UploadTooSlow
    from .intake.asynchronous import areceive as areceive
    from .intake.blocking import receive as receive
    from .intake.capacity import Capacity as Capacity
    from .intake.spec import Spec as Spec
    from .multipart.parser import MultipartParser as MultipartParser
    from .multipart.urlencoded import UrlencodedParser as UrlencodedParser
    from .policy.accept import AUDIO as AUDIO
    from .policy.accept import DOCUMENTS as DOCUMENTS
    from .policy.accept import IMAGES as IMAGES
    from .policy.accept import VIDEOS as VIDEOS
    from .policy.accept import Accept as Accept
    from .policy.fields import File as File
    from .policy.fields import Text as Text
    from .policy.filenames import safe_filename as safe_filename
    from .policy.filters import ClosableWatch as ClosableWatch
    from .policy.filters import IncomingFile as IncomingFile
    from .policy.filters import StagedCheck as StagedCheck
    from .policy.filters import StreamCheck as StreamCheck
    from .policy.filters import Watch as Watch
    from .policy.limits import Limits as Limits
    from .promotion import apromote as apromote
    from .promotion import promote as promote
    from .storage.contract import ObjectInfo as ObjectInfo
    from .storage.contract import Sink as Sink
    from .storage.contract import Staged as Staged
    from .storage.contract import Storage as Storage
    from .storage.contract import StoredObject as StoredObject
    from .storage.disk import DiskStorage as DiskStorage
    from .storage.fsspec import FsspecStorage as FsspecStorage
    from .storage.memory import MemoryStorage as MemoryStorage
    from .storage.s3 import S3Storage as S3Storage
    from .storage.transfer import copy_object as copy_object
    from .uploader import Uploader as Uploader
    from .uploads import FieldValues as FieldValues
    from .uploads import Submission as Submission
    from .uploads import UploadedFile as UploadedFile

_MODULES = {
    "allocator": ("tune_allocator",),
    "errors": (
        "CheckFailed", "ClientDisconnected", "DeliveryFailed", "FieldError", "FieldMissing", "FieldRefused",
        "FileRefused", "InvalidForm", "KeyRefused", "LedgerFailed", "LimitExceeded", "MalformedForm", "ObjectExists",
        "ObjectMissing", "Overloaded", "QueueFailed", "QuotaExceeded", "RecordError", "RecordExists", "RecordMissing",
        "SenderError", "ServiceError", "SignatureRefused", "StorageError", "StorageFailed", "TokenRefused",
        "TruncatedForm", "UnexpectedField", "UnsupportedMediaType", "UploadChanged", "UploadError", "UploadTooSlow",
    ),
    "intake.asynchronous": ("areceive",),
    "intake.blocking": ("receive",),
    "intake.capacity": ("Capacity",),
    "intake.spec": ("Spec",),
    "multipart.parser": ("MultipartParser",),
    "multipart.urlencoded": ("UrlencodedParser",),
    "policy.accept": ("AUDIO", "Accept", "DOCUMENTS", "IMAGES", "VIDEOS"),
    "policy.fields": ("File", "Text"),
    "policy.filenames": ("safe_filename",),
    "policy.filters": ("ClosableWatch", "IncomingFile", "StagedCheck", "StreamCheck", "Watch"),
    "policy.limits": ("Limits",),
    "promotion": ("apromote", "promote"),
    "storage.contract": ("ObjectInfo", "Sink", "Staged", "Storage", "StoredObject"),
    "storage.disk": ("DiskStorage",),
    "storage.fsspec": ("FsspecStorage",),
    "storage.memory": ("MemoryStorage",),
    "storage.s3": ("S3Storage",),
    "storage.transfer": ("copy_object",),
    "uploader": ("Uploader",),
    "uploads": ("FieldValues", "Submission", "UploadedFile"),
}  # fmt: skip
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
