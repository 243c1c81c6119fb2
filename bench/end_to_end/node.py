"""Express and multer, fetched by npm into a folder of the user's cache: never into this project."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = {"express": "5.3.0", "multer": "2.5.0"}

_INSTALL_SECONDS = 180


class NotInstalledError(Exception):
    """npm could not fetch them."""


@functools.cache
def versions() -> dict[str, str | None]:
    """None for what is not there and cannot be fetched."""
    can_fetch = shutil.which("npm") is not None or _mark().exists()
    return {"node": _node(), **(PACKAGES if can_fetch else dict.fromkeys(PACKAGES))}


@functools.cache
def modules() -> Path:
    """The folder for NODE_PATH. Fetches what is not there yet; raises `NotInstalledError`."""
    mark = _mark()
    if not mark.exists():
        mark.parent.mkdir(parents=True, exist_ok=True)
        _npm("install", "--prefix", str(mark.parent), *_pinned())
        mark.touch()
    return mark.parent / "node_modules"


def _mark() -> Path:
    """A file that is there when all of these versions are."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "uploadkit-bench" / "-".join(_pinned()) / "fetched"


def _pinned() -> list[str]:
    return [f"{name}@{version}" for name, version in PACKAGES.items()]


def _node() -> str | None:
    if shutil.which("node") is None:
        return None
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return found.stdout.strip().removeprefix("v")


def _npm(*arguments: str) -> None:
    quiet = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel", "error")
    try:
        done = subprocess.run(
            ["npm", *arguments, *quiet], capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"npm: {error}") from error
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalledError(f"npm: {reason[0] if reason else done.returncode}")
