"""Many threads of one process that upload at once, for a test in which several such processes do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from uploadkit.errors import ObjectExists
from uploadkit.intake.blocking import receive
from uploadkit.policy.filters import IncomingFile
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader

THREADS = 50


def contend(disk: DiskStorage, filename: Callable[[IncomingFile], str] | None) -> list[str]:
    """Uploads one file by each thread, all at the same moment, and all with the same name. Returns "stored" or
    "exists", and the SHA-256, of each."""
    spec = Uploader(disk, filename=filename).single("f")
    gate = Barrier(THREADS)

    def upload(_: int) -> str:
        data = os.urandom(20_000)
        form = FormBuilder(boundary="boundary").file("f", data, filename="same.bin")
        gate.wait()
        try:
            return f"stored {receive(spec, form.content_type, [form.body]).digest}"
        except ObjectExists:
            return f"exists {hashlib.sha256(data).hexdigest()}"

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(upload, range(THREADS)))
