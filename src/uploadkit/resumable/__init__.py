"""The other doors for bytes: uploads that do not come as the body of one form.

The names below are loaded when they are first used. What a framework needs to mount them, and what comes straight into
a bucket, is in modules of their own: `uploadkit.resumable.flask`, `uploadkit.resumable.django`,
`uploadkit.resumable.direct`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .asgi import ResumableApp as ResumableApp
    from .protocol import Answer as Answer
    from .uploads import ResumableUploads as ResumableUploads
    from .wsgi import ResumableWSGIApp as ResumableWSGIApp

_HOME = {"Answer": "protocol", "ResumableApp": "asgi", "ResumableUploads": "uploads", "ResumableWSGIApp": "wsgi"}

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
