"""Uppy as its authors have packed it for a browser: of one version, from the npm registry, and nothing else.

It is fetched once in a process of tests, into a folder that goes with it. `UPLOADKIT_UPPY` names a package that was
fetched before, as by `npm pack`.
"""

from __future__ import annotations

import atexit
import base64
import functools
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path

VERSION = "6.0.1"
URL = f"https://registry.npmjs.org/uppy/-/uppy-{VERSION}.tgz"
SHA512 = "2OONMUNUHGBNkfSjNpWDhleeCeqm2oP+8NJRSxkkFVLmm3BbE7S+XCm45+jp36z7PCRuogtm1FgYPKa0iKbYAQ=="
FILES = ("uppy.min.css", "uppy.min.js")


@functools.cache
def folder() -> Path | None:
    """Where its files lie; None where it cannot be had. Raises `ValueError` for another package."""
    named = os.environ.get("UPLOADKIT_UPPY")
    try:
        package = Path(named).read_bytes() if named else _fetched()
    except OSError:
        return None
    if base64.b64encode(hashlib.sha512(package).digest()).decode() != SHA512:
        raise ValueError(f"this is not version {VERSION} of uppy, as npm has it")
    folder = Path(tempfile.mkdtemp(prefix="uppy-"))
    atexit.register(shutil.rmtree, folder)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        for name in FILES:
            archive.extract(f"package/dist/{name}", folder, filter="data")
    return folder / "package" / "dist"


def _fetched() -> bytes:
    with urllib.request.urlopen(URL, timeout=20) as answer:
        package: bytes = answer.read()
        return package
