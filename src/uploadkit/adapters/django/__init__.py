"""uploadkit for Django, in three ways that go together.

- `receive` decorates views, sync and async, that are given what a spec promises. Under ASGI `asgi` wraps Django's
  application, so that they receive their forms while they arrive.
- `upload_handler` serves `request.POST` and `request.FILES`, for forms, model forms, the admin and Django REST
  framework; `upload_rules` gives a view rules of its own; the middleware `UploadErrors` answers with problem details.
- `ObjectStorage` keeps the files of models in any storage of uploadkit.
"""

from __future__ import annotations

try:
    from .application import asgi
    from .files import FileNotTaken, FormRefused, RefusedFile, StoredFile
    from .handlers import UploadErrors, upload_handler, upload_rules
    from .storage import ObjectStorage
    from .views import receive
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.django needs Django: pip install 'pyuploadkit[django]'", name=_missing.name
    ) from _missing

__all__ = [
    "FileNotTaken",
    "FormRefused",
    "ObjectStorage",
    "RefusedFile",
    "StoredFile",
    "UploadErrors",
    "asgi",
    "receive",
    "upload_handler",
    "upload_rules",
]
