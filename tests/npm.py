"""What tests take from the npm registry: one version of a package each, by its digest, and nothing else.

It is fetched once in a process of tests, into a folder that goes with it.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """`kept` is a variable of the environment that names a package which was fetched before, as by `npm pack`."""

    name: str
    version: str
    sha512: str
    files: Sequence[str]
    kept: str

    @functools.cached_property
    def folder(self) -> Path | None:
        """Where its files lie; None where it cannot be had. Raises `ValueError` for another package."""
        named = os.environ.get(self.kept)
        try:
            package = Path(named).read_bytes() if named else self._fetched()
        except OSError:
            return None
        if base64.b64encode(hashlib.sha512(package).digest()).decode() != self.sha512:
            raise ValueError(f"this is not version {self.version} of {self.name}, as npm has it")
        folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        atexit.register(shutil.rmtree, folder)
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            for name in self.files:
                archive.extract(f"package/{name}", folder, filter="data")
        return folder / "package"

    def _fetched(self) -> bytes:
        url = f"https://registry.npmjs.org/{self.name}/-/{self.name}-{self.version}.tgz"
        with urllib.request.urlopen(url, timeout=20) as answer:
            package: bytes = answer.read()
            return package
