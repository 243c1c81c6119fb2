"""Finds an application's pipeline by its name, "module:attribute", as servers of web applications find those."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["EXAMPLE", "AppNotFound", "load_app"]

EXAMPLE: Final = "such as app:pipeline, for `pipeline = Pipeline(...)` in app.py"


class AppNotFound(Exception):
    """There is no pipeline of that name, or none can be made. The text is one for people, and ends with what to write.
    What the application itself raises while it is imported is the cause."""


def load_app(name: str) -> Pipeline:
    """The pipeline that "module:attribute" names; the attribute may have dots. The current folder comes first in the
    path, and stays there. Raises `AppNotFound`."""
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise AppNotFound(f"{name!r} names no pipeline: write MODULE:NAME, {EXAMPLE}")
    try:
        from .pipeline import Pipeline  # it needs SQLAlchemy
    except ModuleNotFoundError as missing:
        raise AppNotFound(str(missing)) from None
    found: object = _imported(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise AppNotFound(f"{name}: {_said(found)} has no {part!r}: {_advice(module_name)}") from None
    if not isinstance(found, Pipeline):
        raise AppNotFound(f"{name} is {_said(found)}, and no Pipeline: {_advice(module_name)}")
    return found


def log_to_stderr(level: str) -> None:
    """For a process of a worker. An application may do it in its own way, when it is imported."""
    form = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=form)


def _imported(name: str) -> ModuleType:
    here = os.getcwd()
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            text = f"there is no module {error.name!r}, neither in {here} nor installed: write MODULE:NAME, {EXAMPLE}"
            raise AppNotFound(text) from None
        raise AppNotFound(_failed(name, error)) from error
    except (Exception, SystemExit) as error:
        raise AppNotFound(_failed(name, error)) from error


def _failed(module: str, error: BaseException) -> str:
    return (
        f"module {module!r} cannot be imported: {type(error).__name__}: {error}{_place(error)}: "
        f'for all of it write python -c "import {module}"'
    )


def _place(error: BaseException) -> str:
    """Where in the application it was raised: in the last of its files, those of packages left out."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not {"site-packages", "uploadkit", "importlib"} & set(_parts(frame.filename))]
    own = [frame for frame in own if not frame.filename.startswith("<")]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _parts(path: str) -> list[str]:
    return path.split(os.sep)


def _said(found: object) -> str:
    return f"module {found.__name__!r}" if isinstance(found, ModuleType) else f"a {type(found).__name__}"


def _advice(module: str) -> str:
    """To write one of the pipelines that a module does have."""
    from .pipeline import Pipeline

    names = sorted(name for name, value in vars(sys.modules[module]).items() if isinstance(value, Pipeline))
    return f"write {' or '.join(f'{module}:{name}' for name in names)}" if names else f"write MODULE:NAME, {EXAMPLE}"
