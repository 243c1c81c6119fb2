"""A disk that is soon full: a small file system in memory. Only root may mount one (`@pytest.mark.needs("tmpfs")`)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A file system in place of the folder, of so many bytes: `options` are those of tmpfs, as `size=1m`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # also where a server that fails holds a file in it
