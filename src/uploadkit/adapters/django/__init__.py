"""uploadkit for Django.

`receive` decorates views, sync and async, that take what a spec promises. Under ASGI `asgi` wraps Django's
application, so that they receive their forms while they arrive.
"""

from __future__ import annotations

try:
    from .application import asgi
    from .views import receive
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.django needs Django: pip install 'pyuploadkit[django]'", name=_missing.name
    ) from _missing

__all__ = ["asgi", "receive"]
